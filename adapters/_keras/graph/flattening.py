"""The map that a dense layer of Keras reads as a vector, read off the graph."""

from __future__ import annotations

from collections.abc import Callable
from operator import methodcaller
from typing import Any

import keras

from isotune.adapters.flattening import Array, Flattened, flattened

_SAME = ("Dropout", "Identity", "Cast", "ReLU", "LeakyReLU", "Activation", "Relu", "Relu6", "Silu", "Gelu")


def read_by(layer: Any) -> Flattened:
    """Of maps [N, H, W, C]; what works on each value by itself, an activation, may stand between map and vector."""
    tensor, changes = layer.input, list[Callable[[Array], Array]]()
    while True:
        operation, index, _ = tensor._keras_history  # Keras has no public way to it
        kind = type(operation).__name__
        if kind in ("Flatten", "Reshape"):
            changes.append(methodcaller("reshape", 1, *map(int, tensor.shape[1:])))
        elif isinstance(operation, keras.layers.Permute):
            changes.append(methodcaller("transpose", (0, *operation.dims)))
        elif kind == "Transpose":
            changes.append(methodcaller("transpose", operation.axes))
        elif kind not in _SAME:
            break
        tensor = operation._inbound_nodes[index].input_tensors[0]
    if any(side is None for side in tensor.shape[1:]):
        return Flattened()
    return flattened((1, *map(int, tensor.shape[1:])), "hwc", changes[::-1])
