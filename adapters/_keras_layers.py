"""Canonical layers of a Keras model: names, kinds, blocks, slots and layouts.

Layers that own tensors are numbered in the order of `model.layers`, nested models opened; Keras sorts it by
depth in the graph, so it is an order of execution. A `SeparableConv2D` is two layers, depthwise and pointwise.
Keras's layouts are the canonical ones (`isotune.weights`) up to a reshape: a depthwise kernel [h, w, in,
multiplier] is [h, w, 1, in * multiplier], and a classifier that is a 1x1 convolution is a dense matrix.

Blocks: a table of regular expressions gives the key of a layer's block from its name (`Application.block`).
Layers without a key that come first are the stem, those that come last the last block; others join the block
before them. Families without names to go by (Inception, NASNet) have a block end at each merge (Add,
Concatenate).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from isotune.weights import HEAD, Layer

Array = np.ndarray
SCALING = "scaling"
_SLOTS: dict[str, tuple[tuple[str, str], ...]] = {  # kind -> (slot, attribute of the Keras layer)
    "conv": (("kernel", "kernel"), ("bias", "bias")),
    "dense": (("kernel", "kernel"), ("bias", "bias")),
    "norm": (("scale", "gamma"), ("shift", "beta"), ("mean", "moving_mean"), ("variance", "moving_variance")),
    "depthwise": (("kernel", "depthwise_kernel"),),
    "pointwise": (("kernel", "pointwise_kernel"), ("bias", "bias")),
}


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

    def read(self) -> Array:
        array: Array = keras.ops.convert_to_numpy(self.variable)
        return array.reshape(self.shape)

    def canonical(self, native: Array) -> Array:
        """An array in the variable's layout, as canonical."""
        return np.asarray(native).reshape(self.shape)

    def write(self, array: Array) -> None:
        self.variable.assign(np.asarray(array, self.variable.dtype).reshape(tuple(self.variable.shape)))


def flatten(model: Any) -> Iterator[Any]:
    """All layers in order, those of nested models in their place."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from flatten(layer)
        else:
            yield layer


def parts(model: Any, block_pattern: str, *, scales_itself: bool) -> list[Part]:
    """The canonical layers of a model without classifier.

    scales_itself: whether the Normalization inside an EfficientNet stays, a layer `scaling` without a number, so
    that the others are numbered as in other libraries.
    """
    layers = list(flatten(model))
    keys = _blocks(layers, block_pattern)
    owned = dict.fromkeys(key for layer, key in zip(layers, keys, strict=True) if layer.weights)
    number = {key: place for place, key in enumerate(owned)}
    scaling: list[Part] = []
    found: list[Part] = []
    for layer, key in zip(layers, keys, strict=True):
        if not layer.weights:
            continue
        block = number[key]
        if isinstance(layer, keras.layers.Normalization):
            if scales_itself:
                scaling.append(Part(Layer(SCALING, "other", block, layer.name), layer.name, "other"))
            continue
        for form in _forms(layer):
            kind = {"depthwise": "conv", "pointwise": "conv"}.get(form, form)
            suffix = f".{form}" if kind != form else ""
            name = f"{len(found):03d}.{kind}"
            found.append(Part(Layer(name, kind, block, layer.name + suffix), layer.name, form))
    return scaling + found


def head_part(library_name: str) -> Part:
    return Part(Layer(HEAD, "dense", -1, library_name), HEAD, "dense")


def tensors(found: list[Part], model: Any) -> dict[str, Tensor]:
    """Canonical name -> tensor, of the layers of `model` (a clone, perhaps) that `found` names."""
    owners = {layer.name: layer for layer in flatten(model)}
    named: dict[str, Tensor] = {}
    for part in found:
        owner = owners[part.owner]
        for slot, variable in _variables(owner, part.form):
            named[f"{part.layer.name}.{slot}"] = Tensor(variable, _canonical_shape(part, owner, slot, variable))
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
    return shape


def _forms(layer: Any) -> tuple[str, ...]:
    match layer:
        case keras.layers.SeparableConv2D():
            return "depthwise", "pointwise"
        case keras.layers.Conv2D() | keras.layers.DepthwiseConv2D():
            return ("conv",)
        case keras.layers.BatchNormalization() | keras.layers.LayerNormalization():
            return ("norm",)
        case keras.layers.Dense():
            return ("dense",)
    return ("other",) if layer.weights else ()


def _blocks(layers: list[Any], pattern: str) -> list[str]:
    """Key of each layer's block."""
    keys: list[str] = []
    if not pattern:
        merges = 0
        for layer in layers:
            keys.append(str(merges))
            merges += isinstance(layer, keras.layers.Add | keras.layers.Concatenate)
        return keys
    found = [re.search(pattern, layer.name) for layer in layers]
    last = max((index for index, match in enumerate(found) if match), default=-1)
    for index, match in enumerate(found):
        if match:
            keys.append(match[1])
        elif index > last:
            keys.append("last")
        else:
            keys.append(keys[-1] if keys else "stem")
    return keys
