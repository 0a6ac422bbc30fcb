"""Which convention makes a rung fail: the axes that can matter there, flipped one at a time, then together.

First one side takes the other's value of each axis in which the two differ: one at a time, then all, less those that
are not needed. Where that does not explain the rung, a side does not do what its conventions say, and each side is
tried under every other value, and again beside what helped most. A set is a cause when the rung holds with it, its
error ten times smaller at least (a rung that amplifies rounding has a wide bound); nothing is said of axes that only
come near.

Where no set makes the whole rung hold, it is judged layer by layer: what makes some of the failing layers hold, and
none fail that held, is the cause of those, and the search goes on with the others. What is left has no cause.

A side may leave out a part of the protocol instead. That is tried as the conventions are, for the whole rung alone; and
a convention which no side declares, and which mends no more than leaving out a part does, is not the cause of what it
mends: gradients too small to be clipped are the same under every form of clipping.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Explained:
    """What explains a rung, or a part of it."""

    cause: Cause | None = None
    rest: tuple[str, ...] = ()  # names of what fails without a known cause, in the rung's order


@dataclass(frozen=True)
class _Axes:
    """What is searched: the axes that can matter, what each side has of them, and the side that takes the other's."""

    names: Sequence[str]
    left: Mapping[str, Any]
    right: Mapping[str, Any]
    moved: Literal["left", "right"]
    left_out: Sequence[Flip] = ()  # parts of the protocol that a side may leave out

    def differing(self) -> list[Flip]:
        """The other side's value of each axis in which the two differ."""
        mine, others = (self.left, self.right) if self.moved == "left" else (self.right, self.left)
        return [
            Flip(side=self.moved, axis=axis, was=mine[axis], value=others[axis])
            for axis in self.names
            if self.left[axis] != self.right[axis]
        ]

    def others(self) -> Iterator[Flip]:
        """Every other value of each axis, on either side."""
        for axis in (axis for axis in self.names if axis in AXES):
            left, right = self.left[axis], self.right[axis]
            for value in values(axis, (left, right)):
                if value not in (right, left):
                    yield Flip(side="right", axis=axis, was=right, value=value)
                if value != left:
                    yield Flip(side="left", axis=axis, was=left, value=value)


def explained(
    before: Judged,
    axes: Sequence[str],
    left: Mapping[str, Any],
    right: Mapping[str, Any],
    judge: Judge,
    *,
    known: Sequence[Flip] = (),
    moved: Literal["left", "right"] = "right",
    beyond: Collection[str] = (),
    by_parts: bool = False,
    left_out: Sequence[Flip] = (),
) -> Explained:
    """A set of flips with which the rung holds, and without any one of which it does not.

    before: the rung without flips. axes: those that can matter. left, right: what each side has of them.
    judge: the rung with flips; UsageError or WorkerFailure: a side cannot have them. known: causes of rungs below.
    moved: the side that is to take the other's values. beyond: names of what is known to have no cause.
    by_parts: each name stands for itself, so that flips may explain some of them.
    left_out: parts of the protocol that a side may leave out.
    """
    unjudged = tuple(error.name for error in before.failing if error.name in beyond)
    before = _less(before, beyond)
    if before.holds:
        return Explained(None, unjudged)

    def less(flips: Sequence[Flip]) -> Judged:
        return _less(judge(flips), beyond)

    searched, known = _Axes(axes, left, right, moved, left_out), [flip for flip in known if flip.axis in axes]
    if named := _whole(before, searched, less, known):
        return Explained(named, unjudged)
    named = _parts(before, searched, less, known) if by_parts and len(before.failing) > 1 else None
    failing = [error.name for error in before.failing]
    rest = failing if named is None else [name for name in failing if name not in named.cures]
    order = [error.name for error in before.errors]
    return Explained(named, (*unjudged, *sorted(rest, key=order.index)))


