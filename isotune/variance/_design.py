"""The design of a study: which seed streams a protocol draws from, and the runs that cross them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from isotune import conventions
from isotune.errors import UsageError
from isotune.names import DEFAULT_MODELS
from isotune.progress import Progress, untold
from isotune.protocols import Protocol
from isotune.runs import planning
from isotune.runs.records import Cell, Seeds

if TYPE_CHECKING:
    from isotune.data import Dataset
    from isotune.workers.process import Workers

STREAMS = tuple(Seeds.model_fields)  # head, order, augmentation
MOST_RUNS = 10_000  # of one model
LEVELS = {1: 10, 2: 4, 3: 3}  # seeds of each stream by the number of streams: 10, 16 or 27 runs a model


@dataclass(frozen=True)
class Design:
    """Every seed of each drawn stream with every one of the others, and the first seeds again."""

    drawn: dict[str, str]  # streams that the protocol draws from: what each decides
    idle: dict[str, str]  # the others, which give no variance by construction: why
    levels: int  # seeds of each drawn stream: 0, 1, ...
    repeats: int  # runs of the first seeds beside the crossed one

    @property
    def seeds(self) -> list[Seeds]:
        """Of the crossed runs; a stream that decides nothing keeps the seed 0."""
        chosen = [range(self.levels if stream in self.drawn else 1) for stream in STREAMS]
        return [Seeds(**dict(zip(STREAMS, seeds, strict=True))) for seeds in product(*chosen)]

    @property
    def runs(self) -> int:
        """Of one model, repeats included."""
        return len(self.seeds) + self.repeats


@dataclass(frozen=True)
class Study:
    design: Design
    firsts: tuple[Cell, ...]  # the first cell of each model: all seeds 0

    def cells(self, repeat: int) -> list[Cell]:
        """Repeat 0: the crossed runs, models in turn; above: the first cells again."""
        if repeat:
            return list(self.firsts)
        return [seeded(cell, seeds) for seeds in self.design.seeds for cell in self.firsts]


def seeded(cell: Cell, seeds: Seeds) -> Cell:
    return Cell(**{name: getattr(cell, name) for name in Cell.model_fields} | {"seeds": seeds})


def design(recipe: Protocol, spec: str, levels: int | None, repeats: int) -> Design:
    """The design for a protocol under the conventions `spec`. levels: None is what LEVELS says.

    UsageError: the protocol draws nothing at random, fewer than two levels, repeats below 0, or too many runs.
    """
    reasons = _idle(recipe, spec)
    drawn = {stream: text for stream, text in _decides(recipe).items() if stream not in reasons}
    if not drawn:
        why = "nothing is trained" if recipe.own_classifier else "; ".join(dict.fromkeys(reasons.values()))
        raise UsageError(
            f"protocol {recipe.name!r} draws nothing at random ({why}), so its runs cannot vary by seed;"
            " give one that does, such as quick-fine-tune"
        )
    levels = LEVELS[len(drawn)] if levels is None else levels
    if levels < 2 or repeats < 0:
        raise UsageError(f"levels = {levels}, repeats = {repeats}: give at least 2 levels and 0 repeats")
    if (runs := levels ** len(drawn) + repeats) > MOST_RUNS:
        raise UsageError(
            f"levels = {levels} of {', '.join(drawn)}, repeats = {repeats}: {runs:,} runs a model are too many; at most"
            f" {MOST_RUNS:,}"
        )
    return Design(drawn, reasons, levels, repeats)


def plan(
    design: Design,
    models: Sequence[str],
    dataset: str,
    protocol: str | Protocol,
    spec: str,
    checkpoint: str,
    prepared: dict[str, Dataset],
    workers: Workers,
    progress: Progress = untold,
) -> Study:
    """The study of these models, each checked as `isotune run` does it. UsageError: a name or combination is wrong."""
    if not models:
        raise UsageError(f"no model: give at least one, such as {DEFAULT_MODELS[0]}")
    matrix = planning.Matrix(models, [dataset], [protocol], [spec], seeds=(0,), checkpoint=checkpoint)
    return Study(design, tuple(planning.plan(matrix, prepared, workers, progress)))


def _decides(recipe: Protocol) -> dict[str, str]:
    """What each stream decides in a protocol that draws from it."""
    masks = " with the dropout masks" if any(stage.head_dropout for stage in recipe.stage) else ""
    crops, flips = recipe.augmentation.random_resized_crop, recipe.augmentation.horizontal_flip
    return {
        "head": "the head's initialisation",
        "order": "the probe's held-out part" if recipe.probe else f"the order of the images{masks}",
        "augmentation": "the augmentation by " + " and ".join(["crops"] * bool(crops) + ["flips"] * bool(flips)),
    }


def _idle(recipe: Protocol, spec: str) -> dict[str, str]:
    """Streams that change nothing in this protocol, and why; `runs.training`, `runs.probe` and `data.augmentation` say
    what is drawn from each."""
    if recipe.own_classifier:
        return dict.fromkeys(STREAMS, "nothing is trained")
    reasons = {}
    if recipe.probe:
        reasons["head"] = "a probe is fitted, not trained from a drawn head"
        if recipe.probe.refit and len(recipe.probe.l2) == 1:
            reasons["order"] = "the held-out part has one L2 strength to choose from, and the last fit sees all images"
    elif _head_initialisation(recipe, spec) == "zeros":
        reasons["head"] = "the head starts from zeros"
    augmentation = recipe.augmentation
    if augmentation.random_resized_crop is None and augmentation.horizontal_flip in (0, 1):
        reasons["augmentation"] = "the protocol draws no crops and no flips"
    return reasons


def _head_initialisation(recipe: Protocol, spec: str) -> str | None:
    """None: the library's own, which its records tell."""
    base, overrides = conventions.parse(spec)
    known = recipe.conventions if base == "identical" else {}
    initialisation: str | None = (known | overrides).get("head_initialisation")
    return initialisation
