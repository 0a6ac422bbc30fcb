"""Which seed does the accuracy depend on? Variance by source, from runs over several seed streams."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf, prod, sqrt
from typing import Literal, NamedTuple

import numpy as np

from isotune.statistics._estimates import Interval, check_confidence
from isotune.statistics._mean_squares import Term, deviations, effects, interval, mean_squares, terms, value

Key = tuple[int, ...]  # a seed for each stream


class Run(NamedTuple):
    """One run of a design. accuracy: any unit; NaN is a run that failed."""

    seeds: Mapping[str, int]  # by stream; of the same streams in all runs
    repeat: int  # counts runs of the same seeds
    accuracy: float


@dataclass(frozen=True)
class Component:
    """Variance that one source gives, in the accuracy's unit squared."""

    streams: tuple[str, ...]  # one: that stream by itself; several: their interaction; none: the same seeds again
    variance: float  # unbiased, so that it can fall below zero; that means: none was found
    interval: Interval
    with_noise: bool  # what same-seed reruns vary by is part of it
    share: float | None  # 0..1 of all components, those below zero as 0; None: they do not add up
    deviations: tuple[float, ...]  # what each seed, or each combination, adds to the mean; the accuracy's unit

    @property
    def sd(self) -> float:
        return sqrt(max(self.variance, 0.0))


@dataclass(frozen=True)
class VarianceBySource:
    """The components of a design, and apart from them what same-seed reruns vary by."""

    design: Literal["crossed", "one at a time", "same seeds", "none"]
    runs: int
    components: tuple[Component, ...]
    noise: Component | None  # None: no seeds were run twice
    reason: str  # why there are no components, or empty

    @property
    def total(self) -> float | None:
        """Variance of one run with all streams drawn afresh; None: the design does not tell."""
        return sum(part.variance for part in self.components) if self.design == "crossed" else None


def variance_by_source(
    runs: Iterable[Run], confidence: float = 0.95, *, within: Interval | None = None
) -> VarianceBySource:
    """Variance components of the accuracy over the seed streams, as the runs have them.

    What the runs are is recognised:

    - crossed: every chosen seed of each stream with every one of the others. Random effects, by the method of moments
      (expected mean squares; `_mean_squares`): each stream by itself, and their interactions. The widest interaction
      holds the same-seed noise too, unless every cell was run equally often, twice or more: then the noise is a
      component of its own. A stream that keeps one seed is no factor; its interactions are then part of the others.
    - one at a time: from one base run, only one stream changes. A stream's component is the variance of those runs:
      its own, its interactions, and the noise. So the components overlap and have no shares.
    - same seeds: only repeats.

    The noise is the variance within cells, pooled over all cells that were run twice or more; other than in a crossed
    design that is repeated throughout, only the lowest repeat of a cell enters the components.

    Intervals are modified large-sample ones (Ting et al. 1990), where a component is one mean square exactly the
    chi-squared one. They suppose normal effects, and with few seeds they are wide: a variance from 4 seeds has an
    upper bound of about 14 times itself. A component that is truly 0 is covered in 97.5 % or more, not 95 %.

    Variances that are all zero have intervals of no width. With failed or missing runs there are no components, as
    those that fail are not a random part. Errors: ValueError for the same seeds and repeat twice, or other streams.

    within: limits of the accuracies, `PERCENT`; no variance between them is above a quarter of their distance's square
    (Popoviciu 1935), nor is a component of it, and intervals end there.
    """
    told = _variance_by_source(runs, confidence)
    if within is None:
        return told
    limits = Interval(-inf, (within.high - within.low) ** 2 / 4)
    components = tuple(replace(part, interval=part.interval.within(limits)) for part in told.components)
    noise = told.noise and replace(told.noise, interval=told.noise.interval.within(limits))
    return replace(told, components=components, noise=noise)


