"""Where Keras's ResNets stride: realised, read off, and how to write it. The values: `_torch.axes.strides`.

keras/src/applications/resnet.py: v1 strides on the first 1x1 convolution of a stage's first block, v2 on the 3x3 of
a stage's last block, whose shortcut is a pool of single pixels.
"""

from __future__ import annotations

import re
from typing import Any

from isotune.adapters._keras.axes.lines import REBUILDS, REBUILT
from isotune.adapters.remedies import Table
from isotune.conventions import Conventions
from isotune.errors import UsageError

_CONVOLUTION = re.compile(r"conv(\d+)_block(\d+)_([0123])_conv")


def rebuilt(model: Any, conventions: Conventions) -> Any:
    """A model that strides as asked; the same object where nothing moves.

    UsageError: a value that this kind of ResNet does not have.
    """
    import keras

    from isotune.adapters._keras.layers import copied

    value, own = conventions.stride_location, stride_location(model)
    if value == "own" or own in (None, value):
        return model
    if value != "3x3":
        raise UsageError(f"stride_location={value}: {model.name} has own, 3x3, {own}")
    moved = _from_first_1x1(model) if own == "first-1x1" else _from_last_block(model)

    def clone(layer: Any) -> Any:
        return copied(layer, {"strides": moved[layer.name]} if layer.name in moved else {})

    other = keras.models.clone_model(model, clone_function=clone)
    other.set_weights(model.get_weights())
    return other


def describe(model: Any) -> dict[str, Any]:
    """Where `model` strides."""
    return {"stride_location": stride_location(model) or "own"}


def stride_location(model: Any) -> str | None:
    """Where the bottlenecks of `model` stride; None: it is no ResNet."""
    strided = {match[3]: int(match[2]) for match, layer in _convolutions(model) if max(layer.strides) > 1}
    if "1" in strided:
        return "first-1x1"
    if "2" in strided:
        return "3x3" if strided["2"] == 1 else "last-block"
    return None


def _convolutions(model: Any) -> list[tuple[re.Match[str], Any]]:
    matched = [(_CONVOLUTION.fullmatch(layer.name), layer) for layer in model.layers]
    return [(match, layer) for match, layer in matched if match]


def _from_first_1x1(model: Any) -> dict[str, tuple[int, int]]:
    moved: dict[str, tuple[int, int]] = {}
    for match, layer in _convolutions(model):
        if match[3] == "1" and max(layer.strides) > 1:
            moved |= {layer.name: (1, 1), f"conv{match[1]}_block{match[2]}_2_conv": layer.strides}
    return moved


def _from_last_block(model: Any) -> dict[str, tuple[int, int]]:
    import keras

    moved: dict[str, tuple[int, int]] = {}
    for match, layer in _convolutions(model):
        if match[3] == "2" and max(layer.strides) > 1:
            following = f"conv{int(match[1]) + 1}_block1"
            moved |= {
                layer.name: (1, 1), f"{following}_2_conv": layer.strides, f"{following}_0_conv": layer.strides
            }  # fmt: skip
    for layer in model.layers:
        if isinstance(layer, keras.layers.MaxPooling2D) and max(layer.pool_size) == 1:
            moved[layer.name] = (1, 1)
    return moved


# -- the lines to write


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


REMEDIES: Table = {
    "stride_location": {
        "3x3": (_STRIDE_ON_3X3, f"For ResNet v1. {REBUILDS} For ResNet v2, isotune does it with OVERRIDE."),
        "first-1x1": ("", "ResNet v1 does so by itself; no other ResNet has such a stride."),
        "last-block": ("", "ResNet v2 does so by itself; no other ResNet has such a stride."),
    },
}
