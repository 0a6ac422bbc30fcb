"""The worker's part: a model is built as it would be for a run, and what it shows of a batch is written down.

What is recorded goes into a folder one array at a time (`comparison.observations`): the weights of a large network fit
into memory a few times only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune import names
from isotune.comparison import input_scaling, observations
from isotune.comparison.batch import Batch
from isotune.comparison.observations import Observations
from isotune.comparison.pairing import EXTRA, Place
from isotune.comparison.sides import Inputs, Request, Side
from isotune.conventions import AXES, FORM_AXES, NETWORK_AXES, OPTIMIZER_AXES, PIXEL_AXES
from isotune.errors import UsageError
from isotune.models import checkpoints
from isotune.models.building import Builder
from isotune.protocols.trained import trained_layers
from isotune.runs import own_classifier
from isotune.runs.training import sample_order
from isotune.seeds import Seeds
from isotune.weights import HEAD, Weights, head_weights

if TYPE_CHECKING:
    from isotune.adapters.base import Model, Trainer
    from isotune.models.building import Built
    from isotune.protocols import Stage
    from isotune.workers.worker import Worker

Array = np.ndarray
Named = Iterator[tuple[str, Array]]  # what a model shows, by name
_LAYER = re.compile(r"(?<![^/])\+?\d+\.[a-z]+(?![^./])")  # of a name, the layer: 012.norm
_OF_HEADS = "head_initialisation"  # no axis of a classifier that has weights
_NOT_BUILT = {  # any network does
    axis: AXES[axis].default for axis in (*PIXEL_AXES, _OF_HEADS, *OPTIMIZER_AXES, *FORM_AXES)
}
_MOST_KEPT, _ROOM = 6, 32_000_000  # models of a side; parameters, of which a model holds two copies in float64
_PER_IMAGE = ("input", "layers", "logits", "training layers")


class Recorder:
    """Records what models show, for one worker; those that are built as for a run are kept, since a search for causes
    comes back to them."""

    def __init__(self, worker: Worker) -> None:
        self.adapter = worker.adapter
        self._builder = Builder(worker, most=_MOST_KEPT, room=_ROOM)
        self._kept: tuple[object, Model] | None = None

    def kept(self, key: object, build: Callable[[], Model]) -> Model:
        """The latest model that was built from canonical weights, or another one in its place."""
        if self._kept is None or self._kept[0] != key:
            self._kept = None  # first, since both might not fit into memory
            self._kept = key, build()
        return self._kept[1]

    def forget(self) -> None:
        """Of `kept`: make room."""
        self._kept = None

    def describe(self, side: Side, inputs: Inputs) -> dict[str, Any]:
        """{"axes": resolved, as the network has them; "own": those that are known, as they would be if nothing set
        them; "left_out": in words; "random": the rates among that, None: not known; "limits": operations that change
        only some values, None: not known; "architecture"; "layers": canonical name -> library's; "places": of
        `pairing`; "inputs": name -> the layers that feed it; "between": name -> the library's operations in between;
        "trained": the layers that the stage trains, or why there are no such; "environment"; "parameters",
        BatchNorm's statistics among them; "keeps": how many such models}."""
        built = self._built(side, inputs)
        name = names.parse(side.model)
        native = self.adapter.native_conventions(name.name, name.options).model_dump()
        axes = built.conventions.model_dump() | network_axes(built.model.weights().conventions)
        if axes[input_scaling.AXIS] == input_scaling.INSIDE:  # what it amounts to
            axes |= {key: value for key, value in built.model.own_axes.items() if key == input_scaling.AXIS}
        return {
            "axes": {axis: value for axis, value in axes.items() if inputs.classes is not None or axis != _OF_HEADS},
            "own": _own(native, built.model.own_axes),
            "left_out": list(built.model.left_out),
            "random": None if (random := built.model.random) is None else {key: list(random[key]) for key in random},
            "limits": None if (limits := built.model.limits) is None else [asdict(limit) for limit in limits],
            "architecture": built.architecture,
            "layers": {layer.name: layer.library_name for layer in built.model.layers()},
            "places": [place.model_dump() for place in _places(built.model)],
            "between": {layer.name: list(layer.between) for layer in built.model.layers() if layer.between},
            "inputs": {layer.name: list(layer.inputs) for layer in built.model.layers()},
            "trained": _trained(built.model, inputs.stage),
            "environment": self._builder.environment(built),
            "parameters": built.parameters,
            "keeps": self._builder.keeps(built.parameters),
        }

    def record(self, request: Request, folder: Path) -> None:
        """Write what the side shows of a part."""
        built = self._built(request.side, request.inputs)
        if request.names:
            _draw(built.model, request)
        if request.weights:
            _take(built.model, _called(Weights.read(Path(request.weights)).items(), _back(request.names)))
        if request.part == "weights":
            observations.write(folder, _called(built.model.portable().items(), request.names))
            return
        images, labels = np.load(request.images, allow_pickle=False), np.load(request.labels, allow_pickle=False)
        _check_labels(labels, built, request)
        batch = Batch.of(images, labels, permuted=request.permuted, apart=request.apart)
        shown = _called(_shown(built, request, batch), request.names)
        write(folder, batch, shown, lambda name: request.part in _PER_IMAGE and not request.apart)

    def model(self, side: Side, inputs: Inputs) -> Model:
        """The side with its own weights, and the head that both sides get."""
        return self._built(side, inputs).model

    def _built(self, side: Side, inputs: Inputs) -> Built:
        """The side with its own weights and head, or the checkpoint's own classifier. Sides that differ in what no
        network is built with are one network."""
        classes = inputs.classes
        axes = self._builder.conventions(side.model, side.checkpoint, side.conventions, inputs.size, inputs.recipe)
        network = self._builder.build(
            side.model, checkpoint=side.checkpoint, conventions=axes.model_copy(update=_NOT_BUILT),
            recipe=inputs.recipe,
            classes=own_classifier.classes_to_build(side.checkpoint) if classes is None else classes, mode=side,
            size=inputs.size,
        )  # fmt: skip
        built = replace(network, conventions=axes)
        if classes is None:
            built.reset(own_classifier.drawn_head(side.checkpoint, built.initial))
            return built
        features = built.initial[f"{HEAD}.kernel"].shape[0]
        drawn = head_weights(features, classes, built.conventions.head_initialisation, inputs.seed)
        built.reset(drawn)
        return built


def _check_labels(labels: Array, built: Built, request: Request) -> None:
    """Of a checkpoint's own classifier. UsageError: it has no output for a class of the images."""
    outputs = built.initial[f"{HEAD}.kernel"].shape[1]
    if request.inputs.classes is None and labels.max(initial=0) >= outputs:
        raise UsageError(
            f"own-classifier: the classifier of {own_classifier.who(request.side.model, request.side.checkpoint)} has"
            f" {outputs:,} outputs, and a class of the images is output {labels.max():,}"
        )


def write(folder: Path, batch: Batch, shown: Iterable[tuple[str, Array]], per_image: Callable[[str], bool]) -> None:
    """Write what a model shows of a batch, its images back in their own order. per_image: whether what has this name
    holds a value for each image, along its first axis."""
    observations.write(folder, ((name, batch.back(array) if per_image(name) else array) for name, array in shown))


# -- what every model shows, and how


def network_axes(axes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a model's axes that belong to its network and have a value."""
    return {axis: value for axis, value in axes.items() if axis in NETWORK_AXES and value not in (None, "own")}


def parameters(model: Model) -> Named:
    """Its weights, without the buffers of BatchNorm and what scales the input."""
    yield from ((name, array) for name, array in model.portable().items() if not is_buffer(name))


def state(trainer: Trainer, buffers: str, slots: str) -> Named:
    """BatchNorm's buffers and the optimizer's slots, each under its own prefix."""
    yield from ((f"{slots if '/' in name else buffers}/{name}", array) for name, array in trainer.state().items())


def gradients(
    model: Model, images: Array, labels: Array, smoothing: float, *, loss: str = "loss", prefix: str = ""
) -> Named:
    """The loss, then every gradient. loss, prefix: of their names."""
    arrays = model.gradients(images, labels, smoothing)
    yield loss, arrays.pop("loss")
    yield from ((f"{prefix}{name}", array) for name, array in arrays.items())


def losses(
    trainer: Trainer, batches: Iterable[tuple[Array, Array, float]], prefix: str = ""
) -> Iterator[tuple[int, str, Array]]:
    """One step after the other on (images, labels, learning rate): (number of the step from 1 on, name, loss)."""
    for step, (images, labels, rate) in enumerate(batches, 1):
        yield step, f"{prefix}loss {step}", np.array(float(trainer.step(images, labels, rate)))


def is_buffer(name: str) -> bool:
    """Whether a tensor is one of BatchNorm's running statistics."""
    return name.endswith((".mean", ".variance"))


def _own(native: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A side's axes by itself. own: of its network, as read off it; empty: it is as the library says."""
    return {axis: value for axis, value in native.items() if not own or axis not in NETWORK_AXES} | network_axes(own)


# -- the parts of a side


def _take(model: Model, weights: Named) -> None:
    """The tensors that fit, in place of the model's own."""
    shapes = {name: array.shape for name, array in model.weights().items()}
    given = ((name, array, shapes[name]) for name, array in weights if name in shapes)
    model.load(
        {name: array.reshape(shape) for name, array, shape in given if _squeezed(shape) == _squeezed(array.shape)}
    )


def _draw(model: Model, request: Request) -> None:
    """A checkpoint that is drawn by layers' names, by everybody's names: the same for layers that are paired."""
    shapes = {name: array.shape for name, array in model.weights().items() if name.rpartition(".")[0] in request.names}
    drawn = checkpoints.drawn(request.side.checkpoint, dict(_called(shapes.items(), request.names)))
    model.load(dict(_called(drawn.items(), _back(request.names))) if drawn else {})


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side for side in shape if side != 1)  # a dense layer may be a 1x1 convolution


def _places(model: Model) -> Iterator[Place]:
    """The numbered layers, in their order."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, array in model.weights().items():
        owner = name.rpartition(".")[0]
        shapes[owner] = max(shapes.get(owner, ()), array.shape, key=math.prod)
    for layer in model.layers():
        if layer.name[0].isdecimal():
            yield Place(name=layer.name, shape=shapes.get(layer.name, ()), inputs=layer.inputs)


def _called(named: Iterable[tuple[str, Any]], names: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """What goes by names in which layers are called otherwise: `buffers/012.norm.mean`."""
    yield from ((_LAYER.sub(lambda match: names.get(match[0], match[0]), name), array) for name, array in named)


def _back(names: Mapping[str, str]) -> dict[str, str]:
    """The way back; what the side does not have is called so that it is none of its names."""
    own = {name: layer for layer, name in names.items()}
    return {**{layer: f"-{layer}" for layer in names}, **own}


def _shown(built: Built, request: Request, batch: Batch) -> Named:
    model, images, inputs = built.model, batch.images, request.inputs
    match request.part:
        case "input":
            yield "input", model.network_input(images)
        case "layers" | "training layers":
            replaced = dict(_replaced(request, batch))
            yield "input", model.network_input(images)
            yield from model.activations(images, training=request.part != "layers", replaced=replaced)
        case "logits":
            yield "features", model.features(images)
            yield "logits", model.logits(images)
        case "gradients":
            yield from gradients(model, images, batch.labels, inputs.stage.label_smoothing)
        case "step":
            yield from _step(built, request, batch)
        case _:
            yield from _drift(built, request, batch)


def _replaced(request: Request, batch: Batch) -> Named:
    """What takes the place of the input and of the layers' outputs, by the side's own names. Pixels have an end: the
    input is not stretched."""
    given = Observations(Path(request.replaced)) if request.replaced else {}
    for name, array in _called(given.items(), _back(request.names)):
        arranged = batch.arranged(np.asarray(array))
        yield name, arranged if request.stretched == 1 or name == "input" else arranged * request.stretched


def _step(built: Built, request: Request, batch: Batch) -> Named:
    """BatchNorm buffers, optimizer slots and weights after one step."""
    model, trainer = built.model, _trainer(built, request)
    before = model.weights()
    float(trainer.step(batch.images, batch.labels, request.inputs.rates[0]))
    yield from state(trainer, "buffers", "step")
    yield from ((f"step/{name}", array) for name, array in parameters(model))
    model.load(before)


def _drift(built: Built, request: Request, batch: Batch) -> Named:
    """The losses of all steps, each on three quarters of the images as a protocol would draw them.

    Not the weights in the end: there, one ReLU that a rounding opens or shuts counts as much as a fault.
    """
    model, trainer = built.model, _trainer(built, request)
    before = model.weights()
    yield from ((name, loss) for _, name, loss in losses(trainer, _drawn(request.inputs, batch)))
    model.load(before)


def _drawn(inputs: Inputs, batch: Batch) -> Iterator[tuple[Array, Array, float]]:
    count = len(batch.images)
    drawn = sample_order(count, count - count // 4, True, Seeds.all(inputs.seed), 0)
    for rate, (_, chosen) in zip(inputs.rates, drawn, strict=False):
        places = np.sort(batch.places[chosen])
        yield batch.images[places], batch.labels[places], rate


def _trainer(built: Built, request: Request) -> Trainer:
    from isotune.adapters.base import Recipe

    model, stage = built.model, request.inputs.stage
    if request.trained is None or stage.trained == "all":
        trained = trained_layers(stage, model.layers(), model.weights)
    else:
        trained = _chosen([layer.name for layer in model.layers()], request.names, set(request.trained))
    recipe = Recipe(
        stage.optimizer, frozenset(trained), stage.label_smoothing, stage.statistics, built.conventions,
        request.inputs.cleared,
    )  # fmt: skip
    return model.trainer(recipe)


def _chosen(layers: Sequence[str], names: Mapping[str, str], trained: set[str]) -> set[str]:
    """Of a side's layers, those that are `trained` by everybody's names; one that the side alone has goes with the one
    that follows it."""
    chosen, following = set(), False
    for layer in reversed(layers):
        name = names.get(layer, layer)
        following = following if name.startswith(EXTRA) else name in trained
        chosen |= {layer} if following else set()
    return chosen


def _trained(model: Model, stage: Stage) -> list[str] | str:
    """In their order; or why it cannot be."""
    try:
        chosen = trained_layers(stage, model.layers(), model.weights)
    except UsageError as error:
        return str(error)
    return [layer.name for layer in model.layers() if layer.name in chosen]
