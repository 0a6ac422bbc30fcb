"""GELU, exact or by tanh: realised, read off, and how to write it."""

from __future__ import annotations

import functools
from typing import Any

from isotune.adapters._keras.axes.lines import COMPILED, LAYERS
from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions, agreed


def realise(model: Any, conventions: Conventions) -> None:
    """Give every GELU of `model` the form that `conventions` say, in place; an own one keeps its form."""
    from isotune.adapters._keras.layers import operations

    for operation in operations(model):
        if conventions.gelu == "own" or not _form(operation):
            continue
        if _called(operation):
            operation.approximate = conventions.gelu == "tanh"
        else:
            operation.activation = _forms()[conventions.gelu]


def describe(model: Any) -> dict[str, Any]:
    """The form of GELU."""
    from isotune.adapters._keras.layers import operations

    return {"gelu": agreed("gelu", [_form(operation) for operation in operations(model)])}


def _form(operation: Any) -> str | None:
    if _called(operation):
        return "tanh" if operation.approximate else "exact"
    return form(getattr(operation, "activation", None))


def _called(operation: Any) -> bool:
    """Whether it is keras.ops.gelu as an operation of its own."""
    return type(operation).__name__ == "Gelu" and hasattr(operation, "approximate")


def form(activation: Any) -> str | None:
    """exact or tanh, of a function that is one of Keras's GELUs, with arguments or without."""
    import keras

    function, given = activation, {}
    if isinstance(activation, functools.partial):
        function, given = activation.func, activation.keywords
    defaults = {keras.activations.gelu: False, keras.ops.gelu: True}  # approximate
    known = next((default for gelu, default in defaults.items() if function is gelu), None)
    return None if known is None else "tanh" if given.get("approximate", known) else "exact"


@functools.cache
def _forms() -> dict[str, Any]:
    """Keras's own functions; always the same objects."""
    import keras

    return {
        "exact": keras.activations.gelu,  # approximate=False is its default; that of keras.ops.gelu is True
        "tanh": functools.partial(keras.activations.gelu, approximate=True),
    }


# -- the lines to write


_GELU = f"""
import keras

{LAYERS}

@keras.saving.register_keras_serializable()
def gelu_by_tanh(x):
    return keras.activations.gelu(x, approximate=True)


for layer in layers_of(model):
    if getattr(layer, "activation", None) is keras.activations.gelu:
        layer.activation = gelu_by_tanh
"""


_OPERATION = "A `keras.ops.gelu(x)` within the network is by tanh already."


REMEDIES: Table = {
    "gelu": {"exact": ("", ITSELF.format("Keras")), "tanh": (_GELU, f"{_OPERATION} {COMPILED}")},
}
