"""The learning rate of every step of a stage, as one array, computed before training.

Libraries disagree about when a rate changes (torch's references step per epoch, Keras's schedules per step),
about the first step (a Keras warm-up starts at rate 0), and about whether a decay counts the warm-up. So no library's
schedule is used: every trainer is handed the rate of each step.

    warm-up    rate[i] = peak * (i + 1) / W,  i < W
               or, from a share f of the peak: peak * (f + (1 - f) * i / W)
    constant   peak
    cosine     peak * (final + (1 - final) * (1 + cos(pi * p)) / 2)
    linear     peak * (1 - (1 - final) * p)
    step       peak * gamma ** (milestones passed), or gamma ** floor(epochs or steps / drop_every)
    one-cycle  from `start` of the peak to the peak in a share `rise` of the steps, then to `final` of it, each by half
               a cosine or by a line

p: steps since the warm-up / steps that remain after it; where the decay counts the warm-up, steps / all steps.

Without warm-up, cosine is torch.optim.lr_scheduler.CosineAnnealingLR with T_max = steps (Loshchilov and Hutter 2017,
one period) and keras.optimizers.schedules.CosineDecay with decay_steps = steps; step is MultiStepLR, and with
drop_every StepLR, timm's --decay-epochs (which may be 2.4) and Keras's ExponentialDecay(staircase=True). A warm-up
from f is torch's LinearLR(start_factor=f), Keras's CosineDecay(initial_learning_rate=f * peak, warmup_target=peak)
and timm's warmup_lr_init = f * peak; timm's decay counts it unless `warmup_prefix` is set.

One-cycle (Smith 2018, arXiv 1803.09820) is fastai's `fit_one_cycle` with rise = pct_start, start = 1/div and
final = 1/div_final: step i of N is at i/N of the training. With reach = "last" it is torch's OneCycleLR of two phases,
start = 1/div_factor and final = start/final_div_factor: the peak is at step rise * N - 1, the end at step N - 1. Both
move the momentum against the rate; here it stays.
"""

from __future__ import annotations

import numpy as np

from isotune.errors import UsageError
from isotune.protocols import Schedule


def learning_rates(schedule: Schedule, steps: int, steps_per_epoch: int) -> np.ndarray:
    """The rate of every step, float64 [steps]; each is greater than 0, but for the first of a warm-up from 0.

    With `per = "epoch"` the rate is held that the epoch began with; a warm-up that is given in steps always rises with
    every step. Milestones count from the first step, the warm-up included.

    Errors: UsageError when the warm-up is longer than the training.
    """
    if steps < 1 or steps_per_epoch < 1:
        raise UsageError(f"steps = {steps} and steps_per_epoch = {steps_per_epoch} must both be at least 1")
    warmup = schedule.warmup_steps or schedule.warmup_epochs * steps_per_epoch
    if warmup > steps:
        written = (
            f"warmup_epochs = {schedule.warmup_epochs} ({warmup} steps)"
            if schedule.warmup_epochs
            else f"warmup_steps = {warmup}"
        )
        raise UsageError(f"schedule.{written} is more than the {steps} steps that are trained")

    if schedule.name == "one-cycle":
        return schedule.learning_rate * _one_cycle(schedule, steps)
    step = np.arange(steps)
    epoch = step // steps_per_epoch
    held = epoch * steps_per_epoch if schedule.per == "epoch" else step  # the step that decides the rate
    factor: np.ndarray = np.ones(steps)
    before = 0 if schedule.warmup_counts else warmup
    progress = np.maximum(held - before, 0) / max(steps - before, 1)
    if schedule.name == "cosine":
        factor = schedule.final + (1 - schedule.final) * (1 + np.cos(np.pi * progress)) / 2
    elif schedule.name == "linear":
        factor = 1 - (1 - schedule.final) * progress
    elif schedule.name == "step":
        counted = epoch if schedule.per == "epoch" else step
        if schedule.drop_every is None:
            passed = np.searchsorted(schedule.milestones, counted, side="right")
        else:
            passed = np.floor_divide(counted, schedule.drop_every)
        factor = schedule.gamma**passed
    risen = (held if schedule.warmup_epochs else step) / max(warmup, 1)
    one = (steps_per_epoch if schedule.warmup_epochs and schedule.per == "epoch" else 1) / max(warmup, 1)
    start = schedule.start
    rising = risen + one if start is None else start + (1 - start) * risen
    rates: np.ndarray = schedule.learning_rate * np.where(step < warmup, rising, factor)
    return rates


def _one_cycle(schedule: Schedule, steps: int) -> np.ndarray:
    """Shares of the peak, float64 [steps]."""
    early = 1 if schedule.reach == "last" else 0  # by how many steps peak and end come earlier
    peak, end = schedule.rise * steps - early, steps - early
    start = schedule.begins or 0.0
    step = np.arange(steps)
    rising = _annealed(schedule, start, 1.0, step / peak) if peak > 0 else np.ones(steps)
    falling = _annealed(schedule, 1.0, schedule.final, (step - peak) / max(end - peak, 1e-12))
    return np.where(step <= peak, rising, falling)


def _annealed(schedule: Schedule, begin: float, end: float, progress: np.ndarray) -> np.ndarray:
    moved = (1 - np.cos(np.pi * progress)) / 2 if schedule.anneal == "cosine" else progress
    shares: np.ndarray = begin + (end - begin) * moved
    return shares
