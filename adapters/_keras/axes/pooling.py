"""What average and max pooling make of their padding: realised, read off, and how to write it.

SAME leaves the padding out of an average and out of a maximum (keras/src/backend/torch/nn.py does what TensorFlow
does); behind a ZeroPadding2D it is zeros that count.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from isotune.adapters._keras.axes.lines import FIXED_SIZE, REBUILDS, REBUILT, SAME
from isotune.adapters._keras.axes.padding import Window, windows
from isotune.adapters.remedies import Table
from isotune.conventions import Conventions, agreed, counting_values


def under(window: Window, conventions: Conventions) -> Window:
    """The window with the border that `conventions` say, where it is a pool."""
    if window.kind == "max" and conventions.max_pool_padding != "own":
        return replace(window, fill=0.0 if conventions.max_pool_padding == "zeros" else -math.inf)
    if window.kind == "average" and conventions.count_include_pad != "own":
        counted = conventions.count_include_pad == "true" or (
            window.strided and conventions.count_include_pad == "when-strided"
        )
        return replace(window, counted=counted)
    return window


def describe(model: Any) -> dict[str, Any]:
    """What average and max pools of `model` make of the border."""
    pools = windows(model).values()
    averages = {(pool.strided, pool.counted) for pool in pools if pool.kind == "average"}
    fills = ["zeros" if pool.fill == 0 else "minus-infinity" for pool in pools if pool.kind == "max"]
    return {
        "count_include_pad": agreed("count_include_pad", counting_values(averages)),
        "max_pool_padding": agreed("max_pool_padding", fills),
    }


def without_padding(window: Window, averages: Any) -> Any:
    """Averages over padded windows, divided by the share of each that lies inside the map."""
    from isotune.adapters._keras.axes.substitutes import Scale

    shares = [
        _inside(size, reach, stride, pads) / reach
        for size, reach, stride, pads in zip(window.size, window.reach, window.strides, window.pads, strict=True)
    ]
    return Scale(1.0 / np.outer(*shares)[None, :, :, None])(averages)


def _inside(size: int, reach: int, stride: int, pads: tuple[int, int]) -> np.ndarray:
    """How many of each window's `reach` places lie inside, along one side."""
    inside = np.pad(np.ones(size), pads)
    counts: np.ndarray = np.lib.stride_tricks.sliding_window_view(inside, reach)[::stride].sum(axis=1)
    return counts


# -- the lines to write


# KIND: the class of pool; CHOSEN: a condition on it
_PAD_POOLS = f"""
import keras


def lengths(window):
    return window.pool_size

{SAME}

pools = {{
    layer.name: same(layer, layer.input.shape)
    for layer in model.layers
    if isinstance(layer, keras.layers.KIND) and layer.padding == "same"CHOSEN
}}


def clone(layer):
    config = layer.get_config()
    if layer.name in pools:
        config["padding"] = "valid"
    return type(layer).from_config(config)


def call(layer, *args, **kwargs):
    if layer.name in pools:
        args = (keras.ops.pad(args[0], ((0, 0), *pools[layer.name], (0, 0))), *args[1:])
    return layer(*args, **kwargs)

{REBUILT}"""


_TAKE_PADDING_OUT = f"""
import keras

pads = {{  # pool -> the ZeroPadding2D before it
    pool.name: layer
    for layer in model.layers
    if isinstance(layer, keras.layers.ZeroPadding2D)
    for pool in model.layers
    if isinstance(pool, keras.layers.AveragePooling2D) and pool.input is layer.output
}}


def clone(layer):
    return type(layer).from_config(layer.get_config())


def call(layer, *args, **kwargs):
    outputs = layer(*args, **kwargs)
    if layer.name in pads:
        pad = pads[layer.name]
        inside = keras.ops.pad(keras.ops.ones((1, *pad.input.shape[1:3], 1)), ((0, 0), *pad.padding, (0, 0)))
        outputs = outputs / keras.ops.average_pool(inside, layer.pool_size, layer.strides)
    return outputs

{REBUILT}"""


_NOTHING_AROUND_MAXIMUM = f"""
import keras

pads = {{
    layer.name
    for layer in model.layers
    if isinstance(layer, keras.layers.ZeroPadding2D)
    for pool in model.layers
    if isinstance(pool, keras.layers.MaxPooling2D) and pool.input is layer.output
}}


def clone(layer):
    return type(layer).from_config(layer.get_config())


def call(layer, *args, **kwargs):
    if layer.name in pads:
        return keras.ops.pad(args[0], ((0, 0), *layer.padding, (0, 0)), constant_values=float("-inf"))
    return layer(*args, **kwargs)

{REBUILT}"""


REMEDIES: Table = {
    "count_include_pad": {
        "true": (_PAD_POOLS.replace("KIND", "AveragePooling2D").replace("CHOSEN", ""), FIXED_SIZE),
        "false": (_TAKE_PADDING_OUT, f'{FIXED_SIZE} A pool with `padding="same"` does not count it by itself.'),
        "when-strided": (
            _PAD_POOLS.replace("KIND", "AveragePooling2D").replace("CHOSEN", " and max(layer.strides) > 1"),
            f"{FIXED_SIZE} NASNet does so by itself.",
        ),
    },
    "max_pool_padding": {
        "minus-infinity": (_NOTHING_AROUND_MAXIMUM, f"{REBUILDS} After a ReLU both are the same."),
        "zeros": (
            _PAD_POOLS.replace("KIND", "MaxPooling2D").replace("CHOSEN", ""),
            f"{FIXED_SIZE} After a ReLU both are the same.",
        ),
    },
}
