"""Which speeds fell or rose by more than a margin, as far as the noise of their rounds allows to say so.

Mann and Whitney's test of the rounds, beyond the margin, corrected by Holm for all speeds that are judged. Figures that
something disturbed, and those of another machine, are shown and judge nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from isotune.changes._sides import Side
from isotune.changes._timings import Clock
from isotune.report.analysis.timing import Timing
from isotune.statistics import Ratio, compare_rounds, holm

ALPHA = 0.05
MARGIN = 10.0  # percent: by so much two runs of one program may differ on one machine, however quiet
Outcome = Literal["fell", "rose", "no change", "not judged"]


@dataclass(frozen=True)
class SpeedChange:
    """One clock on both sides. ratio: of the speeds, after / before, above 1 where it is faster. p: after Holm's
    correction; None: it is not judged, and `reason` says why."""

    clock: Clock
    before: Timing
    after: Timing
    ratio: Ratio
    p: float | None
    reason: str
    margin: float

    @property
    def percent(self) -> float:
        """By how much it is faster; below 0: slower."""
        return 100 * (self.ratio.ratio - 1)

    @property
    def outcome(self) -> Outcome:
        if self.p is None:
            return "not judged"
        if self.p < ALPHA:
            return "fell" if self.ratio.ratio < 1 else "rose"
        return "no change"

    @property
    def fell(self) -> bool:
        return self.outcome == "fell"


def speed_changes(
    before: Side, after: Side, clocks: Sequence[Clock], margin: float = MARGIN
) -> tuple[SpeedChange, ...]:
    """Of all clocks that both sides have: what fell first, then by the size of the change. margin: percent."""
    changes = [_change(clock, before, after, margin) for clock in clocks]
    corrected = holm([each.p for each in changes if each.p is not None])
    judged = iter(corrected)
    changes = [each if each.p is None else replace(each, p=next(judged)) for each in changes]
    ranks: tuple[Outcome, ...] = ("fell", "rose", "no change", "not judged")
    return tuple(sorted(changes, key=lambda each: (ranks.index(each.outcome), -abs(each.percent), each.clock)))


def _change(clock: Clock, before: Side, after: Side, margin: float) -> SpeedChange:
    first, second = before.clocks[clock], after.clocks[clock]
    # latencies are no rates: the ratio of the speeds is theirs the other way round
    slower, faster = (second, first) if clock.unit == "ms" else (first, second)
    ratio = compare_rounds(slower.values, faster.values, margin / 100)
    reason = _reason(clock, before, after)
    return SpeedChange(clock, first.timing, second.timing, ratio, None if reason else ratio.p, reason, margin)


def _reason(clock: Clock, before: Side, after: Side) -> str:
    machines = before.machines[clock], after.machines[clock]
    if len(machines[0] | machines[1]) > 1:
        return "another machine"
    for name, side in (("before", before), ("after", after)):
        if cause := side.clocks[clock].timing.cause:
            return f"disturbed {name}: {cause}"
    if 1 in (len(before.clocks[clock].values), len(after.clocks[clock].values)):
        return "one timing"
    return ""
