"""The worker's part: a side is built as it would be for a run, and what it does is written down."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune.comparison import observations
from isotune.comparison.observations import Observations
from isotune.comparison.sides import Asked, Inputs, Side
from isotune.conventions import NETWORK_AXES
from isotune.runs.cell_runner import CellRunner
from isotune.runs.records import Seeds
from isotune.runs.training import sample_order
from isotune.weights import HEAD, Weights, head_weights, select_trained

if TYPE_CHECKING:
    from isotune.adapters.base import Model, Trainer
    from isotune.runs.cell_runner import Built
    from isotune.workers.worker import Worker

Array = np.ndarray
_PER_IMAGE = ("input", "layers", "logits", "training layers")


class Examiner:
    """Answers for one worker; the runner keeps the models."""

    def __init__(self, worker: Worker) -> None:
        self._runner = worker.kept(CellRunner)

    def describe(self, side: Side, inputs: Inputs) -> dict[str, Any]:
        """{"axes": resolved, as the network has them; "architecture"; "layers": canonical name -> library's;
        "kinds"; "parameters"; "environment"}."""
        built = self._built(side, inputs)
        found = built.model.weights()
        seen = {axis: value for axis, value in found.conventions.items() if axis in NETWORK_AXES and value != "own"}
        layers = built.model.layers()
        return {
            "axes": built.conventions.model_dump() | {axis: value for axis, value in seen.items() if value is not None},
            "architecture": built.architecture,
            "layers": {layer.name: layer.library_name for layer in layers},
            "environment": self._runner.environment(),
        }

    def examine(self, asked: Asked, folder: Path) -> None:
        """Write what the side shows of a part."""
        built = self._built(asked.side, asked.inputs)
        if asked.weights:
            self._take(built.model, Weights.read(Path(asked.weights)))
        if asked.part == "weights":
            observations.write(folder, iter(built.model.weights().items()))
            return
        images, labels = np.load(asked.images, allow_pickle=False), np.load(asked.labels, allow_pickle=False)
        order = np.arange(len(images))[:: -1 if asked.permuted else 1]
        seen = _seen(built.model, asked, images[order], labels[order], order)
        back = np.argsort(order)
        observations.write(folder, ((name, array[back] if asked.part in _PER_IMAGE else array) for name, array in seen))

    def _built(self, side: Side, inputs: Inputs) -> Built:
        """The side with its own weights and head."""
        built = self._runner.build(
            side.model, checkpoint=side.checkpoint, spec=side.conventions, recipe=inputs.recipe,
            classes=inputs.classes, numeric_mode=side.numeric_mode, compiled=side.compiled, size=inputs.size,
        )  # fmt: skip
        features = built.initial[f"{HEAD}.kernel"].shape[0]
        drawn = head_weights(features, inputs.classes, built.conventions.head_initialisation, inputs.seed)
        built.reset(drawn)
        return built

    @staticmethod
    def _take(model: Model, weights: Weights) -> None:
        own = model.weights()
        model.load({name: array for name, array in weights.items() if name in own and own[name].shape == array.shape})


def _seen(model: Model, asked: Asked, images: Array, labels: Array, order: Array) -> Iterator[tuple[str, Array]]:
    stage = asked.inputs.stage
    match asked.part:
        case "input":
            yield "input", model.network_input(images)
        case "layers" | "training layers":
            given = Observations(Path(asked.replaced)) if asked.replaced else {}
            replaced = {name: np.asarray(array)[order] for name, array in given.items()}
            yield "input", model.network_input(images)
            yield from model.activations(images, training=asked.part != "layers", replaced=replaced)
        case "logits":
            yield "features", model.features(images)
            yield "logits", model.logits(images)
        case "gradients":
            found = model.gradients(images, labels, stage.label_smoothing)
            yield "loss", found.pop("loss")
            yield from found.items()
        case "step":
            yield from _step(model, asked.inputs, images, labels)
        case _:
            yield from _drift(model, asked.inputs, images, labels, order)


def _step(model: Model, inputs: Inputs, images: Array, labels: Array) -> Iterator[tuple[str, Array]]:
    """BatchNorm buffers, optimizer slots and weights after one step."""
    before, trainer = model.weights(), _trainer(model, inputs)
    float(trainer.step(images, labels, inputs.rates[0]))
    for name, array in trainer.state().items():
        yield f"{'step' if '/' in name else 'buffers'}/{name}", array
    yield from ((f"step/{name}", array) for name, array in model.weights().items() if not _is_buffer(name))
    model.load(before)


def _drift(model: Model, inputs: Inputs, images: Array, labels: Array, order: Array) -> Iterator[tuple[str, Array]]:
    """The losses of all steps, each on three quarters of the images as a protocol would draw them.

    Not the weights in the end: there, one ReLU that a rounding opens or shuts counts as much as a fault.
    """
    before, trainer = model.weights(), _trainer(model, inputs)
    places = np.argsort(order)
    batches = sample_order(len(images), len(images) - len(images) // 4, True, Seeds.all(inputs.seed), 0)
    for step, (rate, (_, drawn)) in enumerate(zip(inputs.rates, batches, strict=False)):
        chosen = np.sort(places[drawn])
        yield f"loss {step + 1}", np.array(float(trainer.step(images[chosen], labels[chosen], rate)))
    model.load(before)


def _trainer(model: Model, inputs: Inputs) -> Trainer:
    from isotune.adapters.base import Recipe

    stage = inputs.stage
    trained = frozenset(select_trained(model.layers(), stage.trained))
    return model.trainer(Recipe(stage.optimizer, trained, stage.label_smoothing, stage.batchnorm))


def _is_buffer(name: str) -> bool:
    return name.endswith((".mean", ".variance"))
