"""A module as the call that makes it: `nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)`.

Read off the arguments that its class takes and the attributes that it keeps them in. Whether the call makes the same
module is not known from that; an excerpt is run before it is used.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

from torch import Tensor, nn

from isotune.excerpts import NotWritten, written

_PLACES = ("timm.layers", "torchvision.ops", "torchvision.ops.misc")  # of modules that are not torch's own
_CHANNELS = {
    "in_channels", "out_channels", "num_features", "num_channels", "in_features", "out_features", "normalized_shape"
}  # fmt: skip
_LEFT_OUT = {"device", "dtype", "inplace"}  # which changes nothing of what is given


def has_call(module: nn.Module) -> bool:
    """Whether the module can be written so: it holds no other, and its class is public."""
    if any(True for _ in module.children()):
        return False
    try:
        return bool(call(module))
    except NotWritten:
        return False


def imports(module: nn.Module) -> str:
    """The line that the call needs."""
    place = _place(type(module))
    return "from torch import nn" if place == "torch.nn" else f"from {place} import {type(module).__name__}"


def call(module: nn.Module, channels: int | None = None) -> str:
    """channels: as many inputs and outputs as that, whatever the module has. NotWritten: it cannot be written."""
    kind = type(module)
    prefix = "nn." if _place(kind) == "torch.nn" else ""
    words = []
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name == "self" or name in _LEFT_OUT or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        value = _value(module, name, channels)
        required = parameter.default is parameter.empty
        if value is _UNKNOWN and (
            required or not prefix
        ):  # of another library's class a default may not be what it has
            raise NotWritten(f"{kind.__name__} does not say its {name}")
        if value is _UNKNOWN or (not required and value == parameter.default):
            continue
        words.append(f"{written(value)}" if required else f"{name}={written(value)}")
    return f"{prefix}{kind.__name__}({', '.join(words)})"


class _Unknown:
    pass


_UNKNOWN = _Unknown()


def _value(module: nn.Module, name: str, channels: int | None) -> Any:
    value = getattr(module, name, _UNKNOWN)
    if name in ("bias", "bias_") and (value is None or isinstance(value, Tensor)):
        return value is not None
    if isinstance(value, nn.Module | Tensor) or inspect.ismethod(value):
        return _UNKNOWN
    if channels is not None and name in _CHANNELS:
        return channels
    if channels is not None and name == "groups" and value != 1:
        if value != getattr(module, "in_channels", 0):
            raise NotWritten(f"{value} groups of channels")
        return channels
    if isinstance(value, tuple) and len(set(value)) == 1 and all(type(part) is int for part in value):
        return value[0]
    return value


def _place(kind: type) -> str:
    """The module from which the class is imported. NotWritten: it is not public."""
    if getattr(nn, kind.__name__, None) is kind:
        return "torch.nn"
    package = kind.__module__.partition(".")[0]
    for place in _PLACES:
        if place.startswith(f"{package}.") and getattr(importlib.import_module(place), kind.__name__, None) is kind:
            return place
    raise NotWritten(f"the class {kind.__name__}")
