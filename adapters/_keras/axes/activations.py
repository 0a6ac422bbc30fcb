"""GELU, exact or by tanh: realised, read off, and how to write it.

TensorFlow's holds sqrt(2) in float32 even for float64 (tensorflow/python/ops/nn_ops.py, gelu), which is off by 1e-8;
there it is written out.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from isotune.adapters._keras.axes.lines import COMPILED, LAYERS
from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions, agreed


def realise(model: Any, conventions: Conventions) -> None:
    """Give every GELU of `model` the form that `conventions` say, in place; an own one keeps its form."""
    from isotune.adapters._keras.layers import flatten

    for layer in flatten(model):
        if known := _form(layer):
            layer.activation = _activation(known if conventions.gelu == "own" else conventions.gelu)


def describe(model: Any) -> dict[str, Any]:
    """The form of GELU."""
    from isotune.adapters._keras.layers import flatten

    return {"gelu": agreed("gelu", [_form(layer) for layer in flatten(model)])}


def _form(layer: Any) -> str | None:
    return form(getattr(layer, "activation", None))


def form(activation: Any) -> str | None:
    """exact or tanh, of a function that is a GELU, Keras's or written out."""
    forms = (name for functions in _functions() for name, function in functions.items() if activation is function)
    return next(forms, None)


def _activation(wanted: str) -> Any:
    import keras

    keras_own, written_out = _functions()
    wide = keras.backend.backend() == "tensorflow" and keras.config.floatx() == "float64"
    return (written_out if wide else keras_own)[wanted]


@functools.cache
def _functions() -> tuple[dict[str, Any], dict[str, Callable[[Any], Any]]]:
    """(Keras's own, those written out), by form; always the same objects."""
    import keras
    from keras import ops

    def exact(x: Any) -> Any:
        return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))

    def tanh(x: Any) -> Any:
        return 0.5 * x * (1.0 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))

    own = {
        "exact": keras.activations.gelu,  # approximate=False is its default; that of keras.ops.gelu is True
        "tanh": functools.partial(keras.activations.gelu, approximate=True),
    }
    return own, {"exact": exact, "tanh": tanh}


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
