"""Canonical layers of a Keras model: names, kinds, blocks, slots and layouts.

Layers that own tensors are numbered in the order of execution (`_dataflow`), nested models opened. A
`SeparableConv2D` is two layers, depthwise and pointwise. Keras's layouts are the canonical ones (`isotune.weights`)
up to a reshape: a depthwise kernel [h, w, in, multiplier] is [h, w, 1, in * multiplier], a dense layer on vectors is
a convolution over the map that was flattened, and a classifier that is a 1x1 convolution is a dense matrix.

Blocks: a table of regular expressions gives the key of a layer's block from its name (`Application.block`).
Layers without a key that come first are the stem, those that come last the last block; others join the block
before them. Networks without names to go by (Inception, NASNet, a user's own) have a block end at each
merge (Add, Concatenate); without merges, each convolution or dense layer begins one, as loose ones do in torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from isotune.adapters._keras.dataflow import is_layer, trace, trace_limits
from isotune.adapters._keras.graph.flattening import read_by
from isotune.adapters.execution_order import Step
from isotune.adapters.flattening import Flattened
from isotune.weights import HEAD, Layer, Limit

Array = np.ndarray
SCALING = "scaling"
_SLOTS: dict[str, tuple[tuple[str, str], ...]] = {  # kind -> (slot, attribute of the Keras layer)
    "conv": (("kernel", "kernel"), ("bias", "bias")),
    "transposed": (("kernel", "kernel"), ("bias", "bias")),
    "dense": (("kernel", "kernel"), ("bias", "bias")),
    "norm": (("scale", "gamma"), ("shift", "beta"), ("mean", "moving_mean"), ("variance", "moving_variance")),
    "root mean square": (("scale", "scale"),),
    "scale": (("scale", "gamma"),),
    "slopes": (("weight", "alpha"),),  # of PReLU, as torch calls them
    "depthwise": (("kernel", "depthwise_kernel"),),
    "pointwise": (("kernel", "pointwise_kernel"), ("bias", "bias")),
    "flat": (("kernel", "kernel"), ("bias", "bias")),
}
_KINDS = {  # of forms that are not their own kind
    "depthwise": "conv",
    "pointwise": "conv",
    "flat": "conv",
    "root mean square": "norm",
    "slopes": "other",
}
_HALVES = ("depthwise", "pointwise")  # of a separable convolution


@dataclass(frozen=True)
class Part:
    """A canonical layer within a Keras model, found again by name in any clone of it."""

    layer: Layer
    owner: str  # name of the Keras layer
    form: str  # key of _SLOTS, or "other"


@dataclass(frozen=True)
class Tensor:
    """A canonical tensor and the Keras variable that holds it."""

    variable: Any
    shape: tuple[int, ...]  # canonical
    rows: Flattened | None = None  # of a dense kernel [in, out] that reads a map: in which order

    def read(self) -> Array:
        return self.canonical(keras.ops.convert_to_numpy(self.variable))

    def canonical(self, native: Array) -> Array:
        """An array in the variable's layout, as canonical."""
        array = np.asarray(native)
        return array.reshape(self.shape) if self.rows is None else self.rows.canonical(array)

    def native(self, array: Array) -> Array:
        """A canonical array in the variable's layout."""
        return array.reshape(tuple(self.variable.shape)) if self.rows is None else self.rows.rows(array)

    def write(self, array: Array) -> None:
        self.variable.assign(self.native(np.asarray(array, self.variable.dtype)))


def flatten(model: Any) -> Iterator[Any]:
    """All layers in order, those of nested models in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from flatten(layer)
        else:
            yield layer


def operations(model: Any) -> Iterator[Any]:
    """All operations, layers among them, those of nested models in their place."""
    graph = getattr(model, "_functional", None) or model  # a Sequential's
    for operation in getattr(graph, "operations", graph.layers):
        if isinstance(operation, keras.Model):
            yield from operations(operation)
        else:
            yield operation


def copied(layer: Any, changes: Mapping[str, Any], kind: Any = None) -> Any:
    """A layer or operation of the same configuration but for `changes`; kind: another class for it.

    Its activation is the very function: a configuration knows functions by their names, so that a user's `gelu`, or
    keras.ops.gelu, which is by tanh, would become Keras's own.
    """
    activation = getattr(layer, "activation", None)
    copy = (kind or type(layer)).from_config({**layer.get_config(), **changes})
    owner = getattr(activation, "__self__", activation)  # of a method
    if callable(activation) and not isinstance(owner, keras.layers.Layer):
        copy.activation = activation
    if "name" not in changes:  # a configuration of the user's own may leave it out
        copy.name = layer.name
    return copy


def parts(model: Any, block_pattern: str, *, scales_itself: bool) -> list[Part]:
    """The canonical layers of a model without classifier.

    scales_itself: whether the Normalization inside an EfficientNet stays, a layer `scaling` without a number, so
    that the others are numbered as in other libraries.
    """
    layers = list(flatten(model))
    owners = {layer.name: layer for layer in layers if layer.weights}
    keys = _blocks_by_name(layers, block_pattern) if block_pattern else _blocks_by_merge(model)
    number = {key: place for place, key in enumerate(dict.fromkeys(keys[name] for name in owners))}
    steps = trace(model)
    forms = {step.layer: step.layer[1] or _form(owners[step.layer[0]]) for step in steps}
    kinds = {step.layer: _KINDS.get(forms[step.layer], forms[step.layer]) for step in steps}
    named = {step.layer: f"{index:03d}.{kinds[step.layer]}" for index, step in enumerate(steps)}
    canonical = [
        Part(Layer(SCALING, "other", number[keys[name]], name), name, "other")
        for name, layer in owners.items()
        if scales_itself and isinstance(layer, keras.layers.Normalization)
    ]
    for step in steps:
        owner, half = step.layer
        layer = Layer(
            named[step.layer], kinds[step.layer], number[keys[owner]], f"{owner}.{half}" if half else owner,
            tuple(named[other] for other in step.inputs), step.between,
        )  # fmt: skip
        canonical.append(Part(layer, owner, forms[step.layer]))
    return canonical


def limits_of(model: Any, body: list[Part]) -> tuple[Limit, ...]:
    """model: under its conventions. body: the canonical layers of it."""
    return tuple(limit.behind(layer_names(body)) for limit in trace_limits(model))


def layer_names(body: list[Part]) -> dict[tuple[str, str], str]:
    """Canonical names by what `trace` calls the layers."""
    return {(part.owner, part.form if part.form in _HALVES else ""): part.layer.name for part in body}


def is_buffer(name: str) -> bool:
    """Whether a tensor is a BatchNorm's running mean or variance."""
    return ".norm." in name and name.endswith((".mean", ".variance"))


