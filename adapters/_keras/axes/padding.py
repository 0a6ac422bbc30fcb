"""Padding of strided convolutions and of pooling in a Keras model: realised, read off, and how to write it.

Keras pads SAME, max(0, (ceil(n/s)-1)*s + k - n) in all and the odd pixel at the end, either by `padding="same"` or by
a ZeroPadding2D before a valid window (imagenet_utils.correct_pad); its ResNets and DenseNets pad symmetrically by
ZeroPadding2D. Windows without padding stay. What a pool makes of its padding: `pooling`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from isotune.adapters._keras.axes.lines import FIXED_SIZE, REBUILDS, REBUILT, SAME
from isotune.adapters.remedies import Table
from isotune.conventions import Conventions, agreed

Pads = tuple[tuple[int, int], tuple[int, int]]


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
        symmetric, same = self.padded("symmetric").pads, self.padded("same").pads
        if not self.strided or (symmetric == same == self.pads):
            return None
        return "symmetric" if self.pads == symmetric else "same" if self.pads == same else "neither"

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


def under(window: Window, conventions: Conventions) -> Window:
    """The window padded as `conventions` say."""
    if window.strided and conventions.stride2_padding != "own":
        return window.padded(conventions.stride2_padding)
    return window


def describe(model: Any) -> dict[str, Any]:
    """How what strides in `model` pads."""
    return {"stride2_padding": agreed("stride2_padding", [window.form for window in windows(model).values()])}


def windows(model: Any) -> dict[str, Window]:
    """The windows that pad, by the names of their layers."""
    from isotune.adapters._keras.layers import flatten

    return {layer.name: window for layer in flatten(model) if (window := _window(layer)) is not None}


def _window(layer: Any) -> Window | None:
    """The window of `layer`; None when it is none, or does not pad."""
    import keras

    if isinstance(layer, _convolutions()):
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
    import keras

    if window.kind != "max":
        return keras.layers.ZeroPadding2D(window.pads)(tensor)
    return keras.ops.pad(tensor, ((0, 0), *window.pads, (0, 0)), constant_values=window.fill)


def _reads_padding(layer: Any) -> bool:
    """Whether the layer is a window without padding of its own: what follows a ZeroPadding2D that pads for windows."""
    import keras

    if isinstance(layer, keras.layers.MaxPooling2D | keras.layers.AveragePooling2D):
        reach = _pair(layer.pool_size)
    elif isinstance(layer, _convolutions()):
        reach = _pair(layer.kernel_size)
    else:
        return False
    return layer.padding == "valid" and max(reach) > 1


def _convolutions() -> Any:
    import keras

    return keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D


def _consumers(layer: Any) -> list[Any]:
    return [node.operation for node in layer._outbound_nodes]  # Keras has no public way to them


def _pair(value: Any) -> tuple[int, int]:
    return tuple(value) if isinstance(value, tuple | list) else (value, value)


# -- the lines to write


_WINDOWS = """
import keras

WINDOWS = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
)


def lengths(window):
    return window.pool_size if hasattr(window, "pool_size") else window.kernel_size


windows = {
    layer.name: layer
    for layer in model.layers
    if isinstance(layer, WINDOWS) and max(layer.strides) > 1 and max(lengths(layer)) > 1
}
pads = {  # ZeroPadding2D -> the window that it pads for
    layer.name: window
    for layer in model.layers
    if isinstance(layer, keras.layers.ZeroPadding2D)
    for window in windows.values()
    if window.input is layer.output
}
"""


_PAD_BOTH_SIDES = f"""{_WINDOWS}

def both_sides(window):
    return tuple(((length - 1) // 2,) * 2 for length in lengths(window))


def pads_itself(layer):
    return layer.name in windows and layer.padding == "same" and not isinstance(layer, keras.layers.AveragePooling2D)


def clone(layer):
    config = layer.get_config()
    if layer.name in pads:
        config["padding"] = both_sides(pads[layer.name])
    elif layer.name in windows and pads_itself(windows[layer.name]):
        config["padding"] = "valid"
    return type(layer).from_config(config)


def call(layer, *args, **kwargs):
    if layer.name in windows and pads_itself(windows[layer.name]):
        outside = float("-inf") if isinstance(layer, keras.layers.MaxPooling2D) else 0.0
        around = ((0, 0), *both_sides(layer), (0, 0))
        args = (keras.ops.pad(args[0], around, constant_values=outside), *args[1:])
    return layer(*args, **kwargs)

{REBUILT}"""


_PAD_SAME = f"""{_WINDOWS}
{SAME}

def clone(layer):
    config = layer.get_config()
    if layer.name in pads:
        config["padding"] = same(pads[layer.name], layer.input.shape)
    return type(layer).from_config(config)


def call(layer, *args, **kwargs):
    return layer(*args, **kwargs)

{REBUILT}"""


REMEDIES: Table = {
    "stride2_padding": {
        "symmetric": (_PAD_BOTH_SIDES, f'{REBUILDS} Average pools with `padding="same"` stay as they are.'),
        "same": (_PAD_SAME, f'{FIXED_SIZE} What has `padding="same"` pads so by itself.'),
    },
}
