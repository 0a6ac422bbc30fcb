"""One cell, run in a worker: model, data, protocol -> record and predictions.

A `CellRunner` belongs to one worker. It keeps the models that it built, since most cells of a matrix differ
in their seeds alone; a kept model gets its checkpoint's tensors back before each cell, so that a cell
gives bitwise what it would give in a fresh process. Two cells whose conventions agree on every axis that
their protocol can exercise are one computation (`native` is `identical` where a library follows the
checkpoint by itself): the second is not run again, and its record says whose figures it carries.
"""

from __future__ import annotations

import gc
import hashlib
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np

from isotune import data, names
from isotune.conventions import NETWORK_AXES, Conventions
from isotune.data.augmentation import Augmenter
from isotune.errors import UsageError
from isotune.models.axes import resolved
from isotune.models.checkpoints import Checkpoint, architecture_of, resolve
from isotune.progress import Progress
from isotune.protocols import Layout, Mode, relevant_axes
from isotune.runs import memory, own_classifier, probe, training
from isotune.runs.records import Cell, Memory, Metrics, Record, Timings, predictions_digest
from isotune.weights import HEAD, Weights, head_weights
from isotune.workers.disturbance import Watch
from isotune.workers.environment import environment_of, versions

if TYPE_CHECKING:
    from isotune.adapters.base import Model
    from isotune.workers.worker import Worker

KEPT_MODELS = 2  # identical and native of one model, which a matrix runs in turn
KEPT_RESULTS = 64  # cells that another set-up may repeat: those of one seed, as a matrix is ordered


@dataclass
class Built:
    """A model with what is needed to set it back to its beginning."""

    model: Model
    initial: Weights
    conventions: Conventions
    layout: Layout | None  # of its tensors in memory; None: the adapter does not say
    architecture: str
    seconds: float

    def reset(self, head: dict[str, np.ndarray] | None = None) -> None:
        self.model.load({**self.initial, **(head or {})})


