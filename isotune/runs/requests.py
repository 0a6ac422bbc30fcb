"""What a worker is asked about runs: cells, measurements, whether a model can be built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isotune.conventions import AXES, written_value
from isotune.errors import Unwritable, UsageError
from isotune.models.building import Builder
from isotune.protocols import Mode, Protocol, form_axes
from isotune.runs import claims, own_classifier, training
from isotune.runs.cell_runner import CellRunner
from isotune.runs.drafts import Draft, LeftOff
from isotune.runs.records import Cell
from isotune.runs.stopwatch import Measurement, Stopwatch
from isotune.runs.store import Store
from isotune.workers.worker import Worker


def run(
    worker: Worker,
    cell: dict[str, Any],
    store: str,
    claim: dict[str, str] | None = None,
    number: int | None = None,
    fresh: bool = False,
    seconds: float | None = None,
) -> bool:
    """Run the cell, from its draft on where there is one, and write its record into the store, as the result of this
    number. False: another process has taken over the claim on it, or has put a result there, and this one is dropped;
    or its time is over, and its draft is in the store.

    fresh: without its draft. seconds: after which a fine-tuning that would take longer is left off.
    """
    asked, place = Cell.model_validate(cell), Store(Path(store))
    draft = Draft(place.folder, asked, claim=claim, fresh=fresh, seconds=seconds)
    try:
        record, predictions = worker.kept(CellRunner).run(asked, worker.progress, draft)
    except LeftOff:
        return False
    except (OSError, Unwritable):  # as soon as there is room
        raise
    except Exception:
        draft.remove()  # going on from it would end in the same way
        raise
    if claim is not None and not claims.is_held(claim):
        return False
    written = place.write(record, predictions, number=number)
    draft.remove()
    return written is not None


def measure(worker: Worker, measurement: dict[str, Any]) -> dict[str, Any]:
    """One round of a measurement."""
    return worker.kept(Stopwatch).round(Measurement.model_validate(measurement))


def noise(worker: Worker, measurement: dict[str, Any]) -> dict[str, float]:
    """What the numeric mode of a measurement leaves of the digits."""
    return worker.kept(Stopwatch).noise(Measurement.model_validate(measurement)).model_dump()


def network(worker: Worker, measurement: dict[str, Any]) -> dict[str, Any]:
    """The axes that can change what a measurement measures, resolved."""
    return worker.kept(Stopwatch).network(Measurement.model_validate(measurement))


def close(worker: Worker) -> None:
    """Forget measurements that are ready."""
    worker.kept(Stopwatch).close()


def forget(worker: Worker) -> None:
    """Forget models, measurements and results."""
    close(worker)
    worker.forget()


def check(
    worker: Worker, model: str, checkpoint: str, size: int, own: bool = False, protocols: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Build the model once, so that its checkpoint is in its cache and fits: {"digest", "architecture", "impossible":
    name of each of the protocols that cannot train it -> why}.

    own: with the checkpoint's own classifier: {"outputs", "names": of these, as far as the adapter knows} too.
    """
    built = worker.kept(Builder).build(
        model, checkpoint=checkpoint, conventions="identical", recipe={}, mode=Mode(),
        classes=own_classifier.classes_to_build(checkpoint) if own else 1, size=size, keep=False,
    )  # fmt: skip
    answer: dict[str, Any] = {"digest": built.initial.without_head().digest(), "architecture": built.architecture}
    answer["impossible"] = {}
    for recipe in map(Protocol.model_validate, protocols):
        try:
            training.check(built.model, recipe.stage, mixes=recipe.augmentation.mixing is not None)
        except UsageError as error:
            answer["impossible"][recipe.name] = str(error)
    if own:
        known = worker.kept(Builder).class_names(model, checkpoint)
        answer |= {"outputs": own_classifier.outputs_of(built.model, size), "names": list(known)}
    return answer


def own_defaults(worker: Worker, cell: dict[str, Any]) -> list[str]:
    """The specs `identical,AXIS=VALUE`, each with one default of the library's that can matter to the cell."""
    asked, builder = Cell.model_validate(cell), worker.kept(Builder)
    recipe = asked.protocol
    identical, native = (
        form_axes.settled(
            recipe,
            builder.conventions(
                asked.model, asked.checkpoint, spec, recipe.input.size, recipe.conventions
            ).model_dump(),
        )
        for spec in ("identical", "native")
    )
    mattering = builder.mattering(asked.model, recipe.stage).union(form_axes.relevant_forms(recipe))
    return [
        f"identical,{axis}={written_value(native[axis])}"
        for axis in AXES
        if axis in mattering and native[axis] != identical[axis]
    ]


def environment(worker: Worker) -> dict[str, str]:
    """Versions, device, threads, flags."""
    return worker.kept(Builder).environment()
