"""The learning rate of every step of a stage, as one array, computed before training.

Libraries disagree about when a rate changes (torch's references step per epoch, Keras's schedules per step)
and about the first step (a Keras warm-up starts at rate 0). So no library's schedule is used: every trainer
is handed the rate of each step.

    warm-up    rate[i] = peak * (i + 1) / warmup_steps,  i < warmup_steps
    constant   peak
    cosine     peak * (1 + cos(pi * p)) / 2,  p = steps since the warm-up / steps that remain after it
    step       peak * gamma ** (milestones passed)

Without warm-up, cosine is torch.optim.lr_scheduler.CosineAnnealingLR with T_max = steps (Loshchilov and Hutter
2017, one period) and keras.optimizers.schedules.CosineDecay with decay_steps = steps; step is MultiStepLR.
"""

from __future__ import annotations

import numpy as np

from isotune.errors import UsageError
from isotune.protocols import Schedule


def learning_rates(schedule: Schedule, steps: int, steps_per_epoch: int) -> np.ndarray:
    """The rate of every step, float64 [steps]; each is greater than 0.

    With `per = "epoch"` cosine and step hold the rate that the epoch began with; a warm-up, being given in
    steps, always rises with every step. Milestones count from the first step, the warm-up included.

    Errors: UsageError when the warm-up is longer than the training.
    """
    if steps < 1 or steps_per_epoch < 1:
        raise UsageError(f"steps = {steps} and steps_per_epoch = {steps_per_epoch} must both be at least 1")
    warmup = schedule.warmup_steps
    if warmup > steps:
        raise UsageError(f"schedule.warmup_steps = {warmup} is more than the {steps} steps that are trained")

    step = np.arange(steps)
    epoch = step // steps_per_epoch
    held = epoch * steps_per_epoch if schedule.per == "epoch" else step  # the step that decides the rate
    factor: np.ndarray = np.ones(steps)
    if schedule.name == "cosine":
        progress = np.maximum(held - warmup, 0) / max(steps - warmup, 1)
        factor = (1 + np.cos(np.pi * progress)) / 2
    elif schedule.name == "step":
        counted = epoch if schedule.per == "epoch" else step
        passed = np.searchsorted(schedule.milestones, counted, side="right")
        factor = schedule.gamma**passed
    rising = (step + 1) / max(warmup, 1)
    rates: np.ndarray = schedule.learning_rate * np.where(step < warmup, rising, factor)
    return rates
