"""Published run-to-run spread: as its sources state it, and over single runs that were published side by side."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import dataclass

from isotune.reference_results._schema import IDENTITY, Reference
from isotune.reference_results._tables import references

# What tells two runs of one experiment apart: who ran it, and where it was published.
_APART = ("measured_by", "source", "location", "evaluation")


@dataclass(frozen=True)
class Spread:
    """How much runs of one experiment differ, in `unit`. None: not published."""

    references: tuple[Reference, ...]  # one that states its spread, or the single runs
    runs: int
    mean: float | None  # None: a median is published, or no value
    sd: float | None
    low: float | None
    high: float | None
    derived: bool  # computed here, from single runs

    @property
    def unit(self) -> str:
        return self.references[0].unit


def published_spread(**wanted: object) -> list[Spread]:
    """Every published spread of the references that `references(**wanted)` gives; those that state it come first.

    Over single runs sd is the sample's, with divisor n - 1.
    """
    rows = references(**wanted)
    stated = [_stated(row) for row in rows if row.spread is not None or row.statistic == "range"]
    groups: dict[tuple[object, ...], list[Reference]] = defaultdict(list)
    for row in rows:
        if row.statistic == "single" and row.train:
            groups[tuple(getattr(row, name) for name in IDENTITY if name not in _APART)].append(row)
    return stated + [_derived(group) for group in groups.values() if len(group) > 1]


def _stated(row: Reference) -> Spread:
    return Spread(
        (row,), row.runs or 0, row.value if row.statistic == "mean" else None, row.sd, row.low, row.high, derived=False
    )


def _derived(rows: list[Reference]) -> Spread:
    values = [row.value for row in rows]
    return Spread(
        tuple(rows), len(rows), statistics.mean(values), statistics.stdev(values), min(values), max(values),
        derived=True,
    )  # fmt: skip
