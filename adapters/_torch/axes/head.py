"""A new classifier: isotune draws it in NumPy, once for all libraries (isotune.weights); here is how to write it."""

from __future__ import annotations

from isotune.adapters.remedies import Table

_HEAD = """
from torch import nn

head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
"""


_HEADS = {
    "uniform-fan-in": "nn.init.uniform_(head.weight, -(head.in_features**-0.5), head.in_features**-0.5)\n"
    "nn.init.uniform_(head.bias, -(head.in_features**-0.5), head.in_features**-0.5)",
    "glorot-uniform": "nn.init.xavier_uniform_(head.weight)\nnn.init.zeros_(head.bias)",
    "zeros": "nn.init.zeros_(head.weight)\nnn.init.zeros_(head.bias)",
}


REMEDIES: Table = {
    "head_initialisation": {
        value: (f"{_HEAD}{lines}", "The same law, from another generator: isotune draws a head once for all libraries.")
        for value, lines in _HEADS.items()
    },
}
