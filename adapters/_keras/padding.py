"""Padding of strided convolutions and of pooling in a Keras model: what there is, and what takes its place.

Keras pads SAME, max(0, (ceil(n/s)-1)*s + k - n) in all and the odd pixel at the end, either by `padding="same"` or by
a ZeroPadding2D before a valid window (imagenet_utils.correct_pad); its ResNets and DenseNets pad symmetrically by
ZeroPadding2D. SAME leaves the padding out of an average and out of a maximum (keras/src/backend/torch/nn.py does what
TensorFlow does); behind a ZeroPadding2D it is zeros that count. Windows without padding stay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from isotune.conventions import Conventions

Pads = tuple[tuple[int, int], tuple[int, int]]
CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


@dataclass(frozen=True)
class Window:
    """A convolution or a pool that pads, and how."""

    kind: str  # convolution, max, average
    reach: tuple[int, int]
    strides: tuple[int, int]
    size: tuple[int, int]  # of the map, before padding
    pads: Pads
    fill: float  # of max pooling, outside the map
    counted: bool  # of average pooling: whether padding counts
    source: str | None  # name of the ZeroPadding2D that pads for it

    @property
    def strided(self) -> bool:
        return max(self.strides) > 1

    @property
    def form(self) -> str | None:
        """How a strided window pads; None: it does not stride, or for this size both forms are the same."""
        symmetric, end = self.padded("symmetric").pads, self.padded("same").pads
        if not self.strided or (symmetric == end == self.pads):
            return None
        return "symmetric" if self.pads == symmetric else "same" if self.pads == end else "neither"

    def padded(self, form: str) -> Window:
        """The window with padding of that form."""
        if form == "symmetric":
            above, left = ((side - 1) // 2 for side in self.reach)
            return replace(self, pads=((above, above), (left, left)))
        both = []
        for size, window, stride in zip(self.size, self.reach, self.strides, strict=True):
            total = max(0, (-(-size // stride) - 1) * stride + window - size)
            both.append((total // 2, total - total // 2))
        return replace(self, pads=(both[0], both[1]))

    def under(self, conventions: Conventions) -> Window:
        """The window as `conventions` want it."""
        wanted = self
        if self.strided and conventions.stride2_padding != "own":
            wanted = wanted.padded(conventions.stride2_padding)
        if self.kind == "max" and conventions.max_pool_padding != "own":
            wanted = replace(wanted, fill=0.0 if conventions.max_pool_padding == "zeros" else -math.inf)
        if self.kind == "average" and conventions.count_include_pad != "own":
            counted = conventions.count_include_pad == "true" or (
                self.strided and conventions.count_include_pad == "when-strided"
            )
            wanted = replace(wanted, counted=counted)
        return wanted


def window(layer: Any) -> Window | None:
    """The window of `layer`; None when it is none, or does not pad."""
    if isinstance(layer, CONVOLUTIONS):
        kind, reach = "convolution", _pair(layer.kernel_size)
    elif isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
        kind = "max" if isinstance(layer, keras.layers.MaxPooling2D) else "average"
        reach = _pair(layer.pool_size)
    else:
        return None
    if max(reach) == 1:
        return None
    strides = _pair(layer.strides)
    if layer.padding == "same":
        fill = -math.inf if kind == "max" else 0.0
        size = layer.input.shape[1:3]
        return Window(kind, reach, strides, size, ((0, 0), (0, 0)), fill, counted=False, source=None).padded("same")
    source = layer.input._keras_history.operation
    if not isinstance(source, keras.layers.ZeroPadding2D) or not all(map(_reads_padding, _consumers(source))):
        return None
    pads = tuple(map(tuple, source.padding))
    return Window(kind, reach, strides, source.input.shape[1:3], pads, 0.0, counted=True, source=source.name)  # type: ignore[arg-type]


def padded(window: Window, tensor: Any) -> Any:
    """The tensor with the window's padding around it, for a layer without padding."""
    if window.kind != "max":
        return keras.layers.ZeroPadding2D(window.pads)(tensor)
    return keras.ops.pad(tensor, ((0, 0), *window.pads, (0, 0)), constant_values=window.fill)


def without_padding(window: Window, averages: Any) -> Any:
    """Averages over padded windows, divided by the share of each that lies inside the map."""
    shares = [
        _inside(size, reach, stride, pads) / reach
        for size, reach, stride, pads in zip(window.size, window.reach, window.strides, window.pads, strict=True)
    ]
    return _Scale(1.0 / np.outer(*shares)[None, :, :, None])(averages)


class _Scale(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Multiplies by a constant."""

    def __init__(self, factor: np.ndarray) -> None:
        super().__init__()
        self._factor = factor

    def call(self, inputs: Any) -> Any:
        return inputs * keras.ops.cast(keras.ops.convert_to_tensor(self._factor), inputs.dtype)


def _inside(size: int, reach: int, stride: int, pads: tuple[int, int]) -> np.ndarray:
    """How many of each window's `reach` places lie inside, along one side."""
    inside = np.pad(np.ones(size), pads)
    counts: np.ndarray = np.lib.stride_tricks.sliding_window_view(inside, reach)[::stride].sum(axis=1)
    return counts


def _reads_padding(layer: Any) -> bool:
    """Whether the layer is a window without padding of its own: what follows a ZeroPadding2D that pads for windows."""
    pools = keras.layers.MaxPooling2D | keras.layers.AveragePooling2D
    return isinstance(layer, (*CONVOLUTIONS, keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)) and (
        layer.padding == "valid" and max(_pair(layer.pool_size if isinstance(layer, pools) else layer.kernel_size)) > 1
    )


def _consumers(layer: Any) -> list[Any]:
    return [node.operation for node in layer._outbound_nodes]  # Keras has no public way to them


def _pair(value: Any) -> tuple[int, int]:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)
