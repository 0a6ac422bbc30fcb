"""When two tensors count as the same: the measures and bounds of parity and of investigations.

In float64 BOUND is allowed, or NOISE_FACTOR times what the reference shows against itself with the batch permuted; in
other numeric modes the float64 run is the referee, and REFEREE_FACTOR times the reference's own error is allowed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

Array = np.ndarray
BOUND = 1e-9  # relative, float64
NOISE_FACTOR = 10  # of what the same library shows against itself with the batch permuted
REFEREE_FACTOR = 4  # float32: of the first model's own error against its float64 run
FLOOR = 1e-3  # a tensor's errors count relative to its own largest value, or to this share of the rung's largest


def largest(array: Array) -> float:
    """A tensor's largest absolute value; NaN where it has one."""
    return max(float(array.max(initial=0.0)), -float(array.min(initial=0.0)))


def root_mean_square(array: Array) -> float:
    """What float32 is judged by: one value's rounding is luck (torch/_dynamo/utils.py, `same`, measures so too)."""
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0


def relative_error(
    ours: Array, theirs: Array, floor: float, size: Callable[[Array], float] = largest
) -> tuple[float, str]:
    """The size of the difference over that of `ours`, or over `floor` if that is more; inf, and why, where there is
    none."""
    if ours.size != theirs.size:
        return math.inf, f"{ours.shape} and {theirs.shape}"
    theirs = theirs.reshape(ours.shape)  # a map of one pixel may be a vector
    difference = size(ours - theirs)
    if not math.isfinite(difference):
        return math.inf, "not finite"
    scale = max(size(ours), floor)
    return (difference / scale if scale else float(difference > 0)), ""
