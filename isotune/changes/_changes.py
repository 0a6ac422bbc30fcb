"""Two sides compared: everything that is said of them, as data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal

from isotune.changes import _words as words
from isotune.changes._accuracy import AccuracyChange, accuracy_changes
from isotune.changes._compared import Compared
from isotune.changes._environment import differing
from isotune.changes._one_sided import OneSided, one_sided
from isotune.changes._sides import Side, recipe
from isotune.changes._speeds import MARGIN, SpeedChange, speed_changes
from isotune.errors import UsageError, nearest
from isotune.printable import counted

if TYPE_CHECKING:
    import pandas as pd

Fall = Literal["accuracy", "speed"]
FALLS: tuple[Fall, ...] = ("accuracy", "speed")


class Changes(Compared):
    """What changed between two sets of runs."""

    def fell(self, *kinds: str) -> list[str]:
        """A line for each accuracy that fell and each speed that did, of these kinds, "accuracy" and "speed"; of both
        where none is named."""
        for kind in kinds:
            if kind not in FALLS:
                raise UsageError(f"{kind!r} does not fall; {nearest(kind, FALLS)}")
        wanted = kinds or FALLS
        accuracies = [words.fall(each) for each in self.accuracy if each.fell and "accuracy" in wanted]
        return accuracies + [words.fall(each) for each in self.speeds if each.fell and "speed" in wanted]

    def frame(self) -> pd.DataFrame:
        """A pandas table of the accuracies: a row for each that is on both sides. Percent, and points of difference."""
        import pandas as pd

        return pd.DataFrame([_accuracy(each) for each in self.accuracy])

    def speed_frame(self) -> pd.DataFrame:
        """A pandas table of the speeds: images/s, and ms of latencies; `change` is percent, below 0 slower."""
        import pandas as pd

        return pd.DataFrame([_speed(each) for each in self.speeds])

    @property
    def json(self) -> dict[str, Any]:
        """All of it, unrounded; what is not a number is null."""
        return {
            "version": 1,
            **{name: _side(side) for name, side in (("before", self.before), ("after", self.after))},
            "differing": [asdict(each) for each in self.differing],
            "accuracy": [_accuracy(each) for each in self.accuracy],
            "speeds": [_speed(each) for each in self.speeds],
            "only_before": [asdict(each) for each in self.only_before],
            "only_after": [asdict(each) for each in self.only_after],
            "repeated": self.repeated,
            "fell": {kind: self.fell(kind) for kind in FALLS},
        }

    def markdown(self) -> str:
        """A comment for a pull request: what changed, and the rest folded away."""
        return words.markdown(self)

    def __str__(self) -> str:
        return words.headline(self)

    def _repr_markdown_(self) -> str:
        return self.markdown()


def changes(before: Side, after: Side, *, margin: float = MARGIN) -> Changes:
    """Compare two sides. margin: percent by which a speed must fall. UsageError: nothing is on both sides."""
    both = sorted(before.runs.keys() & after.runs.keys())
    again = [subject for subject in both if all(
        run.repeats for side in (before, after) for run in side.runs[subject].values()
    )]  # fmt: skip
    subjects = [subject for subject in both if subject not in set(again)]
    clocks = sorted(before.clocks.keys() & after.clocks.keys())
    alone = one_sided(before, after), one_sided(after, before)
    if not both and not clocks:
        has = [f"{side.name} has {_first(only)}" for side, only in zip((before, after), alone, strict=True)]
        raise UsageError(f"nothing is on both sides: {'; '.join(has)}; compare runs of the same models and protocols")
    return Changes(
        before, after, differing(before, after, both), accuracy_changes(before, after, subjects),
        speed_changes(before, after, clocks, margin), *alone, len(again),
    )  # fmt: skip


def _first(only: tuple[OneSided, ...]) -> str:
    if not only:
        return "nothing that can be compared"
    return str(only[0]) + (f" and {counted(len(only) - 1, 'other')}" if len(only) > 1 else "")


def _side(side: Side) -> dict[str, Any]:
    return {"name": side.name, "kind": side.kind, "cells": side.cells, "left_out": list(side.left_out)}


def _accuracy(each: AccuracyChange) -> dict[str, Any]:
    subject = each.subject
    return {
        "model": subject.model, "checkpoint": subject.checkpoint, "dataset": each.named.dataset,
        "protocol": recipe(each.named.protocol), "conventions": subject.conventions, "mode": subject.mode,
        "seeds": each.seeds, "unpaired": each.unpaired, "before": _known(each.before.mean),
        "after": _known(each.after.mean), "gap": _known(each.gap.mean), "gap_low": _known(each.gap.low),
        "gap_high": _known(each.gap.high), "changed": each.changed.share if each.changed else None,
        "changed_is_bound": each.changed.at_least if each.changed else None,
        "only_before_right": _sum(test.only_first for test in each.by_images.values()),
        "only_after_right": _sum(test.only_second for test in each.by_images.values()),
        "decided_by": each.decided_by, "p": each.p, "outcome": each.outcome, "reason": each.reason,
        "failing": {"/".join(map(str, seed)): error for seed, error in each.failing.items()},
    }  # fmt: skip


def _sum(counts: Iterable[int]) -> int | None:
    known = list(counts)
    return sum(known) if known else None


def _speed(each: SpeedChange) -> dict[str, Any]:
    sides = (("before", each.before), ("after", each.after))
    return {
        **asdict(each.clock),
        **{f"{name}{end}": _known(getattr(timing, of)) for name, timing in sides
           for end, of in (("", "median"), ("_low", "low"), ("_high", "high"))},
        **{f"{name}_timings": timing.n for name, timing in sides},
        **{f"{name}_disturbed": timing.cause for name, timing in sides},
        "change": _known(each.percent), "change_low": _known(100 * (each.ratio.low - 1)),
        "change_high": _known(100 * (each.ratio.high - 1)), "margin": each.margin, "p": each.p,
        "outcome": each.outcome, "reason": each.reason,
    }  # fmt: skip


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
