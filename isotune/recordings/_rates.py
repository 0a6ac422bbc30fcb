"""Learning rates of every step: where two lists part, and how one comes of the other."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
_NEAR = 1e-6  # relative: a rate that a framework holds in float32 is the same


def parting(ours: Array, theirs: Array, steps_per_epoch: int | None = None, most: int = 200) -> tuple[int, str] | None:
    """The first step whose rates differ, and how `ours` comes of `theirs`; None: they do not differ, as far as both go.

    ours, theirs: float64 [steps]. most: steps that one may be late by.
    """
    length = min(len(ours), len(theirs))
    ours, theirs = ours[:length], theirs[:length]
    if not length or _same(ours, theirs).all():
        return None
    first = int(np.argmin(_same(ours, theirs)))
    return first, _how(ours, theirs, steps_per_epoch, most)


def _how(ours: Array, theirs: Array, steps_per_epoch: int | None, most: int) -> str:
    whole = [count * steps_per_epoch for count in (1, 2)] if steps_per_epoch else []
    for late in dict.fromkeys([*whole, *range(1, min(most, len(ours) - 1))]):
        for sign, word in ((1, "late"), (-1, "early")):
            shifted, base = (ours[late:], theirs[:-late]) if sign > 0 else (ours[:-late], theirs[late:])
            if len(base) > 1 and np.ptp(base) > 0 and _same(shifted, base).all():
                return f"the schedule is {_span(late, steps_per_epoch)} {word}"
    with np.errstate(all="ignore"):
        ratio = ours / theirs
    if np.isfinite(ratio).all() and np.ptp(ratio) <= _NEAR * abs(ratio).max():
        return f"the rate is {ratio[0]:.6g} times the other's"
    if np.ptp(ours) == 0:
        return f"the rate stays at {ours[0]:.6g}"
    first = int(np.argmin(_same(ours, theirs)))
    return f"in step {first} the rate is {ours[first]:.6g}, the other's {theirs[first]:.6g}: another schedule"


def _span(steps: int, steps_per_epoch: int | None) -> str:
    words = f"{steps} step{'' if steps == 1 else 's'}"
    if steps_per_epoch and steps % steps_per_epoch == 0:
        epochs = steps // steps_per_epoch
        words = f"{epochs} epoch{'' if epochs == 1 else 's'} ({words})"
    return words


def _same(ours: Array, theirs: Array) -> Array:
    same: Array = np.abs(ours - theirs) <= _NEAR * np.maximum(np.abs(ours), np.abs(theirs))
    return same
