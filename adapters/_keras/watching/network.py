"""A watched network: its tensors under canonical names, and its BatchNorms."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from isotune.adapters._keras.layers import Part, Tensor, flatten, head_part, is_buffer, parts, tensors
from isotune.recordings import Norm, Streamed, TensorEntry
from isotune.weights import Layer

Array = np.ndarray
_KINDS = {"Dense": "dense", "Conv2D": "conv", "DepthwiseConv2D": "conv", "BatchNormalization": "norm",
          "LayerNormalization": "norm", "LayerScale": "scale"}  # fmt: skip


class WatchedNetwork:
    """The tensors of a network in the order of execution; of construction where it has no graph."""

    def __init__(self, model: Any) -> None:
        self.model = model
        try:
            in_network, self.in_order = _as_executed(model), True
        except Exception:  # a subclass of Model has no graph, and a foreign layer may have anything
            in_network, self.in_order = _as_built(model), False
        self.parts = in_network
        self.tensors: dict[str, Tensor] = tensors(in_network, model)
        self.by_variable = {id(tensor.variable): name for name, tensor in self.tensors.items()}
        self.owners = {layer.name: layer for layer in flatten(model)}

    def entries(self) -> list[TensorEntry]:
        trained = {id(variable) for variable in self.model.trainable_variables}
        blocks = {part.layer.name: (part.layer.kind, part.layer.block) for part in self.parts}
        entries = []
        for name, tensor in self.tensors.items():
            kind, block = blocks[name.rpartition(".")[0]]
            entries.append(
                TensorEntry(
                    name=name, own=tensor.variable.path, kind=kind, shape=tensor.shape,
                    dtype=str(keras.backend.standardize_dtype(tensor.variable.dtype)), buffer=is_buffer(name),
                    trained=id(tensor.variable) in trained, block=block,
                )
            )  # fmt: skip
        return entries

    def weights(self) -> list[Streamed]:
        return [self.streamed(name, each.variable) for name, each in self.tensors.items() if not is_buffer(name)]

    def buffers(self) -> list[Streamed]:
        return [self.streamed(name, each.variable) for name, each in self.tensors.items() if is_buffer(name)]

    def streamed(self, name: str, native: Any, *, label: str = "", sign: int = 1) -> Streamed:
        """An array in the layout of the tensor `name`, copied to NumPy when its turn comes."""
        tensor = self.tensors[name]
        wide = keras.backend.standardize_dtype(native.dtype) == "float64"
        return Streamed(
            f"{name}/{label}" if label else name, tuple(tensor.shape), "float64" if wide else "float32",
            lambda: sign * tensor.canonical(array_of(native)),
        )  # fmt: skip

    def norms(self) -> Iterator[tuple[str, Any]]:
        """BatchNorms by canonical name."""
        for part in self.parts:
            layer = self.owners[part.owner]
            if isinstance(layer, keras.layers.BatchNormalization):
                yield part.layer.name, layer

    def norm_states(self, used: dict[str, bool]) -> dict[str, Norm]:
        """used: whether each was called in training."""
        return {
            name: Norm(
                training=used.get(name, False), frozen=not layer.trainable, momentum=1 - float(layer.momentum),
                epsilon=float(layer.epsilon),
            )
            for name, layer in self.norms()
        }  # fmt: skip


def array_of(value: Any) -> Array:
    """A copy in NumPy; gradients that are slices of a table are whole there."""
    return np.array(keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(value)))


def _as_executed(model: Any) -> list[Part]:
    listed = parts(getattr(model, "_functional", None) or model, "", scales_itself=False)  # the graph of a Sequential
    last = listed[-1]
    if isinstance(_owner(model, last), keras.layers.Dense) or last.layer.kind == "dense":
        listed[-1] = replace(head_part(last.owner), owner=last.owner)
    return listed


def _owner(model: Any, part: Part) -> Any:
    return next(layer for layer in flatten(model) if layer.name == part.owner)


def _as_built(model: Any) -> list[Part]:
    owners = [layer for layer in flatten(model) if layer.weights and not isinstance(layer, keras.layers.Normalization)]
    listed = []
    for number, layer in enumerate(owners):
        kind = _KINDS.get(type(layer).__name__, "other")
        listed.append(Part(Layer(f"{number:03d}.{kind}", kind, number, layer.name), layer.name, kind))
    if listed and listed[-1].form == "dense":
        listed[-1] = replace(head_part(listed[-1].owner), owner=listed[-1].owner)
    return listed