def head_part(library_name: str, body: list[Part] | None = None, end: Step | None = None) -> Part:
    """body, end: the layers before, and how their network ends (`trace_end`)."""
    named = layer_names(body or [])
    inputs = tuple(named[layer] for layer in end.inputs) if end else ()
    return Part(Layer(HEAD, "dense", -1, library_name, inputs, end.between if end else ()), HEAD, "dense")


def tensors(named_parts: list[Part], model: Any) -> dict[str, Tensor]:
    """Canonical name -> tensor, of the layers of `model` (a clone, perhaps) that `named_parts` names."""
    owners = {layer.name: layer for layer in flatten(model)}
    named: dict[str, Tensor] = {}
    for part in named_parts:
        owner = owners[part.owner]
        for slot, variable in _variables(owner, part.form):
            shape = _canonical_shape(part, owner, slot, variable)
            rows = read_by(owner) if slot == "kernel" and part.form == "flat" else None
            if rows is not None:
                shape = (*rows.shape(shape[0]), shape[1])
            named[f"{part.layer.name}.{slot}"] = Tensor(variable, shape, rows)
    return named


def _variables(owner: Any, form: str) -> Iterator[tuple[str, Any]]:
    if form == "other":
        yield from ((variable.name, variable) for variable in owner.weights)
        return
    for slot, attribute in _SLOTS[form]:
        if (variable := getattr(owner, attribute, None)) is not None:
            yield slot, variable


def _canonical_shape(part: Part, owner: Any, slot: str, variable: Any) -> tuple[int, ...]:
    shape = tuple(variable.shape)
    is_depthwise = part.form == "depthwise" or isinstance(owner, keras.layers.DepthwiseConv2D)
    if slot == "kernel" and is_depthwise:
        return (*shape[:2], 1, shape[2] * shape[3])
    return tuple(side for side in shape if side != 1) or (1,) if part.form == "slopes" else shape


def _form(layer: Any) -> str:
    match layer:
        case keras.layers.Conv2D() | keras.layers.DepthwiseConv2D() | keras.layers.Conv2DTranspose():
            return "transposed" if isinstance(layer, keras.layers.Conv2DTranspose) else "conv"
        case keras.layers.BatchNormalization() | keras.layers.LayerNormalization() | keras.layers.GroupNormalization():
            return "norm"
        case keras.layers.RMSNormalization():
            return "root mean square"
        case keras.layers.PReLU():
            return "slopes"
        case keras.layers.Dense():
            return "flat" if len(layer.input.shape) == 2 else "dense"
    return "scale" if type(layer).__name__ == "LayerScale" else "other"


def _blocks_by_merge(model: Any) -> dict[str, str]:
    """Layer -> key of its block; each sum and concatenation ends one, and where there is none, each convolution or
    dense layer begins one."""
    keys: dict[str, str] = {}
    plain = not any(map(_merges, model.operations))
    number = 0
    for operation in model.operations:
        number += plain and is_layer(operation) and _form(operation) in ("conv", "transposed", "dense", "flat", "other")
        keys[operation.name] = str(number)
        number += _merges(operation)
    return keys


def _merges(operation: Any) -> bool:
    return type(operation).__name__ in ("Add", "Concatenate") and not isinstance(operation.input, keras.KerasTensor)


def _blocks_by_name(layers: list[Any], pattern: str) -> dict[str, str]:
    """Layer -> key of its block."""
    keys: list[str] = []
    matches = [re.search(pattern, layer.name) for layer in layers]
    last = max((index for index, match in enumerate(matches) if match), default=-1)
    for index, match in enumerate(matches):
        if match:
            keys.append(match[1])
        elif index > last:
            keys.append("last")
        else:
            keys.append(keys[-1] if keys else "stem")
    return {layer.name: key for layer, key in zip(layers, keys, strict=True)}