class CellRunner:
    """Runs cells and measurements of one adapter, keeping its models."""

    def __init__(self, worker: Worker) -> None:
        self.adapter, self.alone = worker.adapter, worker.alone
        self._built: OrderedDict[tuple[object, ...], Built] = OrderedDict()
        self._axes: dict[tuple[object, ...], Conventions] = {}
        self._loaded: tuple[tuple[str, str, int], Checkpoint] | None = None
        self._results: OrderedDict[str, tuple[Record, np.ndarray]] = OrderedDict()

    def conventions(
        self, model: str, checkpoint: str, spec: str, size: int, recipe: dict[str, object] | None = None
    ) -> Conventions:
        """The axes that `spec` comes to for this model, checkpoint and protocol."""
        key = (model, checkpoint, spec, size, tuple(sorted((recipe or {}).items())))
        if key not in self._axes:
            name = names.parse(model)
            self._axes[key] = resolved(
                spec,
                self.adapter,
                name,
                protocol=recipe or {},
                checkpoint=self.checkpoint(model, checkpoint, size).conventions,
            )
        return self._axes[key]

    def checkpoint(self, model: str, checkpoint: str, size: int) -> Checkpoint:
        """The checkpoint, kept until a model is built: its conventions are asked for just before its weights."""
        key = (model, checkpoint, size)
        if self._loaded is None or self._loaded[0] != key:
            self._loaded = key, resolve(checkpoint, self.adapter, names.parse(model), (size, size))
        return self._loaded[1]

    def build(
        self,
        model: str,
        *,
        checkpoint: str,
        spec: str,
        recipe: dict[str, object],
        classes: int | None,
        mode: Mode,
        size: int,
        keep: bool = True,
    ) -> Built:
        """The model under the conventions `spec`, kept from an earlier request where there is one.

        classes: of a new classifier; None keeps the checkpoint's. UsageError: it has none.
        """
        axes = self.conventions(model, checkpoint, spec, size, recipe)
        layout = type(self.adapter).layout_on(self.adapter.engine, mode.layout)
        key = (model, checkpoint, axes, classes, *(mode.settings | {"layout": layout}).values(), size)
        if key in self._built and keep:
            self._built.move_to_end(key)
            return self._built[key]
        while len(self._built) >= KEPT_MODELS:
            self._built.popitem(last=False)
            gc.collect()  # models hold themselves: bound methods, hooks
        began = time.perf_counter()
        name = names.parse(model)
        weights = self.checkpoint(model, checkpoint, size).weights
        if classes is None and isinstance(weights, Weights) and f"{HEAD}.kernel" not in weights:
            raise UsageError(f"checkpoint {checkpoint!r} of {model} has no classifier of its own")
        built = self.adapter.build(
            name.name,
            classes=classes,
            checkpoint=weights,
            conventions=axes,
            numeric_mode=mode.numeric_mode,
            image_size=(size, size),
            compiled=mode.compiled,
            options=name.options,
            **({"layout": layout} if layout else {}),
        )
        self._loaded = None
        initial = built.weights()
        architecture = architecture_of(self.adapter, name)
        kept = Built(built, initial, axes, layout, architecture, time.perf_counter() - began)
        if keep:
            self._built[key] = kept
        return kept

    def run(self, cell: Cell, progress: Progress) -> tuple[Record, np.ndarray]:
        """The cell's record and its predictions, int64 [test images]."""
        protocol = cell.protocol
        axes = self.conventions(
            cell.model, cell.checkpoint, cell.conventions, protocol.input.size, protocol.conventions
        )
        computation = cell.model_dump_json(exclude={"conventions"})
        computation += axes.model_dump_json(include=set(relevant_axes(protocol.stage)))
        if (earlier := self._results.get(computation)) is not None and earlier[0].cell != cell:
            record, predictions = earlier
            taken = {"cell": cell, "conventions": axes, "same_as": record.cell.conventions}
            return record.model_copy(update=taken), predictions
        record, predictions = self._run(cell, axes, progress)
        self._results[computation] = record, predictions
        while len(self._results) > KEPT_RESULTS:
            self._results.popitem(last=False)
        return record, predictions

    def _run(self, cell: Cell, axes: Conventions, progress: Progress) -> tuple[Record, np.ndarray]:
        started = datetime.now(UTC)
        protocol = cell.protocol
        dataset = data.load(cell.dataset, cell.dataset_digest)
        memory.reset_peak()
        baseline = memory.resident()
        own = protocol.own_classifier is not None  # the checkpoint's classifier, not a new one
        built = self.build(
            cell.model,
            checkpoint=cell.checkpoint,
            spec=cell.conventions,
            recipe=protocol.conventions,
            classes=own_classifier.classes_to_build(cell.checkpoint) if own else len(dataset.classes),
            mode=cell,
            size=protocol.input.size,
        )
        began = time.perf_counter()
        if own:
            head = own_classifier.drawn_head(cell.checkpoint, built.initial)
            start = Weights({**built.initial, **head})
        else:
            head = head_weights(
                built.initial["head.kernel"].shape[0], len(dataset.classes), axes.head_initialisation, cell.seeds.head
            )
            start = built.initial.without_head()
        built.reset(head)
        run = self._own_classifier if own else self._probe if protocol.probe else self._train
        logits, truth, metrics, timings = run(cell, built, dataset, progress)
        predictions = logits.argmax(axis=1)
        record = Record(
            cell=cell,
            status="done",
            architecture=built.architecture,
            conventions=axes,
            checkpoint_digest=start.digest(),
            metrics=Metrics(
                accuracy=float((predictions == truth).mean()),
                loss=training.cross_entropy(logits, truth),
                test_images=len(truth),
                **metrics,
            ),
            predictions_digest=predictions_digest(predictions),
            timings=Timings(
                total=_elsewhere(timings) + time.perf_counter() - began,
                build=built.seconds,
                alone=self.alone,
                **timings,
            ),
            memory=Memory(resident=memory.peak(), baseline=baseline, device=built.model.device_memory()),
            environment=self.environment(built),
            started=started,
            finished=datetime.now(UTC),
        )
        return record, predictions

    def environment(self, built: Built | None = None) -> dict[str, str]:
        """What results depend on beside the cell: versions, device, threads, flags; of a model, its layout."""
        layout = {"layout": built.layout} if built and built.layout else {}
        return environment_of(self.adapter) | layout

    def _inputs(self, cell: Cell, built: Built, dataset: data.Dataset, split: Literal["train", "test"]):  # type: ignore[no-untyped-def]
        return data.inputs(
            dataset,
            split,
            cell.protocol.images,
            cell.protocol.input,
            resize=built.conventions.resize,
            decode=built.conventions.decode,
        )

    def _probe(self, cell: Cell, built: Built, dataset: data.Dataset, progress: Progress):  # type: ignore[no-untyped-def]
        images, labels = self._inputs(cell, built, dataset, "train")
        test, truth = self._inputs(cell, built, dataset, "test")
        protocol = cell.protocol
        identity = {
            "model": cell.model,
            "weights": built.initial.without_head().digest(),
            "network": {axis: getattr(built.conventions, axis) for axis in (*NETWORK_AXES, "resize", "decode")},
            "mode": cell.mode,
            "dataset": cell.dataset_digest,
            "images": protocol.images.model_dump(),
            "input": protocol.input.model_dump(),
            "batch": protocol.evaluation.batch_size,
            "environment": versions(cell.adapter) | self.adapter.environment(),
        }
        if names.is_file(names.parse(cell.model).name):  # which may compute otherwise than when the features were kept
            identity["seen"] = hashlib.sha256(built.model.features(images[:2]).tobytes()).hexdigest()
        features = probe.features(built.model, images, test, protocol.evaluation.batch_size, identity, progress)
        assert protocol.probe is not None
        fitted = probe.fit(protocol.probe, features.train, labels, features.test, len(dataset.classes), cell.seeds)
        metrics = {"train_images": fitted.train_images, "l2": fitted.l2}
        timings = {
            "first_step": features.first_batch,
            "training": fitted.seconds,
            "training_images": fitted.train_images,
            "features": features.seconds,
            "features_images": features.images,
            "features_cached": features.cached,
            "disturbance": features.disturbance,
        }
        return fitted.logits, truth, metrics, timings

    def _own_classifier(self, cell: Cell, built: Built, dataset: data.Dataset, progress: Progress):  # type: ignore[no-untyped-def]
        columns = data.outputs(dataset.classes, dataset.name)
        test, truth = self._inputs(cell, built, dataset, "test")
        began = time.perf_counter()
        with Watch(built.model.device_clocks) as watch:
            logits = training.logits_in_batches(built.model, test, cell.protocol.evaluation.batch_size, progress)
        own_classifier.check_outputs(logits.shape[1], cell.model, cell.checkpoint)
        seconds = time.perf_counter() - began
        logits = logits[:, columns]
        metrics = {"train_images": 0, "top5": own_classifier.top5(logits, truth)}
        return logits, truth, metrics, {"evaluation": seconds, "disturbance": watch.seen}

    def _train(self, cell: Cell, built: Built, dataset: data.Dataset, progress: Progress):  # type: ignore[no-untyped-def]
        protocol = cell.protocol
        test, truth = self._inputs(cell, built, dataset, "test")
        axes = built.conventions
        augmenter = Augmenter(
            dataset, protocol.images, protocol.input, protocol.augmentation, resize=axes.resize, decode=axes.decode
        )
        labels = augmenter.labels
        result = training.train(built.model, protocol.stage, augmenter, labels, cell.seeds, progress)
        began = time.perf_counter()
        logits = training.logits_in_batches(built.model, test, protocol.evaluation.batch_size, progress)
        metrics = {
            "train_images": len(labels),
            "train_loss": tuple(result.losses),
            "loss_scale": result.loss_scale,
            "skipped_steps": result.skipped_steps,
        }
        timings = {
            "first_step": result.first_step,
            "training": result.seconds,
            "training_images": result.images,
            "disturbance": result.disturbance,
            "evaluation": time.perf_counter() - began,
        }
        return logits, truth, metrics, timings


def _elsewhere(timings: dict[str, float]) -> float:
    """Seconds of the cell's work that an earlier cell did: features read from the cache."""
    return timings["first_step"] + timings["features"] if timings.get("features_cached") else 0.0
