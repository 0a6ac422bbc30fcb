"""Everything that is said of a section: its rows, against published numbers, against each other, their spread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from isotune.report._sentence import sentence
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.benchmark import Speed
from isotune.report.analysis.differences import Differences, differences
from isotune.report.analysis.handed_in import HandedIn
from isotune.report.analysis.prices import DefaultCost, Price, default_costs, prices
from isotune.report.analysis.published import Published, published
from isotune.report.analysis.sections import Section
from isotune.report.analysis.variance import Spread, spreads


@dataclass(frozen=True)
class Finding:
    section: Section
    sentence: str  # markdown
    published: Published
    differences: Differences
    prices: tuple[Price, ...]
    defaults: tuple[DefaultCost, ...]
    spreads: tuple[Spread, ...]


def judge(section: Section, answers: Answers, handed: Iterable[HandedIn] = ()) -> Finding:
    tested, priced = differences(section, answers), prices(section, answers)
    return Finding(
        section,
        sentence(section, answers, tested, priced),
        published(section, answers, handed),
        tested,
        priced,
        default_costs(section, answers),
        spreads(section, answers),
    )


def other_speeds(findings: Sequence[Finding], speeds: Sequence[Speed]) -> list[Speed]:
    """Speeds that are shown beside no accuracy; of duplicate rounds, the first."""
    shown = {id(speed) for each in findings for row in each.section.rows for speed in row.measured.sources}
    return [speed for speed in speeds if id(speed) not in shown and not speed.same_as]
