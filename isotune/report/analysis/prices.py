"""What one thing done otherwise costs: a step of an evaluation, or one of the library's own defaults in a training.

Of an evaluation both saw the same images, and nothing is drawn at random, so McNemar's exact test decides, image by
image. Of trainings those that are identical but for one default are paired by seed with the identical ones; all
defaults at once, the row's native runs, stand among the differences of the section (`differences`). The steps of one
row are one question, and its defaults another, each corrected together. What one default did over all sections is a
summary of these, and no test of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import isnan
from statistics import median
from typing import Literal

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

    @property
    def outcome(self) -> Literal["nothing", "falls", "rises", "undecided"]:
        """What becomes of the accuracy: undecided is a difference that does not hold."""
        if self.changes_nothing:
            return "nothing"
        if not self.difference.holds:
            return "undecided"
        return "falls" if self.difference.gap.mean < 0 else "rises"


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


@dataclass(frozen=True)
class DefaultOverSections:
    """One default of a model in every section that ran it. row: of the first of them."""

    row: Row
    what: str
    costs: tuple[DefaultCost, ...]

    @property
    def model(self) -> tuple[str, ...]:
        """Of which it is a default: what sets its row apart."""
        return self.row.model, self.row.checkpoint, self.row.mode, self.row.overrides, self.row.version

    @property
    def points(self) -> list[float]:
        """One a section, without those in which no seed is common."""
        return [each.difference.gap.mean for each in self.costs if not isnan(each.difference.gap.mean)]

    @property
    def median(self) -> float:
        return median(self.points or [0.0])

    @property
    def changes_nothing(self) -> bool:
        return all(each.changes_nothing for each in self.costs)


def over_sections(told: Iterable[Sequence[DefaultCost]]) -> list[DefaultOverSections]:
    """Model by model, the dearest by the median first, what changes nothing anywhere last; empty unless two sections
    priced any. told: of each section."""
    sections = [costs for costs in told if costs]
    groups: dict[tuple[tuple[str, ...], str], DefaultOverSections] = {}
    for each in itertools.chain(*sections):
        one = DefaultOverSections(each.row, each.default.what, (each,))
        known = groups.setdefault((one.model, one.what), one)
        if known is not one:
            groups[one.model, one.what] = replace(known, costs=(*known.costs, each))
    models = list(dict.fromkeys(model for model, _ in groups))
    over = sorted(
        groups.values(), key=lambda each: (models.index(each.model), each.changes_nothing, each.median, each.what)
    )
    return over if len(sections) > 1 else []
