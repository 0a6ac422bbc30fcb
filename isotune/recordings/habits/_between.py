"""What changes weights between one step and the next, beside the optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from isotune.recordings._reading import Recording
from isotune.recordings.habits.averages import FILE

Array = np.ndarray
_ROUNDING = 16 * 2.0**-23  # of what lies in the weights and in their average, when the two are swapped by sums


def habits(recording: Recording) -> Iterator[dict[str, Any]]:
    """`between_steps`: the tensors that change, or `average`, where they become that of the weights."""
    steps = recording.steps
    for number in steps:
        if number + 1 not in steps:
            continue
        after, before = steps[number].tensors("after"), steps[number + 1].tensors("before")
        average = steps[number].tensors(FILE)
        weights = [entry.name for entry in recording.about.tensors if not entry.buffer]
        changed = [name for name in weights if name in after and name in before
                   and _changes(after[name], before[name], average.get(name))]  # fmt: skip
        if not changed:
            continue
        value: Any = changed
        factors = [_ratio(after[name], before[name]) for name in changed]
        words = f"{len(changed)} tensors change between steps {number} and {number + 1}, first {changed[0]}"
        if all(name in average and np.array_equal(average[name], before[name]) for name in changed):
            value = "average"
            words = f"after step {number} the weights become their average (`ema_overwrite_frequency`)"
        elif all(factor is not None for factor in factors) and np.ptp(factors) < 1e-6:  # type: ignore[arg-type]
            words = f"{len(changed)} tensors are multiplied by {factors[0]:.6g} between steps, beside the optimizer"
        yield {"name": "between_steps", "value": value, "words": words, "steps": (number,)}
        return


def _changes(after: Array, before: Array, average: Array | None) -> bool:
    """Whether a tensor is another than it was. average: of it, with which it may have been swapped and swapped back, as
    Keras does around an evaluation, by sums that round."""
    if np.array_equal(after, before):
        return False
    if average is None:
        return True
    a, b, held = (np.asarray(array, np.float64) for array in (after, before, average))
    return bool((np.abs(a - b) > _ROUNDING * (np.abs(a) + np.abs(held))).any())


def _ratio(ours: Any, theirs: Any) -> float | None:
    a, b = (np.asarray(array, np.float64).reshape(-1) for array in (ours, theirs))
    if not (length := float(a @ a)):
        return None
    factor = float(a @ b) / length
    return factor if np.abs(b - factor * a).max() <= 4e-7 * np.abs(b).max() else None
