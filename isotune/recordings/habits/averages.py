"""A moving average of the weights, read off its tensors: what an update keeps of it.

    average = d * average + (1 - d) * weights

d is the one number that gives every tensor, by least squares. Before the first step the average is taken for the
weights; a copy, as for one that begins with zeros and is corrected, has d = 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from isotune.recordings._reading import RecordedStep, Recording

Array = np.ndarray
FILE = "average"  # of a full step
_LEFT = 0.02  # of what lies between average and weights: nearer, two decays are not told apart
_ROUNDING = 4 * 2.0**-23


class Kept(NamedTuple):
    """What an average kept at a step. decay: None: it is no mean of what it was and the weights. error: of the decay,
    by what rounding leaves."""

    decay: float | None
    error: float
    statistics: Literal["averaged", "copied", ""]  # of BatchNorm; empty: it cannot be seen


def is_recorded(recording: Recording) -> bool:
    """Whether a loop shows an average, whatever it keeps."""
    return any(FILE in step.entry.files for step in recording.steps.values())


def kept(recording: Recording) -> dict[int, Kept]:
    """Of every full step before which the average is known, too: the step before it was recorded, or it is the first;
    without those in which nothing shows."""
    buffers = {entry.name for entry in recording.about.tensors if entry.buffer}
    weights = [entry.name for entry in recording.about.tensors if not entry.buffer]
    seen = {}
    for number, step in recording.steps.items():
        if FILE not in step.entry.files:
            continue
        before = _before(recording, number, step)
        if before is None:
            continue
        after, new = step.tensors(FILE), step.tensors("after")
        decay, error = _decay(before, after, new, weights)
        if error < _LEFT:
            seen[number] = Kept(decay, error, _statistics(before, after, new, buffers, decay))
    return seen


def _before(recording: Recording, number: int, step: RecordedStep) -> Mapping[str, Array] | None:
    if number == 0:
        return {**step.tensors("before"), **step.tensors("batchnorm-before")}
    former = recording.steps.get(number - 1)
    return former.tensors(FILE) if former is not None and FILE in former.entry.files else None


def _decay(
    before: Mapping[str, Array], after: Mapping[str, Array], new: Mapping[str, Array], names: Iterable[str]
) -> tuple[float | None, float]:
    """What is kept, and the error of that: infinite where the average is what the weights are already."""
    apart, moved, sizes = [], [], []
    for name in names:
        if name in before and name in after and name in new:
            old, average, weight = (np.asarray(each[name], np.float64).reshape(-1) for each in (before, after, new))
            apart.append(old - weight)
            moved.append(average - weight)
            sizes.append(_ROUNDING * np.maximum(np.abs(average), np.abs(weight)))
    if not apart:
        return None, np.inf
    d, m, rounding = map(np.concatenate, (apart, moved, sizes))
    length = float(d @ d)
    if length <= float(rounding @ rounding):
        return None, np.inf
    decay, error = float(d @ m) / length, float(np.linalg.norm(rounding * d)) / length
    left = np.linalg.norm(m - decay * d)
    if left > 1e-3 * np.sqrt(length) + np.linalg.norm(rounding) or not -_LEFT <= decay <= 1 + _LEFT:
        return None, error
    return min(max(decay, 0.0), 1.0), error


def _statistics(
    before: Mapping[str, Array], after: Mapping[str, Array], new: Mapping[str, Array], names: Iterable[str],
    decay: float | None,
) -> Literal["averaged", "copied", ""]:  # fmt: skip
    own, error = _decay(before, after, new, names)
    if error > _LEFT / 4 or own is None or decay is None or decay < 2 * _LEFT:
        return ""
    if own < _LEFT:
        return "copied"
    return "averaged" if abs(own - decay) < _LEFT else ""
