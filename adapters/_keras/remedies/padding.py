"""The lines for Keras, on any engine, axes of convolutions and pools: axis -> value -> (code, note).

In them, `VALUE` stands for a number, `OVERRIDE` for what isotune is told instead. `*`: any value.
"""

from __future__ import annotations

# after `clone` and `call`
REBUILT = """
rebuilt = keras.models.clone_model(model, clone_function=clone, call_function=call)
for layer in model.layers:
    if layer.weights:
        rebuilt.get_layer(layer.name).set_weights(layer.get_weights())
model = rebuilt
"""


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


_SAME = '''
def same(window, shape):
    """SAME padding of a map of that shape: the odd pixel at the end."""
    sides = []
    for size, length, stride in zip(shape[1:3], lengths(window), window.strides):
        total = max(0, (-(-size // stride) - 1) * stride + length - size)
        sides.append((total // 2, total - total // 2))
    return tuple(sides)
'''


_PAD_AT_END = f"""{_WINDOWS}
{_SAME}

def clone(layer):
    config = layer.get_config()
    if layer.name in pads:
        config["padding"] = same(pads[layer.name], layer.input.shape)
    return type(layer).from_config(config)


def call(layer, *args, **kwargs):
    return layer(*args, **kwargs)

{REBUILT}"""


# KIND: the class of pool; CHOSEN: a condition on it
_PAD_POOLS = f"""
import keras


def lengths(window):
    return window.pool_size

{_SAME}

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


_STRIDE_ON_3X3 = f"""
import re

import keras

strides = {{}}
for layer in model.layers:
    first = re.fullmatch(r"(conv\\d+_block\\d+)_1_conv", layer.name)
    if first and max(layer.strides) > 1:
        strides[layer.name] = (1, 1)
        strides[first[1] + "_2_conv"] = layer.strides


def clone(layer):
    config = layer.get_config()
    if layer.name in strides:
        config["strides"] = strides[layer.name]
    return type(layer).from_config(config)


def call(layer, *args, **kwargs):
    return layer(*args, **kwargs)

{REBUILT}"""


_REBUILDS = (
    "A functional model is rebuilt: `model` is the application itself, before it becomes part of another, and what"
    " was compiled is compiled again."
)


_FIXED_SIZE = f"{_REBUILDS} Its input must have a fixed size (`input_shape=`)."

REMEDIES: dict[str, dict[str, tuple[str, str]]] = {
    "stride2_padding": {
        "symmetric": (_PAD_BOTH_SIDES, f'{_REBUILDS} Average pools with `padding="same"` stay as they are.'),
        "same": (_PAD_AT_END, f'{_FIXED_SIZE} What has `padding="same"` pads so by itself.'),
    },
    "count_include_pad": {
        "true": (_PAD_POOLS.replace("KIND", "AveragePooling2D").replace("CHOSEN", ""), _FIXED_SIZE),
        "false": (_TAKE_PADDING_OUT, f'{_FIXED_SIZE} A pool with `padding="same"` does not count it by itself.'),
        "when-strided": (
            _PAD_POOLS.replace("KIND", "AveragePooling2D").replace("CHOSEN", " and max(layer.strides) > 1"),
            f"{_FIXED_SIZE} NASNet does so by itself.",
        ),
    },
    "max_pool_padding": {
        "minus-infinity": (_NOTHING_AROUND_MAXIMUM, f"{_REBUILDS} After a ReLU both are the same."),
        "zeros": (
            _PAD_POOLS.replace("KIND", "MaxPooling2D").replace("CHOSEN", ""),
            f"{_FIXED_SIZE} After a ReLU both are the same.",
        ),
    },
    "stride_location": {
        "3x3": (_STRIDE_ON_3X3, f"For ResNet v1. {_REBUILDS} For ResNet v2, isotune does it with OVERRIDE."),
        "first-1x1": ("", "ResNet v1 does so by itself; no other ResNet has such a stride."),
        "last-block": ("", "ResNet v2 does so by itself; no other ResNet has such a stride."),
    },
}
