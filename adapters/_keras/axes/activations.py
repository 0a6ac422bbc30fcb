"""GELU, exact or by tanh: realised, read off, and how to write it."""

from __future__ import annotations

import functools
from typing import Any

from isotune.adapters._keras.axes.lines import COMPILED, LAYERS
from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions, agreed


def realise(model: Any, conventions: Conventions) -> None:
    """Give every GELU of `model` the form that `conventions` say, in place; an own one keeps its form."""
    from isotune.adapters._keras.layers import flatten

    for layer in flatten(model):
        if conventions.gelu != "own" and _form(layer):
            layer.activation = _forms()[conventions.gelu]


def describe(model: Any) -> dict[str, Any]:
    """The form of GELU."""
    from isotune.adapters._keras.layers import flatten

    return {"gelu": agreed("gelu", [_form(layer) for layer in flatten(model)])}


def _form(layer: Any) -> str | None:
    return form(getattr(layer, "activation", None))


def form(activation: Any) -> str | None:
    """exact or tanh, of a function that is one of Keras's GELUs."""
    return next((name for name, function in _forms().items() if activation is function), None)


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


REMEDIES: Table = {
    "gelu": {"exact": ("", ITSELF.format("Keras")), "tanh": (_GELU, COMPILED)},
}
