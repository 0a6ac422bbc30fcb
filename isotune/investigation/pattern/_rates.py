"""Another learning rate for some tensors, told from one step: their updates are a multiple, their slots are the same.

The rate stands outside of what an optimizer remembers (torch/optim/sgd.py, adam.py), so that a rate of its own scales
the update of a tensor and no slot. A gradient that is scaled, or clipped, changes the slots too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

Array = np.ndarray
_SAME = 1e-6  # two factors are one, relative
_ROUNDING = 1e-14  # of a weight, which its update is the difference of
_MOST = 3  # factors: more are no groups that anybody made
_NAMED = 3


def rates(
    failing: Sequence[str], reference: Mapping[str, Array], other: Mapping[str, Array], before: Mapping[str, Array]
) -> str:
    """By which factor the other's learning rate is that of the reference, and of which tensors; empty: it is not that.

    failing: names that differ after one step. reference, other: after the step, tensors by canonical name, the
    optimizer's slots as NAME/SLOT. before: the tensors that both had before.
    """
    trained = [name for name in reference if "/" not in name]
    slots = [name for name in reference if "/" in name]
    if not failing or not slots or any("/" in name for name in failing):
        return ""
    named: dict[float, list[str]] = {}
    for name in failing:
        factor = _factor(name, reference, other, before)
        if factor is None:
            return ""
        known = next((each for each in named if abs(each - factor) <= _SAME * abs(each)), factor)
        named.setdefault(known, []).append(name)
    if len(named) > _MOST:
        return ""
    said = [f"{factor:.6g} times the reference's for {_of(names, len(trained))}" for factor, names in named.items()]
    return f"the other's learning rate is {' and '.join(said)}: the slots agree, the updates are multiples"


def _factor(
    name: str, reference: Mapping[str, Array], other: Mapping[str, Array], before: Mapping[str, Array]
) -> float | None:
    """By which the other's update is the reference's; None: it is no multiple, or one of them stays as it was."""
    if name not in other or name not in before:
        return None
    w, ours, theirs = (np.asarray(side[name], np.float64).ravel() for side in (before, reference, other))
    if not w.size == ours.size == theirs.size:
        return None
    ours, theirs = ours - w, theirs - w
    size, length = float(np.abs(ours).max(initial=0.0)), float(ours @ ours)
    factor = float(ours @ theirs) / length if length else 0.0
    allowed = _SAME * abs(factor) * size + _ROUNDING * float(np.abs(w).max(initial=0.0))
    fits = float(np.abs(theirs - factor * ours).max(initial=0.0)) <= allowed
    return factor if factor and fits else None


def _of(names: Sequence[str], total: int) -> str:
    if len(names) == total:
        return "all tensors"
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{len(names)} of {total} tensors ({', '.join(names[:_NAMED])}{more})"