def _variance_by_source(runs: Iterable[Run], confidence: float) -> VarianceBySource:
    check_confidence(confidence)
    streams, cells, failed, count = _cells(runs)
    if not count or failed:
        reason = f"{failed} of {count} runs failed" if failed else "no runs"
        return VarianceBySource("none", count, (), None, reason)
    noise = _noise(cells, confidence)
    levels = [sorted({key[stream] for key in cells}) for stream in range(len(streams))]
    varied = [stream for stream, seeds in enumerate(levels) if len(seeds) > 1]
    if not varied:
        reason = "" if noise else "1 run: at least two are needed"
        return VarianceBySource("same seeds" if noise else "none", count, (), noise, reason)
    if len(varied) > 1 and prod(map(len, levels)) == len(cells):
        return VarianceBySource(
            "crossed", count, _crossed(cells, streams, levels, varied, noise, confidence), noise, ""
        )
    base = next((key for key in sorted(cells) if all(_changes(key, other) <= 1 for other in cells)), None)
    if base is None:
        reason = f"neither crossed ({len(cells)} of {prod(map(len, levels))} cells) nor one stream at a time"
        return VarianceBySource("none", count, (), noise, reason)
    one_each = tuple(_one_at_a_time(cells, base, stream, streams[stream], confidence) for stream in varied)
    return VarianceBySource("one at a time", count, one_each, noise, "")


def _cells(runs: Iterable[Run]) -> tuple[tuple[str, ...], dict[Key, np.ndarray], int, int]:
    """Streams; accuracies by seeds, lowest repeat first; how many failed; how many there are."""
    streams: tuple[str, ...] = ()
    by_seeds: dict[Key, dict[int, float]] = defaultdict(dict)
    for run in runs:
        streams = streams or tuple(run.seeds)
        if set(run.seeds) != set(streams):
            raise ValueError(f"a run has seeds of {', '.join(run.seeds)}, another of {', '.join(streams)}")
        key = tuple(run.seeds[stream] for stream in streams)
        if run.repeat in by_seeds[key]:
            raise ValueError(f"repeat {run.repeat} of the seeds {key} appears twice")
        by_seeds[key][run.repeat] = run.accuracy
    cells = {key: np.array([values[repeat] for repeat in sorted(values)]) for key, values in by_seeds.items()}
    everything = np.concatenate([*cells.values(), np.empty(0)])
    return streams, cells, int(np.sum(~np.isfinite(everything))), everything.size


def _noise(cells: Mapping[Key, np.ndarray], confidence: float) -> Component | None:
    repeated = [values - values[0] for values in cells.values() if values.size > 1]  # equal values leave exact zeros
    df = sum(values.size - 1 for values in repeated)
    if not df:
        return None
    within = np.concatenate([values - values.mean() for values in repeated])
    square = float(np.sum(within**2)) / df
    return _component((), [Term(1.0, square, df)], within, confidence, with_noise=True)


def _crossed(
    cells: Mapping[Key, np.ndarray],
    streams: Sequence[str],
    levels: Sequence[Sequence[int]],
    varied: Sequence[int],
    noise: Component | None,
    confidence: float,
) -> tuple[Component, ...]:
    shape = [len(levels[stream]) for stream in varied]
    repeats = {values.size for values in cells.values()}
    throughout = repeats.pop() if len(repeats) == 1 else 1
    keys = product(*levels)
    table = np.array([cells[key][:throughout].mean() for key in keys]).reshape(shape)
    squares = mean_squares(table)
    components = []
    for chosen in effects(len(varied)):
        parts = terms(chosen, squares, shape)
        if throughout > 1 and len(chosen) == len(varied) and noise:  # a mean of r runs holds 1/r of the noise
            parts.append(Term(-1 / throughout, noise.variance, prod(shape) * (throughout - 1)))
        with_noise = throughout == 1 and len(chosen) == len(varied)
        names = tuple(streams[varied[axis]] for axis in chosen)
        components.append(_component(names, parts, deviations(table, chosen), confidence, with_noise=with_noise))
    if throughout > 1 and noise:
        components.append(noise)
    whole = sum(max(part.variance, 0.0) for part in components)
    return tuple(replace(part, share=max(part.variance, 0.0) / whole if whole else None) for part in components)


def _one_at_a_time(cells: Mapping[Key, np.ndarray], base: Key, stream: int, name: str, confidence: float) -> Component:
    values = [cells[key][0] for key in sorted(cells) if all(key[i] == base[i] for i in range(len(base)) if i != stream)]
    table = np.array(values)
    ((square, df),) = mean_squares(table).values()
    return _component((name,), [Term(1.0, square, df)], deviations(table, (0,)), confidence, with_noise=True)


def _component(
    streams: tuple[str, ...], parts: Sequence[Term], moves: np.ndarray, confidence: float, *, with_noise: bool
) -> Component:
    return Component(
        streams, value(parts), interval(parts, confidence), with_noise, None, tuple(moves.ravel().tolist())
    )


def _changes(key: Key, other: Key) -> int:
    return sum(a != b for a, b in zip(key, other, strict=True))
