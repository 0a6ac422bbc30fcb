"""A new classifier: isotune draws it in NumPy, once for all libraries (isotune.weights); here is how to write it."""

from __future__ import annotations

from isotune.adapters.remedies import Table

_HEADS = {
    "uniform-fan-in": """
import keras

head = model.layers[-1]
bound = head.kernel.shape[0] ** -0.5
for variable in (head.kernel, head.bias):
    variable.assign(keras.random.uniform(variable.shape, -bound, bound, dtype=variable.dtype))
""",
    "glorot-uniform": """
import keras

head = model.layers[-1]
head.kernel.assign(keras.initializers.GlorotUniform()(head.kernel.shape, dtype=head.kernel.dtype))
head.bias.assign(keras.ops.zeros(head.bias.shape, head.bias.dtype))
""",
    "zeros": """
import keras

head = model.layers[-1]
for variable in (head.kernel, head.bias):
    variable.assign(keras.ops.zeros(variable.shape, variable.dtype))
""",
}


REMEDIES: Table = {
    "head_initialisation": {
        value: (lines, "The same law, from another generator: isotune draws a head once for all libraries.")
        for value, lines in _HEADS.items()
    },
}
