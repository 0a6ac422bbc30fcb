"""What a network makes of its classifier's outputs in the end, read off autograd's graph of them."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from isotune.adapters.base import Ending

_SAME = ("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Clone", "ToCopy", "Alias", "T", "Permute")
_LAYERS = ("Addmm", "Mm", "Convolution")
_ENDINGS: dict[str, Ending] = {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid"}


def ending(output: Tensor) -> Ending | None:
    """Of outputs [N, classes]; None: something else stands between them and the last layer."""
    function: Any = output.grad_fn
    while function is not None:
        kind = re.sub(r"(Backward)?\d*$", "", type(function).__name__)
        if kind in _ENDINGS:
            over_classes = kind == "Sigmoid" or int(function._saved_dim) not in (0, -output.ndim)
            return _ENDINGS[kind] if over_classes else None
        if kind in _LAYERS:
            return ""
        if kind not in _SAME:
            return None
        function = function.next_functions[0][0]
    return None
