"""Which test images two runs predict differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from isotune.report.analysis.answers import Answers
from isotune.report.analysis.differences import Difference
from isotune.report.analysis.judging import Finding
from isotune.report.analysis.prices import Price
from isotune.report.analysis.sections import Row, SetUp, common_seeds
from isotune.runs.records import Cell, Record


@dataclass(frozen=True)
class Side:
    """One of the two. how: its set-up, or what is done otherwise."""

    row: Row
    how: str


@dataclass(frozen=True)
class Disagreement:
    """Images are numbered from 0 in the order of the runs' test images.

    images, first_says, second_says: int64 [n], classes by their numbers; labels: likewise, None where the data set is
    not in the cache. Those come first that only one of the two has right.
    """

    first: Side
    second: Side
    cell: Cell  # of the first run
    images: np.ndarray
    labels: np.ndarray | None
    first_says: np.ndarray
    second_says: np.ndarray
    tested: int  # images in all
    seeds: int  # that could be looked at; the first is

    @property
    def only(self) -> tuple[int, int]:
        """How many of them only the first, and only the second, has right. Labels must be known."""
        return int(np.sum(self.first_says == self.labels)), int(np.sum(self.second_says == self.labels))


def of_difference(each: Difference, answers: Answers) -> Disagreement | None:
    """Of the first common seed at which they differ; None: they do not, or predictions are not at hand."""
    seeds = common_seeds(each.first_setup, each.second_setup)
    sides = Side(each.first, each.first_setup.name), Side(each.second, each.second_setup.name)
    pairs = ((each.first_setup.records[seed], each.second_setup.records[seed]) for seed in seeds)
    differing = (_of_runs(*sides, *pair, answers, len(seeds)) for pair in pairs)
    return next((one for one in differing if one is not None), None)


def of_price(price: Price, answers: Answers) -> Disagreement | None:
    """Of a step and the evaluation itself; None likewise."""
    base: SetUp | None = price.row.identical
    if base is None or price.same:
        return None
    sides = Side(price.row, "identical"), Side(price.row, price.what)
    return _of_runs(*sides, base.first, price.record, answers, 1)


def _of_runs(first: Side, second: Side, one: Record, two: Record, answers: Answers, seeds: int) -> Disagreement | None:
    if one.predictions_digest == two.predictions_digest or (pair := answers.pair(one, two)) is None:
        return None
    labels, a, b = pair
    images = np.flatnonzero(a != b)
    if labels is not None:
        undecided = (a != labels) & (b != labels)
        images = images[np.argsort(undecided[images], kind="stable")]
    return Disagreement(
        first, second, one.cell, images, None if labels is None else labels[images], a[images], b[images],
        len(a), seeds,
    )  # fmt: skip


def of_finding(finding: Finding, answers: Answers) -> Iterator[tuple[Difference | Price, Disagreement]]:
    """Of everything that a section compares, in the order of its tables."""
    for price in finding.prices:
        if (one := of_price(price, answers)) is not None:
            yield price, one
    for each in finding.differences.compared:
        if (one := of_difference(each, answers)) is not None:
            yield each, one
