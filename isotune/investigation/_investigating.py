"""An investigation from end to end; what was learned is kept when a side fails."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from isotune import data, names, protocol
from isotune.errors import UsageError
from isotune.execution import WorkerFailure, Workers
from isotune.investigation._dump import Dumped
from isotune.investigation._findings import Investigation, Rung
from isotune.investigation._images import Batch
from isotune.investigation._ladder import Ladder, Progress
from isotune.investigation._priced import Price, accuracy
from isotune.investigation._setup import Inputs, Mode, Side
from isotune.investigation._showing import Answering, Showing
from isotune.protocol import Protocol, Stage
from isotune.schedules import learning_rates
from isotune.training import steps_of

TRAINING = "quick-fine-tune"  # says how a step of training goes, for protocols that train nothing


def investigate(
    left: Side | Dumped,
    right: Side,
    dataset: data.Dataset,
    recipe: Protocol,
    *,
    images: int = 8,
    steps: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
    found: Callable[[Rung], object] = lambda rung: None,
) -> Investigation:
    """Walk the ladder with both sides.

    left: a dump has its own images, steps and seed, and wants its data set and protocol. images: how many, spread over
    the protocol's training images. steps: of training, on these images. seed: of the classifier. found: told of every
    rung. A side that fails ends the walk; the rungs up to there are in the result.
    UsageError: a side is no model, or cannot be built.
    """
    began = time.perf_counter()
    dumped = left if isinstance(left, Dumped) else None
    ours = dumped.held.side if dumped else cast(Side, left)
    given = dumped.held.inputs if dumped else inputs(recipe, dataset, steps, seed)
    images = dumped.held.images if dumped else images
    result = Investigation(
        left=ours, right=right, dataset=dataset.name, protocol=recipe.name, images=images, steps=len(given.rates)
    )
    rungs: list[Rung] = []
    stopped, known = None, dict[str, Any]()
    with tempfile.TemporaryDirectory(prefix="isotune-investigation-") as scratch, ExitStack() as stack:
        try:
            workers = _started({"left": dumped or ours, "right": right}, stack)
            showing = Showing(
                {"left": ours, "right": right}, given, Batch(dataset, recipe, images), workers, Path(scratch),
                dumped.folder / "images.npy" if dumped else None,
            )  # fmt: skip
            showing.describe()
            known = _known(showing)
            for rung in Ladder(showing, progress).walk():
                rungs.append(rung)
                found(rung)
        except WorkerFailure as error:
            stopped = str(error)
        except UsageError as error:
            if not known:
                raise
            stopped = str(error)
    seconds = time.perf_counter() - began
    return result.model_copy(update={"rungs": tuple(rungs), "stopped": stopped, "seconds": seconds, **known})


def _known(showing: Showing) -> dict[str, Any]:
    ours, theirs = showing.axes("left"), showing.axes("right")
    return {
        "axes": {axis: (value, theirs.get(axis)) for axis, value in ours.items() if theirs.get(axis) != value},
        "names": showing.names(),
        "environment": {which: showing.described[which]["environment"] for which in ("left", "right")},
    }


def _started(sides: Mapping[str, Side | Dumped], stack: ExitStack) -> dict[str, Answering]:
    """What answers for each side, workers started at the same time; the stack ends them."""

    def start(which: str) -> tuple[str, Answering]:
        side = sides[which]
        if isinstance(side, Dumped):
            return which, side
        group = Workers(threads=1, shared=True, pythons={side.adapter: side.python} if side.python else None)
        return which, stack.enter_context(group)[side.adapter]

    with ThreadPoolExecutor(2) as pool:
        return dict(pool.map(start, sides))


def with_accuracy(found: Investigation, price: Price) -> Investigation:
    """The ladder with its last rung, which the price's runs give."""
    return found.model_copy(update={"rungs": (*found.rungs, accuracy(price))})


def side(
    model: str, checkpoint: str, conventions: str, numeric_mode: Mode, compiled: bool = False, python: str = ""
) -> Side:
    """A side, checked as far as that goes without a worker. UsageError: a name, convention or interpreter is wrong."""
    if python and not Path(python).is_file():
        raise UsageError(f"there is no interpreter {python}; give the path of another environment's python")
    made = Side(
        model=str(names.parse(model)), checkpoint=checkpoint, conventions=conventions, numeric_mode=numeric_mode,
        compiled=compiled, python=python or None,
    )  # fmt: skip
    return made.under({})  # parsed once


def inputs(recipe: Protocol, dataset: data.Dataset, steps: int, seed: int) -> Inputs:
    """What both sides are given: a step as in the protocol's first stage, or in TRAINING's where it trains nothing."""
    stage, axes = _stage(recipe)
    count = min(recipe.images.train or len(dataset.train), len(dataset.train)) or stage.batch_size
    total, an_epoch = steps_of(stage, max(count, stage.batch_size))
    total = max(total, steps, stage.schedule.warmup_steps)  # a few images are an epoch that no warm-up fits into
    rates = learning_rates(stage.schedule, total, an_epoch)[:steps]
    return Inputs(
        recipe=axes, stage=stage, rates=tuple(map(float, rates)), classes=len(dataset.classes),
        size=recipe.input.size, seed=seed,
    )  # fmt: skip


def _stage(recipe: Protocol) -> tuple[Stage, dict[str, Any]]:
    """The first stage of training, and the protocol's axes."""
    if recipe.stage:
        return recipe.stage[0], dict(recipe.conventions)
    return protocol.load(TRAINING).stage[0], dict(recipe.conventions)
