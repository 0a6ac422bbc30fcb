"""What one thing done otherwise costs: a step of an evaluation, or one of the library's own defaults in a training.

Of an evaluation both saw the same images, and nothing is drawn at random, so McNemar's exact test decides, image by
image. Of trainings those that are identical but for one default are paired by seed with the identical ones; all
defaults at once, the row's native runs, stand among the differences of the section (`differences`). The steps of one
row are one question, and its defaults another, each corrected together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from isotune.conventions import written_value
from isotune.report.analysis.answers import Answers, Changed
from isotune.report.analysis.differences import ALPHA, Difference, Side, judged
from isotune.report.analysis.sections import OwnDefault, Row, Section
from isotune.runs.preprocessing_costs import otherwise
from isotune.runs.records import Record
from isotune.statistics import McNemar, holm


@dataclass(frozen=True)
class Price:
    """Of one step of a row. points: of accuracy, the step less the evaluation itself; None: that was not run."""

    row: Row
    record: Record
    what: str  # "resize=plain", "squash", "native"
    points: float | None
    changed: Changed | None
    test: McNemar | None  # None: predictions or labels are not at hand
    p: float | None = None  # after Holm's correction for the steps of this row

    @property
    def accuracy(self) -> float:
        """Percent."""
        assert self.record.metrics is not None
        return 100 * self.record.metrics.accuracy

    @property
    def same(self) -> bool:
        """It is the evaluation itself: equal in all that matters to this network."""
        return self.record.same_as is not None

    @property
    def holds(self) -> bool:
        """The accuracy is another, at 5 %, remembering how many steps were tried."""
        return self.p is not None and self.p < ALPHA


def prices(section: Section, answers: Answers) -> tuple[Price, ...]:
    """Of every row that has steps, the dearest step first; what a library's own defaults cost is one of them."""
    told: list[Price] = []
    for row in section.rows:
        of_row = list(_of(row, answers))
        tried = [price for price in of_row if not price.same]
        corrected = holm([price.test.p if price.test else None for price in tried])
        priced = [replace(price, p=p) for price, p in zip(tried, corrected, strict=True)]
        told += sorted(priced, key=lambda price: (price.points or 0.0, price.what))
        told += sorted((price for price in of_row if price.same), key=lambda price: price.what)
    return tuple(told)


def _of(row: Row, answers: Answers) -> Iterator[Price]:
    records = list(row.steps)
    if row.evaluated and row.identical and row.native:
        records.append(row.native.first)
    base = row.identical.first if row.identical else None
    for record in records:
        points = changed = test = None
        if base is not None and base.metrics and record.metrics:
            points = 100 * (record.metrics.accuracy - base.metrics.accuracy)
            changed, test = answers.changed_between(base, record), answers.tested(base, record)
        yield Price(row, record, otherwise(record.cell), points, changed, test)


@dataclass(frozen=True)
class DefaultCost:
    """Of one default of a row. difference: with it less identical, points."""

    row: Row
    default: OwnDefault
    difference: Difference

    @property
    def in_place_of(self) -> str:
        """The value that the axis has in the identical runs; empty where they do not say it."""
        identical = self.difference.first_setup.first.conventions
        return "" if identical is None else written_value(getattr(identical, self.default.what.partition("=")[0]))

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
