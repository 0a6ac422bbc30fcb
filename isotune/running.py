"""One cell, run in a worker: model, data, protocol -> record and predictions.

A `Bench` belongs to one worker. It keeps the models that it built, since most cells of a matrix differ
in their seeds alone; a kept model gets its checkpoint's tensors back before each cell, so that a cell
gives bitwise what it would give in a fresh process.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np

from isotune import __version__, conventions, data, memory, names, probe, training
from isotune.checkpoints import architecture_of, resolve
from isotune.conventions import NETWORK_AXES, Conventions
from isotune.data.augmentation import Augmenter
from isotune.records import Cell, Memory, Metrics, Record, Timings, predictions_digest
from isotune.training import Progress
from isotune.weights import Weights, head_weights

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter, Model

KEPT_MODELS = 2  # identical and native of one model, which a matrix runs in turns


@dataclass
class Built:
    """A model with what is needed to set it back to its beginning."""

    model: Model
    initial: Weights
    conventions: Conventions
    architecture: str
    seconds: float

    def reset(self, head: dict[str, np.ndarray] | None = None) -> None:
        self.model.load({**self.initial, **(head or {})})


class Bench:
    """Runs cells and measurements of one adapter, keeping its models."""

    def __init__(self, adapter: Adapter, *, alone: bool = True) -> None:
        self.adapter = adapter
        self.alone = alone
        self._built: OrderedDict[tuple[object, ...], Built] = OrderedDict()

    def build(
        self,
        model: str,
        *,
        checkpoint: str,
        spec: str,
        recipe: dict[str, object],
        classes: int,
        numeric_mode: Literal["float32", "bfloat16", "float64"],
        compiled: bool,
        size: int,
        keep: bool = True,
    ) -> Built:
        """The model under the conventions `spec`, kept from an earlier cell where there is one."""
        key = (model, checkpoint, spec, tuple(sorted(recipe.items())), classes, numeric_mode, compiled, size)
        if key in self._built and keep:
            self._built.move_to_end(key)
            return self._built[key]
        while len(self._built) >= KEPT_MODELS:
            self._built.popitem(last=False)
        began = time.perf_counter()
        name = names.parse(model)
        loaded = resolve(checkpoint, self.adapter, name, (size, size))
        resolved = conventions.resolve(
            spec, native=self.adapter.native_conventions(name.name), protocol=recipe, checkpoint=loaded.conventions
        )
        built = self.adapter.build(
            name.name,
            classes=classes,
            checkpoint=loaded.weights,
            conventions=resolved,
            numeric_mode=numeric_mode,
            image_size=(size, size),
            compiled=compiled,
            options=name.options,
        )
        initial = built.weights()
        architecture = architecture_of(self.adapter, name)
        kept = Built(built, initial, resolved, architecture, time.perf_counter() - began)
        if keep:
            self._built[key] = kept
        return kept

    def run(self, cell: Cell, progress: Progress) -> tuple[Record, np.ndarray]:
        """The cell's record and its predictions, int64 [test images]."""
        started = datetime.now(UTC)
        protocol = cell.protocol
        dataset = data.load(cell.dataset, cell.dataset_digest)
        memory.reset_peak()
        baseline = memory.resident()
        built = self.build(
            cell.model,
            checkpoint=cell.checkpoint,
            spec=cell.conventions,
            recipe=protocol.conventions,
            classes=len(dataset.classes),
            numeric_mode=cell.numeric_mode,
            compiled=cell.compiled,
            size=protocol.input.size,
        )
        axes = built.conventions
        began = time.perf_counter()
        head = head_weights(
            built.initial["head.kernel"].shape[0], len(dataset.classes), axes.head_initialisation, cell.seeds.head
        )
        built.reset(head)
        run = self._probe if protocol.probe else self._train
        logits, truth, metrics, timings = run(cell, built, dataset, progress)
        predictions = logits.argmax(axis=1)
        record = Record(
            cell=cell,
            status="done",
            architecture=built.architecture,
            conventions=axes,
            checkpoint_digest=built.initial.without_head().digest(),
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
            environment=self.environment(),
            started=started,
            finished=datetime.now(UTC),
        )
        return record, predictions

    def environment(self) -> dict[str, str]:
        """What results depend on beside the cell: versions, device, threads, flags."""
        from isotune.environment import machine

        return machine() | {"isotune": __version__} | self.adapter.environment()

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
            "environment": self.adapter.environment(),
        }
        found = probe.features(built.model, images, test, protocol.evaluation.batch_size, identity, progress)
        assert protocol.probe is not None
        fitted = probe.fit(protocol.probe, found.train, labels, found.test, len(dataset.classes), cell.seeds)
        metrics = {"train_images": fitted.train_images, "l2": fitted.l2}
        timings = {
            "first_step": found.first_batch,
            "training": fitted.seconds,
            "training_images": fitted.train_images,
            "features": found.seconds,
            "features_images": found.images,
            "features_cached": found.cached,
        }
        return fitted.logits, truth, metrics, timings

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
        metrics = {"train_images": len(labels), "train_loss": tuple(result.losses)}
        timings = {
            "first_step": result.first_step,
            "training": result.seconds,
            "training_images": result.images,
            "evaluation": time.perf_counter() - began,
        }
        return logits, truth, metrics, timings


def _elsewhere(timings: dict[str, float]) -> float:
    """Seconds of the cell's work that an earlier cell did: features read from the cache."""
    return timings["first_step"] + timings["features"] if timings.get("features_cached") else 0.0
