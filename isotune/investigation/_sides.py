"""From what a user names to a side, and from a protocol to what both sides are given."""

from __future__ import annotations

from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any

from isotune import data, names, protocols
from isotune.comparison.sides import Inputs, Side
from isotune.errors import UsageError
from isotune.models import checkpoints, embedded, layouts
from isotune.protocols import Protocol, Stage
from isotune.protocols.schedules import learning_rates
from isotune.runs import own_classifier
from isotune.runs.records import Cell
from isotune.runs.training import steps_of
from isotune.seeds import Seeds

TRAINING = "quick-fine-tune"  # says how a step of training goes, for protocols that train nothing


def side(
    model: str,
    checkpoint: str = "offline",
    conventions: str = "native",
    numeric_mode: str = "float64",
    layout: str | None = None,
    compiled: bool = False,
    python: str | PathLike[str] = "",
) -> Side:
    """A side, checked as far as that goes without a worker. UsageError: a name, convention or interpreter is wrong.

    An embedded checkpoint comes with a package that another environment need not have: it is put into the cache here.
    """
    mode, name = protocols.numeric_mode(numeric_mode), names.parse(model)
    checkpoints.check_name(checkpoint)
    if python and not Path(python).is_file():
        raise UsageError(f"there is no interpreter {python}; give the path of another environment's python")
    made = Side(
        model=str(name), checkpoint=checkpoint, conventions=conventions, numeric_mode=mode,
        layout=protocols.layout(layout) if layout else None, compiled=compiled, python=str(python) or None,
    )  # fmt: skip
    if python and (held := embedded.of_model(checkpoint, str(name))):
        with suppress(UsageError):  # where it is not installed here either, the side's own worker says so
            held.weights()
    return layouts.as_asked(made, made.adapter).under({})  # parsed once


def evaluated(recipe: Protocol, side: Side, dataset: data.Dataset) -> Protocol:
    """The protocol; where it evaluates a checkpoint's own classifier, as it evaluates this side's. UsageError: it has
    none, the data set has other classes, or no published number says how it was evaluated."""
    if recipe.own_classifier is None:
        return recipe
    own_classifier.check_dataset(dataset)
    asked = Cell(
        model=side.model, checkpoint=side.checkpoint, dataset=dataset.name, dataset_digest=dataset.digest,
        protocol=recipe, conventions=side.conventions, seeds=Seeds.all(0),
    )  # fmt: skip
    return next(own_classifier.setups(asked)).protocol


def unlike(recipe: Protocol, right: Side, dataset: data.Dataset) -> tuple[str, ...]:
    """recipe: as the left side is evaluated. In words, where the right's published number was measured otherwise."""
    if recipe.own_classifier is None or recipe.own_classifier.input != "published":
        return ()
    try:
        own = evaluated(recipe, right, dataset).input
    except UsageError:  # no published number: nothing is replaced
        return ()
    given = [f"{name} {value}" for name, value in own.model_dump().items() if value != getattr(recipe.input, name)]
    return (f"the input that its number was published with ({', '.join(given)})",) if given else ()


def inputs(recipe: Protocol, dataset: data.Dataset, steps: int, seed: int) -> Inputs:
    """What both sides are given: a step as in the protocol's first stage, or in TRAINING's where it trains nothing."""
    stage, axes = _stage(recipe)
    count = min(recipe.images.train or len(dataset.train), len(dataset.train)) or stage.batch_size
    total, an_epoch = steps_of(stage, max(count, stage.batch_size))
    total = max(total, steps, stage.schedule.warmup_steps)  # a few images are an epoch that no warm-up fits into
    rates = learning_rates(stage.schedule, total, an_epoch)[:steps]
    return Inputs(
        recipe=axes, stage=stage, rates=tuple(map(float, rates)),
        classes=None if recipe.own_classifier else len(dataset.classes), size=recipe.input.size,
        seed=seed,
    )  # fmt: skip


def _stage(recipe: Protocol) -> tuple[Stage, dict[str, Any]]:
    """The first stage of training, and the protocol's axes."""
    if recipe.stage:
        return recipe.stage[0], dict(recipe.conventions)
    return protocols.load(TRAINING).stage[0], dict(recipe.conventions)