def _less(judged: Judged, beyond: Collection[str]) -> Judged:
    return replace(judged, errors=tuple(error for error in judged.errors if error.name not in beyond))


def _whole(before: Judged, axes: _Axes, judge: Judge, known: Sequence[Flip] = ()) -> Cause | None:
    if known:
        return _enough(before, known, judge) or _on_top(before, known, axes, judge)
    differing = axes.differing()
    return (
        _single(before, differing, judge)
        or _enough(before, differing, judge)
        or _smallest(before, [*axes.others(), *axes.left_out], judge)
    )


def _parts(before: Judged, axes: _Axes, judge: Judge, known: Sequence[Flip]) -> Cause | None:
    """What cures some of what fails: of the axes that differ first, then every other value for what is left."""
    chosen, cured = _helping(before, known or axes.differing(), judge)
    absent = [_cured(before, judge, [*chosen, flip]) for flip in axes.left_out]
    others = [*axes.others(), *(axes.differing() if known else ())]
    for _ in range(MOST):
        tried = [
            (flip, _cured(before, judge, [*chosen, flip]))
            for flip in others
            if flip.axis not in (other.axis for other in chosen)
        ]
        more_than_absent = [each for each in tried if not any(each[1] - cured <= without for without in absent)]
        flip, more = max(more_than_absent, key=lambda each: len(each[1]), default=(None, cured))
        if flip is None or not more > cured:
            break
        chosen, cured = [*chosen, flip], more
    if not cured:
        return None
    after = judge(chosen)
    held = {error.name: error.relative for error in after.errors}
    return Cause(
        flips=tuple(chosen), before=max(error.relative for error in before.failing if error.name in cured),
        after=max(held[name] for name in cured), layers=len(before.failing), cures=tuple(sorted(cured)),
    )  # fmt: skip


def _helping(before: Judged, flips: Sequence[Flip], judge: Judge) -> tuple[list[Flip], frozenset[str]]:
    """Those of the flips that are needed for what they cure together, or the one that cures most."""
    needed, cured = list(flips), _cured(before, judge, flips) if flips else frozenset()
    if not cured:  # one of them may be what a side cannot have, or harm
        alone = [(flip, _cured(before, judge, [flip])) for flip in flips]
        flip, cured = max(alone, key=lambda each: len(each[1]), default=(None, frozenset()))
        return ([flip], cured) if flip is not None and cured else ([], frozenset())
    for flip in flips:
        fewer = [other for other in needed if other != flip]
        if fewer and _cured(before, judge, fewer) >= cured:
            needed = fewer
    return needed, cured


def _cured(before: Judged, judge: Judge, flips: Sequence[Flip]) -> frozenset[str]:
    """Names that fail before and hold after, ten times better; none where one fails that held."""
    if (after := _tried(judge, flips)) is None:
        return frozenset()
    failing = {error.name for error in before.failing}
    still = {error.name for error in after.failing}
    if not still <= failing:
        return frozenset()
    now = {error.name: error.relative for error in after.errors}
    return frozenset(
        error.name
        for error in before.failing
        if error.name not in still and now.get(error.name, np.inf) * MARGIN <= error.relative
    )


def _on_top(before: Judged, known: Sequence[Flip], axes: _Axes, judge: Judge) -> Cause | None:
    """What is missing beside the known ones, with those of them that are needed."""

    def beside(flips: Sequence[Flip]) -> Judged:
        return judge([*known, *flips])

    missing = _whole(beside(()), axes, beside)
    return missing and _enough(before, [*known, *missing.flips], judge)


def values(axis: str, known: Sequence[Any]) -> list[Any]:
    """What an axis can be set to, those in `known` first."""
    return [value for value in dict.fromkeys((*known, *AXES[axis].candidates)) if value not in (None, "own")]


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
            if chosen:  # what helped on the way may not be needed any more
                return _enough(before, [*chosen, first], judge)
            return _cause(before, [first], judged, tuple(flip for flip, _ in enough[1:]))
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
