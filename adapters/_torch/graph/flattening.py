"""The map that a tensor [N, D] was made of, read off autograd's graph of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import methodcaller
from typing import Any

import numpy as np
from torch import Tensor

from isotune.adapters.flattening import Array, Flattened, flattened

_SAME = ("Clone", "ToCopy", "Alias", "Relu", "Hardtanh", "Clamp", "Silu", "Gelu", "LeakyRelu", "Sigmoid", "Tanh")
_RESHAPED = ("View", "UnsafeView", "ReshapeAlias")


def map_of(vector: Tensor) -> Flattened:
    """Of maps [N, C, H, W]; what works on each value by itself, an activation, may stand between map and vector."""
    function, shape = vector.grad_fn, tuple(map(int, vector.shape))
    changes: list[Callable[[Array], Array]] = []
    while function is not None:
        kind = re.sub(r"(Backward)?\d*$", "", type(function).__name__)
        saved: Any = function
        if kind in _RESHAPED:
            changes.append(methodcaller("reshape", 1, *shape[1:]))
            shape = tuple(map(int, saved._saved_self_sym_sizes))
        elif kind in ("Permute", "Transpose"):
            order = _order(saved, kind, len(shape))
            changes.append(methodcaller("transpose", order))
            shape = tuple(shape[place] for place in np.argsort(order))
        elif kind not in _SAME:
            break
        function = function.next_functions[0][0]
    return flattened(shape, "chw", changes[::-1])


def _order(saved: Any, kind: str, count: int) -> list[int]:
    """Of a permutation of axes, which of them comes where; negative numbers are kept as unsigned ones."""
    if kind == "Permute":
        return [_signed(place) % count for place in saved._saved_dims]
    order = list(range(count))
    first, second = (_signed(place) % count for place in (saved._saved_dim0, saved._saved_dim1))
    order[first], order[second] = order[second], order[first]
    return order


def _signed(place: int) -> int:
    return place - 2**64 if place >= 2**63 else place
