"""A layer, an operation, an activation as the call that makes it: `layers.Conv2D(8, 3, strides=2, padding="same")`.

A layer is read off its configuration; what the class has as a default is left out, and so is what only matters before
the layer has weights. A class that is not of keras.layers is imported from where it stands, the user's own file among
them, which is run.
"""

from __future__ import annotations

import inspect
import re
import sys
from functools import partial
from pathlib import Path
from typing import Any

import keras

from isotune.adapters._keras.axes.activations import form as gelu_form
from isotune.excerpts import NotWritten
from isotune.excerpts import written as _written

_LEFT_OUT = re.compile(
    r"name|dtype|trainable|autocast|input_shape|batch_size|data_format|activity_regularizer|seed|noise_shape"
    r"|.*_(initializer|regularizer|constraint)"
)
_CHANNELS = ("filters", "units")
written = partial(_written, lists=False)  # what Keras keeps as a list was given as a tuple


def layer_call(layer: Any, channels: int | None = None, *, without_activation: bool = False) -> tuple[str, list[str]]:
    """The call, and the lines that it needs at the top of a script. NotWritten: it cannot be written."""
    kind = type(layer)
    config = layer.get_config()
    words = []
    for name, parameter in _parameters(kind).items():
        if name not in config or _LEFT_OUT.fullmatch(name):
            continue
        value = config[name]
        required = parameter.default is parameter.empty
        if name == "activation":
            if without_activation:
                continue
            value = getattr(layer, "activation", value)
            if value is keras.activations.linear or value is None:
                continue
            words.append(f"activation={activation_name(value)}")
            continue
        if channels is not None and name in _CHANNELS:
            value = channels
        if channels is not None and name == "groups" and value != 1:
            raise NotWritten(f"{value} groups of channels")
        value = _simplified(value)
        if not required and value == _simplified(parameter.default):
            continue
        words.append(written(value) if required else f"{name}={written(value)}")
    name, lines = _class(kind)
    return f"{name}({', '.join(words)})", lines


def operation_call(operation: Any, args: list[str], keywords: dict[str, str]) -> str:
    """Of keras.ops, with what it is called with and what it was made with. NotWritten: none of these."""
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(operation).__name__).lower()
    function = getattr(keras.ops, name, None)
    if name == "get_item":
        return f"{args[0]}[{args[1].removeprefix('(').removesuffix(')').removesuffix(',')}]"
    if function is None:
        raise NotWritten(f"the operation {type(operation).__name__}")
    known = dict(keywords)
    for parameter in list(inspect.signature(function).parameters.values())[len(args) :]:
        if parameter.name in known or not hasattr(operation, parameter.name):
            continue
        value = getattr(operation, parameter.name)
        if value != parameter.default:
            known[parameter.name] = written(value)
    return f"keras.ops.{name}({', '.join([*args, *(f'{key}={value}' for key, value in known.items())])})"


def activation_call(activation: Any, of: str) -> str:
    """NotWritten: it is none of Keras's."""
    if (form := gelu_form(activation)) is not None:
        return f"keras.activations.gelu({of}{', approximate=True' if form == 'tanh' else ''})"
    return f"{activation_name(activation)}({of})"


def activation_name(activation: Any) -> str:
    name = getattr(activation, "__name__", "")
    if getattr(keras.activations, name, None) is activation:
        return f"keras.activations.{name}"
    if gelu_form(activation) == "exact":
        return "keras.activations.gelu"
    raise NotWritten(f"the activation {name or activation}")


def _simplified(value: Any) -> Any:
    """(3, 3) as 3."""
    if isinstance(value, tuple | list) and value and all(type(part) is int for part in value) and len(set(value)) == 1:
        return value[0]
    if isinstance(value, list):
        return tuple(value)
    return value


def _parameters(kind: type) -> dict[str, inspect.Parameter]:
    """What the class can be made with, its bases' arguments too where it hands them on."""
    accepted: dict[str, inspect.Parameter] = {}
    for each in kind.__mro__:
        if each is keras.layers.Layer or "__init__" not in vars(each):
            continue
        parameters = inspect.signature(vars(each)["__init__"]).parameters.values()
        accepted |= {p.name: p for p in parameters if p.name not in accepted and p.kind is p.POSITIONAL_OR_KEYWORD}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    accepted.pop("self", None)
    return accepted


def _class(kind: type) -> tuple[str, list[str]]:
    name = kind.__name__
    if getattr(keras.layers, name, None) is kind:
        return f"layers.{name}", ["from keras import layers"]
    if kind.__module__.startswith("keras."):
        return name, [f"from {kind.__module__} import {name}"]
    if kind.__module__.startswith("isotune"):
        raise NotWritten(f"what isotune put in the place of a {kind.__mro__[1].__name__}")
    called = getattr(kind, "call", None)
    file = Path(called.__code__.co_filename) if inspect.isfunction(called) else Path()
    if not file.is_file() or kind.__qualname__ != name:
        raise NotWritten(f"the class {name}, which stands in no file")
    if kind.__module__ in sys.modules:  # a package's, not a file that was run
        return name, [f"from {kind.__module__} import {name}"]
    return name, ["import runpy", f'{name} = runpy.run_path({str(file)!r})["{name}"]']
