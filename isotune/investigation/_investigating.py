"""An investigation from end to end; what was learned is kept when a side fails."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from isotune import data, names, protocols
from isotune.attribution import Price
from isotune.comparison.sides import Inputs, Side
from isotune.errors import Unavailable, UsageError
from isotune.investigation._accuracy import accuracy
from isotune.investigation._dump import Dumped
from isotune.investigation._findings import Investigation, Rung
from isotune.investigation._images import Batch
from isotune.investigation._ladder import Ladder
from isotune.investigation._showing import Showing
from isotune.investigation._surviving import Answerer, failing, survivor
from isotune.models import embedded
from isotune.progress import Progress
from isotune.protocols import NumericMode, Protocol, Stage
from isotune.protocols.schedules import learning_rates
from isotune.runs.training import steps_of
from isotune.workers.process import WorkerFailure

INTERRUPTED = "interrupted"
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
    keep: Path | None = None,
) -> Investigation:
    """Walk the ladder with both sides.

    left: a dump has its own images, steps and seed, and wants its data set and protocol. images: how many, spread over
    the protocol's training images. steps: of training, on these images. seed: of the classifier. found: told of every
    rung. keep: where one side fails, a dump of the other is written to this path with `-left-dump` or `-right-dump`.
    A side that fails ends the walk, and so does an interruption; the rungs up to there are in the result.
    UsageError: a side is no model, or what neither side can be had with here. KeyboardInterrupt: before the first rung.
    """
    began = time.perf_counter()
    answerers = {"left": Answerer(left), "right": Answerer(right)}
    dumped = answerers["left"].dumped
    ours = answerers["left"].side
    given = dumped.held.inputs if dumped else inputs(recipe, dataset, steps, seed)
    images = dumped.held.images if dumped else images
    result = Investigation(
        left=ours, right=right, dataset=dataset.name, protocol=recipe.name, images=images, steps=len(given.rates)
    )
    rungs: list[Rung] = []
    stopped, known, kept = None, dict[str, Any](), None
    looking = _Watched(progress)
    with tempfile.TemporaryDirectory(prefix="isotune-investigation-") as scratch, ExitStack() as stack:
        for each in answerers.values():
            stack.enter_context(each.workers)
        try:
            showing = Showing(
                {"left": ours, "right": right}, given, Batch(dataset, recipe, images), answerers, Path(scratch),
                dumped.folder / "images.npy" if dumped else None,
            )  # fmt: skip
            showing.describe()
            known = _known(showing)
            for rung in Ladder(showing, looking).walk():
                rungs.append(rung)
                found(rung)
        except (UsageError, WorkerFailure) as error:
            if not known and isinstance(error, UsageError) and not isinstance(error, Unavailable):
                raise
            stopped, failed = str(error), failing(answerers, error)
            if failed:
                stopped = f"the {failed} side, {answerers[failed].side.model}, failed at {looking.at}: {error}"
                kept = survivor(failed, answerers, given, dataset, recipe, images, keep, progress) if keep else None
            if not known and isinstance(error, UsageError) and not (kept and kept.dump):
                raise
        except KeyboardInterrupt:
            if not rungs:
                raise
            stopped = INTERRUPTED
    seconds = time.perf_counter() - began
    ended = {"rungs": tuple(rungs), "stopped": stopped, "survivor": kept, "seconds": seconds}
    return result.model_copy(update=ended | known)


class _Watched:
    """Progress, with the rung that is being looked at."""

    def __init__(self, progress: Progress | None) -> None:
        self.at, self._progress = "the start", progress

    def __call__(self, what: str, done: int, total: int) -> None:
        self.at = f"the rung '{what}'"
        if self._progress:
            self._progress(what, done, total)


def _known(showing: Showing) -> dict[str, Any]:
    ours, theirs = showing.axes("left"), showing.axes("right")
    return {
        "axes": {axis: (value, theirs.get(axis)) for axis, value in ours.items() if theirs.get(axis) != value},
        "names": showing.names(),
        "environment": {which: showing.described[which]["environment"] for which in ("left", "right")},
    }


def with_price(found: Investigation, run: Callable[[], Price]) -> tuple[Investigation, Price | None]:
    """The ladder with its last rung, which the price's runs give, and the price; where they cannot run, the ladder with
    the reason."""
    try:
        priced = run()
    except (UsageError, WorkerFailure) as error:
        return found.model_copy(update={"stopped": f"the price: {error}"}), None
    except KeyboardInterrupt:
        return found.model_copy(update={"stopped": INTERRUPTED}), None
    return found.model_copy(update={"rungs": (*found.rungs, accuracy(priced))}), priced


def side(
    model: str, checkpoint: str, conventions: str, numeric_mode: NumericMode, compiled: bool = False, python: str = ""
) -> Side:
    """A side, checked as far as that goes without a worker. UsageError: a name, convention or interpreter is wrong.

    The embedded checkpoint comes with a package that another environment need not have: it is put into the cache here.
    """
    if python and not Path(python).is_file():
        raise UsageError(f"there is no interpreter {python}; give the path of another environment's python")
    made = Side(
        model=str(names.parse(model)), checkpoint=checkpoint, conventions=conventions, numeric_mode=numeric_mode,
        compiled=compiled, python=python or None,
    )  # fmt: skip
    if python and (held := embedded.find(checkpoint)):
        with suppress(UsageError):  # where it is not installed here either, the side's own worker says so
            held.weights()
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
    return protocols.load(TRAINING).stage[0], dict(recipe.conventions)
