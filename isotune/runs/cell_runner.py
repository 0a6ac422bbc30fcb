"""One cell, run in a worker: model, data, protocol -> record and predictions.

A `CellRunner` belongs to one worker. Two cells whose conventions agree on every axis that their protocol can exercise
and that has a place in the network are one computation (`native` is `identical` where a library follows the checkpoint
by itself): the second is not run again, and its record says whose figures it carries.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from isotune import data, names
from isotune.conventions import FORM_AXES, NETWORK_AXES, PROTOCOL, Conventions
from isotune.errors import UsageError
from isotune.models import contents
from isotune.models.building import Builder, Built
from isotune.progress import Progress
from isotune.protocols import form_axes
from isotune.runs import own_classifier, probe, scores, training
from isotune.runs.drafts import Draft
from isotune.runs.own_classifier import classes
from isotune.runs.records import WITHOUT_LAW, Cell, Memory, Metrics, Record, Timings, predictions_digest
from isotune.runs.selection.fine_tuning import FineTuning
from isotune.weights import Weights, head_weights
from isotune.workers import memory
from isotune.workers.disturbance import Watch
from isotune.workers.environment import PROBE, codes, version, versions

if TYPE_CHECKING:
    from isotune.workers.worker import Worker

_NO_FORMS = dict.fromkeys(FORM_AXES, PROTOCOL)  # of techniques, with which no network is built
KEPT_RESULTS = 64  # cells that another set-up may repeat: those of one seed, as a matrix is ordered
MOST_CONFUSED = 20  # classes of which a record keeps the table; predictions are kept in any case
KEPT_FEATURES = 512 * 2**20  # bytes, of which a further seed reads nothing


class CellRunner:
    """Runs cells of one adapter."""

    def __init__(self, worker: Worker) -> None:
        self.adapter, self.alone = worker.adapter, worker.alone
        self.builder = worker.kept(Builder)
        self._results: OrderedDict[str, tuple[Record, np.ndarray]] = OrderedDict()
        named = f"{self.adapter.name}@{self.adapter.engine}"
        self._code = versions(named) | codes(self.adapter.name)  # what is imported stays as it is
        self._features: OrderedDict[str, tuple[probe.Features, probe.Shared]] = OrderedDict()

    def run(self, cell: Cell, progress: Progress, draft: Draft | None = None) -> tuple[Record, np.ndarray]:
        """The cell's record and its predictions, int64 [test images].

        draft: what a fine-tuning goes on from, and writes. UsageError: a file that the cell names is another one than
        when it was planned. LeftOff: as `Draft.write` says.
        """
        _check_files(cell)
        protocol = cell.protocol
        axes = self.builder.conventions(
            cell.model, cell.checkpoint, cell.conventions, protocol.input.size, protocol.conventions
        )
        recipe = form_axes.under(protocol, axes.model_dump())
        computation = cell.model_copy(update={"protocol": recipe}).model_dump_json(exclude={"conventions"})
        if protocol.selection and protocol.selection.grid:  # whose values come before the forms
            computation += axes.model_dump_json(include=set(form_axes.relevant_forms(protocol)))
        computation += axes.model_dump_json(include=self.builder.mattering(cell.model, protocol.stage))
        if (earlier := self._results.get(computation)) is not None and earlier[0].cell != cell:
            record, predictions = earlier
            taken = {"cell": cell, "conventions": axes, "same_as": record.cell.conventions}
            return record.model_copy(update=taken), predictions
        record, predictions = self._run(cell, axes, progress, draft)
        self._results[computation] = record, predictions
        while len(self._results) > KEPT_RESULTS:
            self._results.popitem(last=False)
        return record, predictions

    def _run(self, cell: Cell, axes: Conventions, progress: Progress, draft: Draft | None) -> tuple[Record, np.ndarray]:
        started, entered = datetime.now(UTC), time.perf_counter()
        protocol = cell.protocol
        dataset = data.load(cell.dataset, cell.dataset_digest)
        memory.reset_peak()
        baseline = memory.resident()
        own = protocol.own_classifier is not None  # the checkpoint's classifier, not a new one
        built = self.builder.build(
            cell.model,
            checkpoint=cell.checkpoint,
            conventions=axes.model_copy(update=_NO_FORMS),
            recipe=protocol.conventions,
            classes=own_classifier.classes_to_build(cell.checkpoint) if own else len(dataset.classes),
            mode=cell,
            size=protocol.input.size,
        )
        began = time.perf_counter()
        if own:
            head = own_classifier.drawn_head(cell.checkpoint, built.initial)
            start = Weights({**built.initial, **head}).digest()
        else:
            head = head_weights(
                built.initial["head.kernel"].shape[0], len(dataset.classes), axes.head_initialisation, cell.seeds.head
            )
            start = built.digest
        if protocol.probe:  # whose model is set back where it has features to compute
            logits, truth, metrics, timings = self._probe(cell, built, dataset, progress, lambda: built.reset(head))
        elif own:
            built.reset(head)
            logits, truth, metrics, timings = self._own_classifier(cell, built, dataset, progress)
        else:
            built.reset(head)
            kept = draft and draft.under(self.builder.environment(built))
            forms = axes.model_dump(include=set(FORM_AXES))
            tuning = FineTuning(cell, forms, built, dataset, lambda: built.reset(head), progress, kept, self.alone)
            logits, truth, metrics, timings = tuning.run()
        predictions = logits.argmax(axis=1)
        record = Record(
            cell=cell,
            status="done",
            architecture=built.architecture,
            conventions=axes,
            checkpoint_digest=start,
            notes=built.notes,
            metrics=Metrics(**{**scores.scores(logits, truth), **metrics}),
            predictions_digest=predictions_digest(predictions),
            timings=Timings(
                total=_elsewhere(timings) + time.perf_counter() - began,
                build=built.seconds,
                alone=timings.pop("alone", True) and self.alone,
                **timings,
            ),
            memory=Memory(resident=memory.peak(), baseline=baseline, device=built.model.device_memory()),
            environment=self.builder.environment(built) | {name: version(name) for name in PROBE if protocol.probe},
            started=started,
            finished=started + timedelta(seconds=time.perf_counter() - entered),  # whatever becomes of the clock
        )
        return record, predictions

    def _inputs(self, cell: Cell, built: Built, dataset: data.Dataset, split: Literal["train", "test"]):  # type: ignore[no-untyped-def]
        return data.inputs(
            dataset,
            split,
            cell.protocol.images,
            cell.protocol.input,
            resize=built.conventions.resize,
            decode=built.conventions.decode,
        )

    def _probe(  # type: ignore[no-untyped-def]
        self, cell: Cell, built: Built, dataset: data.Dataset, progress: Progress, reset: Callable[[], None]
    ):
        images, labels = self._inputs(cell, built, dataset, "train")
        test, truth = self._inputs(cell, built, dataset, "test")
        protocol = cell.protocol
        identity = {
            "model": cell.model,
            "weights": built.digest,
            "network": {axis: getattr(built.conventions, axis) for axis in (*NETWORK_AXES, "resize", "decode")},
            "mode": cell.mode,
            "dataset": cell.dataset_digest,
            "images": protocol.images.model_dump(),
            "input": protocol.input.model_dump(),
            "batch": protocol.evaluation.batch_size,
            "environment": self._code | self.adapter.environment(),
        }
        # one of the user's own may compute otherwise than when the features were kept
        if names.is_file(names.parse(cell.model, (self.adapter.name,)).name):
            reset()
            identity["seen"] = hashlib.sha256(built.model.features(images[:2]).tobytes()).hexdigest()
        if kept := self._features.get(key := probe.key(identity)):
            features, shared = kept
        else:
            batch = protocol.evaluation.batch_size
            features = probe.features(built.model, images, test, batch, identity, progress, reset)
            shared = probe.Shared(features.train, labels, features.test)
        assert protocol.probe is not None
        classes = len(dataset.classes)
        fitted = probe.fit(protocol.probe, features.train, labels, features.test, classes, cell.seeds, shared)
        self._keep(key, features, shared)
        metrics = {"train_images": fitted.train_images, "l2": fitted.l2}
        timings = {
            "first_step": features.first_batch,
            "training": fitted.seconds,
            "training_images": fitted.train_images,
            "features": features.seconds,
            "features_images": features.images,
            "features_cached": kept is not None or features.cached,
            "disturbance": features.disturbance,
        }
        return fitted.logits, truth, metrics, timings

    def _keep(self, key: str, features: probe.Features, shared: probe.Shared) -> None:
        """The latest, as many as fit; one that is larger by itself is read again, as in a fresh process."""
        self._features[key] = features, shared
        self._features.move_to_end(key)
        while sum(each.bytes for _, each in self._features.values()) > KEPT_FEATURES:
            self._features.popitem(last=False)

    def _own_classifier(self, cell: Cell, built: Built, dataset: data.Dataset, progress: Progress):  # type: ignore[no-untyped-def]
        rule = cell.protocol.own_classifier
        assert rule is not None
        test, truth = self._inputs(cell, built, dataset, "test")
        began = time.perf_counter()
        with Watch(built.model.device_clocks) as watch:
            logits = training.logits_in_batches(built.model, test, cell.protocol.evaluation.batch_size, progress)
        seconds = time.perf_counter() - began
        known = self.builder.class_names(cell.model, cell.checkpoint)
        columns = classes.columns(
            dataset.classes, logits.shape[1], known, rule, dataset=dataset.name,
            who=own_classifier.who(cell.model, cell.checkpoint),
        )  # fmt: skip
        model, who = built.model, own_classifier.who(cell.model, cell.checkpoint)
        logits, outputs = own_classifier.as_logits(logits, model.ending, model.ended, who)
        metrics: dict[str, Any] = {"outputs": outputs, "accuracy_among_all": columns.among_all(logits, truth)}
        logits = columns.of(logits)
        metrics |= {"train_images": 0, "top5": scores.top5(logits, truth)}
        if outputs in WITHOUT_LAW:
            metrics |= {"loss": None, "calibration_error": None}
        if len(dataset.classes) <= MOST_CONFUSED:
            table = scores.confusion(logits.argmax(axis=1), truth, len(dataset.classes))
            metrics |= {"classes": dataset.classes, "confusion": tuple(map(tuple, table.tolist()))}
        return logits, truth, metrics, {"evaluation": seconds, "disturbance": watch.seen}


def _check_files(cell: Cell) -> None:
    _, network, _, weights, beside = contents.files(cell.model, cell.checkpoint)
    for what, planned, now in (
        (cell.model, cell.network_digest, network),
        (cell.checkpoint, cell.weights_digest, weights),
    ):
        if planned not in (None, now):
            raise UsageError(f"the file of {what} was changed after this cell was planned; start the run again")
    if cell.weights_digest is not None and cell.beside_digest != beside:
        raise UsageError(f"what stands beside the file of {cell.checkpoint} was changed meanwhile; start the run again")


def _elsewhere(timings: dict[str, float]) -> float:
    """Seconds of the cell's work that were spent before: features read from the cache, the training up to a draft."""
    before = timings.pop("before", 0.0)
    return timings["first_step"] + timings["features"] if timings.get("features_cached") else before
