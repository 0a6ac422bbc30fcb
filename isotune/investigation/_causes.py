"""Which convention makes a rung fail: the axes that can matter there, flipped one at a time, then together.

First one side takes the other's value of each axis in which the two differ: one at a time, then all, less those that
are not needed. Where that does not explain the rung, a side does not do what its conventions say, and each side is
tried under every other value, and again beside what helped most. A set is a cause when the rung holds with it, its
error ten times smaller at least (a rung that amplifies rounding has a wide bound); nothing is said of axes that only
come near.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from isotune.conventions import AXES
from isotune.errors import UsageError
from isotune.investigation._judging import Judged
from isotune.investigation.findings import Cause, Flip
from isotune.workers.process import WorkerFailure

MOST = 4  # axes in a set that is looked for
MARGIN = 10  # by which a cause lessens the error

Judge = Callable[[Sequence[Flip]], Judged]


def cause(
    before: Judged,
    axes: Sequence[str],
    left: Mapping[str, Any],
    right: Mapping[str, Any],
    judge: Judge,
    *,
    known: Sequence[Flip] = (),
    moved: Literal["left", "right"] = "right",
) -> Cause | None:
    """A set of flips with which the rung holds, and without any one of which it does not; None: there is none.

    before: the rung without flips. axes: those that can matter. left, right: what each side has of them.
    judge: the rung with flips; UsageError or WorkerFailure: a side cannot have them. known: causes of rungs below.
    moved: the side that is to take the other's values.
    """
    if known := [flip for flip in known if flip.axis in axes]:
        return _enough(before, known, judge) or _on_top(before, known, axes, left, right, judge, moved)
    mine, others = (left, right) if moved == "left" else (right, left)
    differing = [
        Flip(side=moved, axis=axis, was=mine[axis], value=others[axis]) for axis in axes if left[axis] != right[axis]
    ]
    return (
        _single(before, differing, judge)
        or _enough(before, differing, judge)
        or _smallest(before, list(_others(axes, left, right)), judge)
    )


def _on_top(
    before: Judged,
    known: Sequence[Flip],
    axes: Sequence[str],
    left: Mapping[str, Any],
    right: Mapping[str, Any],
    judge: Judge,
    moved: Literal["left", "right"],
) -> Cause | None:
    """What is missing beside the known ones, with those of them that are needed."""

    def beside(flips: Sequence[Flip]) -> Judged:
        return judge([*known, *flips])

    missing = cause(beside(()), axes, left, right, beside, moved=moved)
    return missing and _enough(before, [*known, *missing.flips], judge)


def values(axis: str, known: Sequence[Any]) -> list[Any]:
    """What an axis can be set to, those in `known` first."""
    return [value for value in dict.fromkeys((*known, *AXES[axis].candidates)) if value not in (None, "own")]


def _others(axes: Sequence[str], left: Mapping[str, Any], right: Mapping[str, Any]) -> Iterator[Flip]:
    """Every other value of each axis, on either side."""
    for axis in (axis for axis in axes if axis in AXES):
        for value in values(axis, (left[axis], right[axis])):
            if value not in (right[axis], left[axis]):
                yield Flip(side="right", axis=axis, was=right[axis], value=value)
            if value != left[axis]:
                yield Flip(side="left", axis=axis, was=left[axis], value=value)


def _single(before: Judged, flips: Sequence[Flip], judge: Judge) -> Cause | None:
    for flip in flips:
        if (judged := _tried(judge, [flip])) is not None and _explains(before, judged):
            return _cause(before, [flip], judged)
    return None


def _enough(before: Judged, flips: Sequence[Flip], judge: Judge) -> Cause | None:
    """All of them, less those that are not needed."""
    needed = list(flips)
    if len(needed) < 1 or (after := _tried(judge, needed)) is None or not _explains(before, after):
        return None
    for flip in flips:
        fewer = [other for other in needed if other != flip]
        if fewer and (judged := _tried(judge, fewer)) is not None and _explains(before, judged):
            needed, after = fewer, judged
    return _cause(before, needed, after)


def _smallest(before: Judged, flips: Sequence[Flip], judge: Judge) -> Cause | None:
    """One flip, or else one after the other, each the one that then helps most."""
    chosen: list[Flip] = []
    now = before
    for _ in range(MOST):
        enough: list[tuple[Flip, Judged]] = []
        helpful: list[tuple[Flip, Judged]] = []
        for flip in flips:
            if flip.axis in (other.axis for other in chosen):  # both sides changed alike would be another question
                continue
            if (judged := _tried(judge, [*chosen, flip])) is None:
                continue
            if _explains(before, judged):
                enough.append((flip, judged))
            elif _helps(now, judged):
                helpful.append((flip, judged))
        if enough:
            first, judged = enough[0]
            return _cause(before, [*chosen, first], judged, tuple(flip for flip, _ in enough[1:] if not chosen))
        if not helpful:
            return None
        best, now = min(helpful, key=lambda tried: len(tried[1].failing))
        chosen.append(best)
    return None


def _explains(before: Judged, after: Judged) -> bool:
    return after.holds and after.worst * MARGIN <= before.worst


def _helps(before: Judged, after: Judged) -> bool:
    """Whether some tensor's error falls tenfold, and no more of them fail."""
    errors = {error.name: error.relative for error in after.errors}
    falls = any(errors.get(error.name, np.inf) * MARGIN <= error.relative for error in before.failing)
    return falls and len(after.failing) <= len(before.failing)


def _tried(judge: Judge, flips: Sequence[Flip]) -> Judged | None:
    try:
        return judge(flips)
    except (UsageError, WorkerFailure):  # the side cannot have this value: no explanation
        return None


def _cause(before: Judged, flips: Sequence[Flip], after: Judged, instead: tuple[Flip, ...] = ()) -> Cause:
    return Cause(
        flips=tuple(flips), before=before.worst, after=after.worst, layers=len(before.failing), instead=instead
    )
