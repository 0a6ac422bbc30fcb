"""The design of a study: which seed streams a protocol draws from, and the runs that cross them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from isotune import conventions
from isotune.errors import UsageError, nearest
from isotune.names import DEFAULT_MODELS
from isotune.progress import Progress, untold
from isotune.protocols import Protocol
from isotune.runs import planning
from isotune.runs.records import Cell
from isotune.seeds import FORMER, STREAMS, Seeds

if TYPE_CHECKING:
    from isotune.data import Dataset
    from isotune.workers.process import Workers

MOST_RUNS = 10_000  # of one model
LEVELS = {1: 10, 2: 4, 3: 3}  # seeds of each stream by the number of streams: 10, 16 or 27 runs a model
_LEAST = 2  # of more streams


@dataclass(frozen=True)
class Design:
    """Every seed of each drawn stream with every one of the others, and the first seeds again."""

    drawn: dict[str, str]  # streams that the protocol draws from: what each decides
    idle: dict[str, str]  # the others, which give no variance by construction: why
    levels: int  # seeds of each drawn stream: 0, 1, ...
    repeats: int  # runs of the first seeds beside the crossed one
    held: dict[str, str] = field(default_factory=dict)  # streams that were not asked for: what becomes of each

    @property
    def seeds(self) -> list[Seeds]:
        """Of the crossed runs. A stream that has no seeds of its own goes with its former one, or keeps the seed 0."""
        chosen = product(range(self.levels), repeat=len(self.drawn))
        first = {stream: 0 for stream in STREAMS if stream not in FORMER}
        return [Seeds(**first | dict(zip(self.drawn, seeds, strict=True))) for seeds in chosen]

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


def design(
    recipe: Protocol, spec: str, levels: int | None, repeats: int, streams: Sequence[str] | None = None
) -> Design:
    """The design for a protocol under the conventions `spec`. levels: None is what LEVELS says. streams: those that get
    seeds of their own, of those that the protocol draws from; None: all.

    UsageError: the protocol draws nothing at random, or nothing from such a stream; fewer than two levels, repeats
    below 0, or too many runs.
    """
    reasons, decides = _idle(recipe, spec), _decides(recipe)
    drawn = {stream: decides[stream] for stream in STREAMS if stream not in reasons}
    if not drawn:
        why = "nothing is trained" if recipe.own_classifier else "; ".join(dict.fromkeys(reasons.values()))
        raise UsageError(
            f"protocol {recipe.name!r} draws nothing at random ({why}), so its runs cannot vary by seed;"
            " give one that does, such as quick-fine-tune"
        )
    drawn, held = _chosen(drawn, streams)
    levels = LEVELS.get(len(drawn), _LEAST) if levels is None else levels
    if levels < 2 or repeats < 0:
        raise UsageError(f"levels = {levels}, repeats = {repeats}: give at least 2 levels and 0 repeats")
    if (runs := levels ** len(drawn) + repeats) > MOST_RUNS:
        raise UsageError(
            f"levels = {levels} of {', '.join(drawn)}, repeats = {repeats}: {runs:,} runs a model are too many; at most"
            f" {MOST_RUNS:,}"
        )
    return Design(drawn, reasons, levels, repeats, held)


def _chosen(drawn: Mapping[str, str], streams: Sequence[str] | None) -> tuple[dict[str, str], dict[str, str]]:
    """Streams that get seeds of their own, with what each decides, those that go with it included; and the others."""
    if streams is None:
        return dict(drawn), {}
    for stream in streams:
        if stream not in STREAMS:
            raise UsageError(f"there is no seed stream {stream!r}; {nearest(stream, STREAMS)}")
        if stream not in drawn:
            raise UsageError(f"the protocol draws nothing from {stream}; it draws from {', '.join(drawn)}")
    if not streams:
        raise UsageError(f"streams: give at least one of {', '.join(drawn)}")
    held = {stream: FORMER.get(stream) for stream in drawn if stream not in streams}
    texts = {}
    for stream in (each for each in drawn if each in streams):
        along = [drawn[other] for other, former in held.items() if former == stream]
        texts[stream] = drawn[stream] + " with " * bool(along) + " and ".join(along)
    return texts, {
        stream: f"drawn with {former}" if former in texts else "seed 0 in every run" for stream, former in held.items()
    }


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
    augmentation = recipe.augmentation
    crops = augmentation.random_resized_crop or augmentation.random_crop
    changes = ["crops"] * bool(crops) + ["flips"] * bool(augmentation.horizontal_flip)
    mixing = augmentation.mixing
    mixtures = ["mixup"] * bool(mixing and mixing.mixup) + ["CutMix"] * bool(mixing and mixing.cutmix)
    return {
        "head": "the head's initialisation",
        "order": "the probe's held-out part" if recipe.probe else _ordered(recipe),
        "augmentation": "the augmentation by " + " and ".join(changes),
        "policy": "the operations of " + " and ".join(policy.name for policy in augmentation.policy),
        "erasing": "what is erased",
        "mixing": "the mixtures by " + " and ".join(mixtures),
        "dropout": "the dropout masks",
        "depth": "the branches that are left out",
    }


def _ordered(recipe: Protocol) -> str:
    held = recipe.selection is not None and recipe.selection.held_out is not None
    return "the order of the images" + " and which of them are held out" * held


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
    places = (augmentation.random_crop or 0) > recipe.input.size
    if augmentation.random_resized_crop is None and not places and augmentation.horizontal_flip in (0, 1):
        reasons["augmentation"] = "the protocol draws no crops and no flips"
    techniques = {
        "policy": (augmentation.policy, "the protocol has no policy of augmentation"),
        "erasing": (augmentation.random_erasing, "the protocol erases nothing"),
        "mixing": (augmentation.mixing, "the protocol mixes no images"),
        "dropout": (any(stage.head_dropout for stage in recipe.stage), "the protocol has no dropout"),
        "depth": (any(stage.stochastic_depth for stage in recipe.stage), "the protocol leaves out no branches"),
    }
    return reasons | {stream: why for stream, (asked, why) in techniques.items() if not asked}


def _head_initialisation(recipe: Protocol, spec: str) -> str | None:
    """None: the library's own, which its records tell."""
    base, overrides = conventions.parse(spec)
    known = recipe.conventions if base == "identical" else {}
    initialisation: str | None = (known | overrides).get("head_initialisation")
    return initialisation
