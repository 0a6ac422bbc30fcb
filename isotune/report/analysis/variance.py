"""Where the spread over seeds comes from: the finite test set or training, and which seed stream."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from isotune.report.analysis.answers import Answers
from isotune.report.analysis.sections import Row, Section, SetUp
from isotune.seeds import Seeds, apart
from isotune.statistics import (
    PERCENT,
    Component,
    Interval,
    Run,
    VarianceBySource,
    VarianceSplit,
    split_variance,
    variance_by_source,
)

MOST_SPLIT = 200  # set-ups of a section: each reads the predictions of all its seeds


@dataclass(frozen=True)
class Spread:
    """Of one set-up's accuracies."""

    row: Row
    setup: SetUp
    split: VarianceSplit | None  # of accuracies in 0..1; None: predictions or labels are not available
    streams: VarianceBySource | None  # percentage points squared; None: the seeds of the streams do not vary apart

    @property
    def parts(self) -> list[Component]:
        """The components of the streams, and the same-seed noise where it is none of them."""
        if self.streams is None:
            return []
        noise = self.streams.noise
        apart = noise is not None and all(part.streams for part in self.streams.components)
        return [*self.streams.components, *([noise] if noise and apart else [])]


def spreads(section: Section, answers: Answers) -> tuple[Spread, ...]:
    """Of every set-up whose runs can differ: those with at least two seeds, once where two repeat each other."""
    chosen = [(row, setup) for row in section.rows for setup in row.distinct if len(setup.records) > 1]
    return tuple(
        Spread(row, setup, _split(setup, answers) if place < MOST_SPLIT else None, _streams(setup))
        for place, (row, setup) in enumerate(chosen)
    )


def _split(setup: SetUp, answers: Answers) -> VarianceSplit | None:
    right = answers.right(setup)
    return None if right is None else split_variance(right)


def _streams(setup: SetUp) -> VarianceBySource | None:
    """None where every run has one seed for all streams, as most have: no design, so nothing to say about it."""
    runs = setup.runs
    if all(len(set(streams)) == 1 for streams in setup.records):
        return None
    by_stream = apart(map(Seeds.from_streams, runs))
    variance = variance_by_source(
        (Run(seeds, 0, value) for seeds, value in zip(by_stream, runs.values(), strict=True)), within=PERCENT
    )
    return variance if variance.components or variance.reason else None


def stream(part: Component) -> str:
    return " x ".join(part.streams) or "the same seeds again"


def deviation(part: Component) -> Interval:
    """A component's interval as standard deviations, percentage points."""
    return Interval(sqrt(max(part.interval.low, 0)), sqrt(max(part.interval.high, 0)))
