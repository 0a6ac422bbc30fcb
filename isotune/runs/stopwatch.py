"""Speed of one model: latency, throughput, training step, round by round.

A round is asked for by name and number, so that several workers can be measured in turn (A B C A B C):
the first round of a measurement builds the model, unless another question has built it, and takes its
first step, what has to be compiled for it included, apart from the rounds; a round repeats the work until
it has lasted `ROUND_SECONDS`, with the device synchronised before each reading of the clock, and gives the
seconds of one repetition. A round that others disturbed is taken again once the machine is quiet, as long as the
measurement has patience; the least disturbed is given, and says how much it was.
"""

from __future__ import annotations

import gc
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from isotune.models.building import Builder
from isotune.protocols import SGD, Mode, NumericMode, Schedule, Stage
from isotune.runs.precision import Noise, Shown, noise, shown
from isotune.weights import head_weights, select_trained
from isotune.workers import memory
from isotune.workers.disturbance import Watch, wait_for_quiet

if TYPE_CHECKING:
    from collections.abc import Callable

    from isotune.models.building import Built
    from isotune.workers.worker import Worker

ROUND_SECONDS = 0.3
AGAIN, PATIENCE = 3, 6.0  # how often a disturbed round is taken again; seconds for it, of all rounds of a measurement
Question = Literal["inference-latency", "inference-throughput", "training-step"]


class Measurement(Mode):
    """What is measured. Images are drawn at random: speed does not depend on what they show."""

    question: Question
    model: str
    checkpoint: str = "offline"
    conventions: str = "identical"
    image_size: int = Field(96, ge=8)
    batch_size: int = Field(gt=0)
    classes: int = Field(10, gt=0)
    patience: float = Field(PATIENCE, ge=0, description="seconds for taking disturbed rounds again, of all rounds")

    @property
    def stages(self) -> tuple[Stage, ...]:
        """What a training step is a step of: all layers, SGD with Nesterov momentum."""
        if self.question != "training-step":
            return ()
        optimizer = SGD(name="sgd", momentum=0.9, nesterov=True)
        return (
            Stage(steps=1, batch_size=self.batch_size, optimizer=optimizer, schedule=Schedule(learning_rate=2**-7)),
        )


@dataclass
class _Prepared:
    built: Built
    repeat: Callable[[], object]
    first_step: float
    resident: int | None
    repetitions: int
    patience: float


class Stopwatch:
    """Measurements of one worker, each kept ready for its next round."""

    def __init__(self, worker: Worker) -> None:
        self.builder = worker.kept(Builder)
        self._ready: dict[str, _Prepared] = {}
        self._exact: tuple[str, Shown] | None = None  # the network whose noise was asked for last, in float64

    def round(self, asked: Measurement) -> dict[str, Any]:
        """One round: {"seconds": of one repetition, "first_step", "resident", "device", "architecture", ...}."""
        key = asked.model_dump_json()
        if key not in self._ready:
            self._ready[key] = self._prepare(asked)
        ready = self._ready[key]
        model = ready.built.model
        best, again = _timed(ready), 0
        while best.seen.disturbed and again < AGAIN and ready.patience > 0:
            ready.patience -= wait_for_quiet(ready.patience)
            best, again = min(best, _timed(ready), key=lambda watch: watch.seen.taken), again + 1
            ready.patience -= best.seconds
        return {
            "seconds": best.seconds / ready.repetitions,
            "disturbance": best.seen.model_dump(mode="json"),
            "again": again,
            "first_step": ready.first_step,
            "resident": ready.resident,
            "device": model.device_memory(),
            "architecture": ready.built.architecture,
            "parameters": ready.built.trained_parameters,
            "environment": self.builder.environment(ready.built),
        }

    def network(self, asked: Measurement) -> dict[str, Any]:
        """The axes that can change what is measured, resolved: measurements that agree on them are one."""
        axes = self.builder.conventions(asked.model, asked.checkpoint, asked.conventions, asked.image_size)
        return axes.model_dump(mode="json", include=self.builder.mattering(asked.model, asked.stages))

    def noise(self, asked: Measurement) -> Noise:
        """How far the training step's parts are from float64's, not compiled. It builds the model in the mode, and
        in float64 where the measurement before was not of the same network."""
        self.close()
        batch = {"batch_size": asked.batch_size, "image_size": asked.image_size, "classes": asked.classes}

        def of(mode: NumericMode) -> Shown:
            return shown(self._build(asked.model_copy(update={"numeric_mode": mode, "compiled": False})), **batch)

        rounded = of(asked.numeric_mode)  # first: that model may be there still
        network = json.dumps([asked.model, asked.checkpoint, self.network(asked), batch], sort_keys=True)
        if self._exact is None or self._exact[0] != network:  # in float64 a layout makes no difference
            self._exact = None
            self._exact = network, of("float64")
        return noise(self._exact[1], rounded)

    def close(self) -> None:
        """Forget what is ready, and its models."""
        self._ready.clear()
        gc.unfreeze()

    def _build(self, asked: Measurement) -> Built:
        return self.builder.build(
            asked.model,
            checkpoint=asked.checkpoint,
            conventions=asked.conventions,
            recipe={},
            classes=asked.classes,
            mode=asked,
            size=asked.image_size,
        )

    def _prepare(self, asked: Measurement) -> _Prepared:
        from isotune.adapters.base import Recipe

        memory.reset_peak()
        built = self._build(asked)
        model = built.model
        built.reset()
        features = built.initial["head.kernel"].shape[0]
        model.load(head_weights(features, asked.classes, "uniform-fan-in", 0))
        stream = np.random.default_rng(0)
        images = stream.integers(0, 256, (asked.batch_size, asked.image_size, asked.image_size, 3), dtype=np.uint8)
        labels = stream.integers(0, asked.classes, asked.batch_size)
        repeat: Callable[[], object]
        if asked.stages:
            (stage,) = asked.stages
            trainer = model.trainer(Recipe(stage.optimizer, frozenset(select_trained(model.layers(), stage.trained))))

            def repeat() -> object:
                return trainer.step(images, labels, stage.schedule.learning_rate)
        else:

            def repeat() -> object:
                return model.logits(images)

        began = time.perf_counter()
        repeat()
        model.synchronize()
        first_step = time.perf_counter() - began
        for _ in range(2):  # allocators and autotuners settle
            repeat()
        model.synchronize()
        began = time.perf_counter()
        repeat()
        model.synchronize()
        once = time.perf_counter() - began
        gc.collect()
        gc.freeze()  # a framework's hundred thousands of objects stay: to go through them before every round takes long
        return _Prepared(
            built, repeat, first_step, memory.peak(), max(1, round(ROUND_SECONDS / max(once, 1e-6))), asked.patience
        )


def _timed(ready: _Prepared) -> Watch:
    """One round, watched."""
    model = ready.built.model
    gc.collect()
    model.synchronize()
    with Watch(model.device_clocks) as watch:
        for _ in range(ready.repetitions):
            ready.repeat()
        model.synchronize()
    return watch
