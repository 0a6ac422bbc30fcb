"""Which differences hold: rows of one architecture and checkpoint against each other, and native against identical.

Of an evaluation what the native set-up costs is a price, like each of its steps (`prices`). All other pairs of a
section are one table and are corrected together. The runs of the seeds decide, by the tests of
`isotune.statistics.compare_all`: t, or the permutation test where t has no answer. Where nothing that is drawn at
random reaches the predictions (a checkpoint's own classifier, a probe that gives the same at every seed), more runs
tell nothing more, and McNemar's exact test of the images decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from isotune.report.analysis.answers import Answers, Changed
from isotune.report.analysis.sections import SET_UPS, Row, Section, SetUp, Streams, common_seeds
from isotune.statistics import POINTS, Estimate, McNemar, Pair, compare_all, holm, paired_difference

DecidedBy = Literal["seeds", "images"]
ALPHA = 0.05
MOST_ROWS = 12  # of one architecture and checkpoint: 66 pairs of each set-up
MOST_PAIRS = 300  # of a section; a pair of 10 seeds takes about 2 ms


@dataclass(frozen=True)
class Difference:
    """second - first, points. Between two rows under one set-up, or of a row: native minus identical."""

    first: Row
    first_setup: SetUp
    second: Row
    second_setup: SetUp
    pair: Pair
    gap: Estimate  # over the seeds that both have done; where no run failed it is the pair's
    changed: Changed | None
    by_images: Mapping[Streams, McNemar]  # by seed; empty: predictions or labels are not available
    decided_by: DecidedBy
    p: float | None  # after Holm's correction for the section; None: `reason` says why
    reason: str

    @property
    def of_one_row(self) -> bool:
        return self.first is self.second

    @property
    def holds(self) -> bool:
        """At 5 %, remembering how many differences the section looks at."""
        return self.p is not None and self.p < ALPHA


@dataclass(frozen=True)
class Differences:
    """Of a section. `left_out`: rows that were not compared, because there are too many."""

    compared: tuple[Difference, ...]
    left_out: int


@dataclass(frozen=True)
class Side:
    """One of the two that are compared. what: that is done otherwise than in the row's own runs."""

    row: Row
    setup: SetUp
    what: str = ""

    @property
    def name(self) -> str:
        row = self.row
        return "\n".join((row.model, row.checkpoint, row.mode, row.overrides, row.version, self.setup.name, self.what))


def differences(section: Section, answers: Answers) -> Differences:
    """Pairs without common seeds are no pairs; nor are runs that repeat each other by construction.

    Of too many, those of the architectures that most libraries share are compared; of equals those of the best model.
    """
    chosen: list[tuple[Side, Side]] = []
    left_out = 0
    groups = sorted(section.twins(), key=lambda rows: -len({row.library for row in rows}))  # stable
    for rows in groups:
        pairs = list(_pairs(rows[:MOST_ROWS]))
        if len(chosen) + len(pairs) <= MOST_PAIRS:
            chosen += pairs
            left_out += len(rows[MOST_ROWS:])
        elif pairs:
            left_out += len(rows)
    return Differences(judged(chosen, answers), left_out)


def judged(pairs: Sequence[tuple[Side, Side]], answers: Answers) -> tuple[Difference, ...]:
    """The difference of each pair, all of them one question and corrected together."""
    each = [_judged(*pair, told, answers) for pair, told in zip(pairs, _compared(pairs), strict=True)]
    corrected = holm([one.p for one in each])
    return tuple(replace(one, p=p) for one, p in zip(each, corrected, strict=True))


def _judged(first: Side, second: Side, pair: Pair, answers: Answers) -> Difference:
    """With p not yet corrected."""
    by_images = answers.right_by_one(first.setup, second.setup)
    own_classifier = first.setup.first.cell.protocol.own_classifier is not None
    decided_by: DecidedBy = "seeds"
    p, reason = (pair.p_permutation, pair.reason) if pair.p_t is None else (pair.p_t, "")
    if own_classifier or (by_images and first.setup.fixed and second.setup.fixed):
        decided_by = "images"
        p = next(iter(by_images.values())).p if by_images else None  # the same at every seed
        reason = "" if by_images else "the predictions or the labels are not available"
    return Difference(
        first.row,
        first.setup,
        second.row,
        second.setup,
        pair,
        gap=paired_difference(first.setup.by_seed, second.setup.by_seed, within=POINTS),
        changed=answers.changed(first.setup, second.setup),
        by_images=by_images,
        decided_by=decided_by,
        p=p,
        reason=reason if p is None else "",
    )


def _pairs(rows: Sequence[Row]) -> Iterator[tuple[Side, Side]]:
    """What is compared, the better row first: each two under identical conventions, each two as they come, each row's
    own two set-ups."""
    sides = {name: [Side(row, setup) for row in rows for setup in row.setups if setup.name == name]
             for name in SET_UPS}  # fmt: skip
    for name, each in sides.items():
        for first, second in combinations(each, 2):
            same = name == "native" and first.setup.repeated and second.setup.repeated  # their identical runs once more
            if not same and common_seeds(first.setup, second.setup):
                yield first, second
    for row in rows:
        if row.evaluated:  # a price, among those of its steps
            continue
        if row.identical and row.native and not row.native.repeated and common_seeds(row.identical, row.native):
            yield Side(row, row.identical), Side(row, row.native)


def _compared(chosen: Sequence[tuple[Side, Side]]) -> tuple[Pair, ...]:
    runs = {side.name: side.setup.runs for pair in chosen for side in pair}
    return compare_all(runs, [(first.name, second.name) for first, second in chosen])
