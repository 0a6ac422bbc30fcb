"""Models as a leaderboard's JSON has them, to choose one: how good, how fast, how large."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isotune.errors import UsageError, nearest

if TYPE_CHECKING:
    from isotune.report._schema import Leaderboard, RowResult, SectionResult, Timing


SORTS = {  # what can be sorted by -> whether more is better
    "accuracy": True, "training": True, "inference": True, "latency": False, "memory": False, "parameters": False,
}  # fmt: skip


@dataclass(frozen=True)
class MeasuredModel:
    """One row of a leaderboard. None: it was not measured."""

    model: str  # adapter:name
    architecture: str
    checkpoint: str
    mode: str  # "float32", "bfloat16 channels_last"
    overrides: str  # conventions beside identical or native
    dataset: str
    protocol: str
    size: int  # pixels, side of the network's input
    seeds: int
    identical: float | None  # accuracy under the checkpoint's conventions, percent, mean over seeds
    native: float | None  # under the library's own
    training: float | None  # images/s, median
    inference: float | None  # images/s in batches, median
    latency: float | None  # ms of one image, median
    memory: int | None  # peak of the process, bytes
    parameters: int | None  # the classifier's left out
    lower_bounds: tuple[str, ...] = ()  # of training, inference, latency: others disturbed every round

    @property
    def accuracy(self) -> float | None:
        """Percent: under the checkpoint's conventions where that was run, else under the library's own."""
        return self.native if self.identical is None else self.identical


def rows(board: Leaderboard) -> list[MeasuredModel]:
    """The rows of a leaderboard's JSON, section by section."""
    return [_row(section, row) for section in board.sections for row in section.rows]


def chosen(
    models: Iterable[MeasuredModel], *, pattern: str = "", adapters: Iterable[str] = (), architecture: str = "",
    under_ms: float | None = None, under_mib: float | None = None, sort: str = "accuracy",
) -> list[MeasuredModel]:  # fmt: skip
    """The models that match, the best first within each data set and protocol; what was not measured comes last.

    pattern: part of a model's, an architecture's or a checkpoint's name. under_ms: of the latency. under_mib: of the
    memory. sort: one of SORTS. UsageError: another word, or nothing is left; it names what comes nearest.
    """
    if sort not in SORTS:
        raise UsageError(f"sort {sort!r}: {nearest(sort, SORTS)}")
    libraries = set(adapters)
    left = list(models)
    named = [
        each
        for each in left
        if pattern.casefold() in f"{each.model} {each.architecture} {each.checkpoint}".casefold()
        and (not libraries or libraries & _library(each))
        and (not architecture or each.architecture == architecture)
    ]
    if not named:
        asked = " ".join(filter(None, (pattern, architecture, *sorted(libraries))))
        raise UsageError(f"no measured model matches {asked!r}; {nearest(pattern, (each.model for each in left))}")
    limits = {"latency": (under_ms, 1, "ms"), "memory": (under_mib, 2**20, "MiB")}
    left = named
    for what, (limit, unit, word) in limits.items():
        if limit is not None:
            left = _under(left, what, limit, unit, word)
    sections = dict.fromkeys((each.dataset, each.protocol) for each in left)
    return [
        each
        for section in sections
        for each in sorted((one for one in left if (one.dataset, one.protocol) == section), key=_rank(sort))
    ]


def _library(each: MeasuredModel) -> set[str]:
    """ "keras@jax", and "keras", which it is one of."""
    library = each.model.partition(":")[0]
    return {library, library.partition("@")[0]}


def _under(models: list[MeasuredModel], what: str, limit: float, unit: int, word: str) -> list[MeasuredModel]:
    """UsageError: there is none, with the one that comes nearest."""
    known = [each for each in models if getattr(each, what) is not None]
    if not known:
        raise UsageError(f"{what} was not measured; run the whole suite: pytest benchmarks/ --benchmark-json=FILE")
    if kept := [each for each in known if getattr(each, what) / unit < limit]:
        return kept
    least = min(known, key=lambda each: getattr(each, what))
    raise UsageError(
        f"no model is under {limit:g} {word} of {what}; the nearest is {least.model}"
        f" with {getattr(least, what) / unit:.3g} {word}"
    )


def _rank(sort: str) -> Callable[[MeasuredModel], tuple[bool | float | str, ...]]:
    """Those of which it is not known come last; what is equal, and they, by accuracy."""

    def rank(each: MeasuredModel) -> tuple[bool | float | str, ...]:
        return *_standing(each, sort), *_standing(each, "accuracy"), each.model

    return rank


def _standing(each: MeasuredModel, by: str) -> tuple[bool, float]:
    value = getattr(each, by)
    return value is None, 0.0 if value is None else -value if SORTS[by] else value


def _row(section: SectionResult, row: RowResult) -> MeasuredModel:
    cost = row.measured
    timings: Mapping[str, Timing | None] = {
        "training": cost.training, "inference": cost.inference, "latency": cost.latency
    }  # fmt: skip
    setups = [setup for setup in (row.identical, row.native) if setup]
    return MeasuredModel(
        model=row.model,
        architecture=row.architecture,
        checkpoint=row.checkpoint,
        mode=row.mode,
        overrides=row.overrides,
        dataset=section.dataset,
        protocol=section.protocol.name,
        size=section.protocol.input.size,
        seeds=max((setup.accuracy.n for setup in setups), default=0),
        identical=row.identical.accuracy.mean if row.identical else None,
        native=row.native.accuracy.mean if row.native else None,
        training=_median(cost.training),
        inference=_median(cost.inference),
        latency=_median(cost.latency),
        memory=cost.resident,
        parameters=cost.parameters,
        lower_bounds=tuple(name for name, timing in timings.items() if timing and timing.cause),
    )


def _median(timing: Timing | None) -> float | None:
    return timing.median if timing else None
