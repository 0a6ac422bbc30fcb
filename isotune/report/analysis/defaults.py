"""What each default of a library costs by itself: runs that are identical but for it, against the identical runs.

They are paired by seed. The defaults of one row are one question, and corrected together; all of them at once, the
row's native runs, stand among the differences of the section (`differences`).
"""

from __future__ import annotations

from dataclasses import dataclass

from isotune.report.analysis.answers import Answers
from isotune.report.analysis.differences import Difference, Side, judged
from isotune.report.analysis.sections import OwnDefault, Row, Section


@dataclass(frozen=True)
class DefaultCost:
    """Of one default of a row. difference: with it less identical, points."""

    row: Row
    default: OwnDefault
    difference: Difference

    @property
    def changes_nothing(self) -> bool:
        """Every prediction of every seed is the identical run's."""
        changed = self.difference.changed
        return changed is not None and changed.share == 0 and not changed.at_least


def default_costs(section: Section, answers: Answers) -> tuple[DefaultCost, ...]:
    """Of every row that ran them, the dearest default first, those that change no prediction last."""
    told: list[DefaultCost] = []
    for row in section.rows:
        if row.identical is None:
            continue
        base = Side(row, row.identical)
        pairs = [(base, Side(row, default.setup, default.what)) for default in row.defaults]
        costs = [
            DefaultCost(row, default, difference)
            for default, difference in zip(row.defaults, judged(pairs, answers), strict=True)
        ]
        told += sorted(costs, key=lambda each: (each.changes_nothing, each.difference.gap.mean, each.default.what))
    return tuple(told)
