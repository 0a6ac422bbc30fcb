"""A new classifier: isotune draws it in NumPy, once for all libraries (isotune.weights); here is how to write it."""

from __future__ import annotations

from isotune.adapters.remedies import Lines, Table
from isotune.conventions import head_law

_LINES = """
import keras

head = model.layers[-1]
kernel = keras.initializers.INITIALIZER
head.kernel.assign(kernel(head.kernel.shape, dtype=head.kernel.dtype))
head.bias.assign(keras.ops.zeros(head.bias.shape, head.bias.dtype))
"""
_FAN_IN = """
import keras

head = model.layers[-1]
bound = head.kernel.shape[0] ** -0.5
for variable in (head.kernel, head.bias):
    variable.assign(keras.random.uniform(variable.shape, -bound, bound, dtype=variable.dtype))
"""
_INITIALIZERS = {
    "uniform-fan-in-weight": "RandomUniform(-(head.kernel.shape[0] ** -0.5), head.kernel.shape[0] ** -0.5)",
    "uniform-fan-out": "RandomUniform(-(head.kernel.shape[1] ** -0.5), head.kernel.shape[1] ** -0.5)",
    "glorot-uniform": "GlorotUniform()",
    "normal": "RandomNormal(stddev=STD)",
    "truncated-normal": "TruncatedNormal(stddev=STD)",  # cut off at two of them
    "zeros": "Zeros()",
}


def _head(value: str) -> Lines:
    law = value.partition("(")[0]
    if law == "uniform-fan-in":
        lines = _FAN_IN
    else:
        initializer = _INITIALIZERS[law].replace("STD", repr(head_law(value, 1, 1).size))
        lines = _LINES.replace("INITIALIZER", initializer)
    return lines, "The same law, from another generator: isotune draws a head once for all libraries."


REMEDIES: Table = {"head_initialisation": _head}
