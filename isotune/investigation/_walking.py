"""The ladder from end to end; what was learned is kept when a side fails."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from isotune import data
from isotune.comparison.one_sided import one_sided
from isotune.comparison.sides import Side
from isotune.conventions import PROTOCOL
from isotune.errors import Unavailable, UsageError
from isotune.investigation._dump import Dump
from isotune.investigation._images import Batch
from isotune.investigation._ladder import Ladder
from isotune.investigation._recordings import Recordings
from isotune.investigation._sides import evaluated, inputs, unlike
from isotune.investigation._surviving import Answerer, failing, survivor
from isotune.investigation.findings import SIDES, Findings, Rung, SetAlike
from isotune.progress import Progress
from isotune.protocols import Protocol, form_axes
from isotune.workers.process import WorkerFailure

INTERRUPTED = "interrupted"


def walk(
    left: Side | Dump,
    right: Side,
    dataset: data.Dataset,
    recipe: Protocol,
    *,
    images: int = 8,
    steps: int = 5,
    seed: int = 0,
    quick: bool = False,
    progress: Progress | None = None,
    ended: Callable[[Rung], object] = lambda rung: None,
    keep: Path | None = None,
) -> Findings:
    """Walk the ladder with both sides.

    left: a dump has its own images, steps and seed, and wants its data set and protocol. images: how many, spread over
    the protocol's training images. steps: of training, on these images. seed: of the classifier. quick: inference
    alone, no rung of training. ended: told of every rung. keep: where one side fails, a dump of the other is written to
    this path with `-left-dump` or `-right-dump`.
    A side that fails ends the walk, and so does an interruption; the rungs up to there are in the result.
    UsageError: a side is no model, or neither side can be run here. KeyboardInterrupt: before the first rung.
    """
    began = time.perf_counter()
    answerers = {"left": Answerer(left), "right": Answerer(right)}
    dump = answerers["left"].dump
    ours = answerers["left"].side
    recipe = recipe if dump else evaluated(recipe, ours, dataset)
    given = dump.contents.inputs if dump else inputs(recipe, dataset, steps, seed)
    images = dump.contents.images if dump else images
    batch = Batch(dataset, recipe, images, own_classifier=given.classes is None)
    result = Findings(
        left=ours, right=right, dataset=dataset.name, protocol=recipe.name, images=images, steps=len(given.rates)
    )
    rungs: list[Rung] = []
    stopped, known, kept = None, dict[str, Any](), None
    looking = _Watched(progress)
    with tempfile.TemporaryDirectory(prefix="isotune-investigation-") as scratch, ExitStack() as stack:
        for each in answerers.values():
            stack.enter_context(each.workers)
        recordings = Recordings(
            {"left": ours, "right": right}, given, batch, answerers, Path(scratch),
            dump.folder / "images.npy" if dump else None,
        )  # fmt: skip
        stack.callback(recordings.close)
        try:
            if progress:  # frameworks take seconds to import
                progress(f"starting {ours.model} and {right.model}", 0, 1)
            recordings.describe()
            if not quick:
                recordings.trained()  # a protocol that freezes what is not there is refused at once
            known = _known(recordings, recipe, unlike(recipe, right, dataset))
            ladder = Ladder(recordings, looking, quick=quick)
            for rung in ladder.walk():
                rungs.append(rung)
                ended(rung)
            known["effects"] = ladder.effects()
        except (UsageError, WorkerFailure) as error:
            if not known and isinstance(error, UsageError) and not isinstance(error, Unavailable):
                raise
            recordings.close()
            stopped, failed = str(error), failing(answerers, error)
            if failed:
                stopped = f"the {failed} side, {answerers[failed].side.model}, failed at {looking.at}: {error}"
                kept = survivor(failed, answerers, given, dataset, recipe, images, keep, progress) if keep else None
            if not known and isinstance(error, UsageError) and not (kept and kept.dump):
                raise
        except KeyboardInterrupt:
            for each in answerers.values():  # whatever they are at
                each.end()
            if not rungs:
                raise
            stopped = INTERRUPTED
    seconds = time.perf_counter() - began
    last = {"rungs": tuple(rungs), "stopped": stopped, "survivor": kept, "seconds": seconds}
    return result.model_copy(update=last | known)


def _forms_alike(recordings: Recordings, recipe: Protocol) -> Iterator[SetAlike]:
    """Forms of the protocol's techniques in which the sides differ by themselves, and now do not."""
    now = [form_axes.settled(recipe, recordings.axes(which)) for which in SIDES]
    own = [recordings.described[which].get("own", {}) for which in SIDES]
    for axis in form_axes.relevant_forms(recipe):
        ours, theirs = (each.get(axis, PROTOCOL) for each in own)
        if now[0][axis] == now[1][axis] and ours != theirs and PROTOCOL not in (ours, theirs):
            yield SetAlike(axis=axis, value=now[0][axis], own=(ours, theirs))


class _Watched:
    """Progress, with the rung that is being looked at."""

    def __init__(self, progress: Progress | None) -> None:
        self.at, self._progress = "the start", progress

    def __call__(self, what: str, done: int, total: int) -> None:
        self.at = f"the rung '{what}'"
        if self._progress:
            self._progress(what, done, total)


def _known(recordings: Recordings, recipe: Protocol, further: tuple[str, ...]) -> dict[str, Any]:
    """further: what else of the right side is not compared."""
    ours, theirs = (form_axes.settled(recipe, recordings.axes(which)) for which in SIDES)
    left_out = {which: tuple(recordings.described[which].get("left_out", ())) for which in SIDES}
    return {
        "axes": {axis: (value, theirs.get(axis)) for axis, value in ours.items() if theirs.get(axis) != value},
        "set_alike": (*recordings.set_alike(), *_forms_alike(recordings, recipe)),
        "left_out": left_out | {"right": (*left_out["right"], *further)},
        "one_sided": tuple(each.said for each in one_sided(recordings.described)),
        "names": recordings.names(),
        "environment": {which: recordings.described[which]["environment"] for which in SIDES},
    }
