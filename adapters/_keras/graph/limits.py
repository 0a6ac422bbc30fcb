"""Operations of Keras that change only some values (`isotune.weights.Limit`)."""

from __future__ import annotations

from typing import Any

import keras

from isotune.weights import Limit

# operations that change only some values, by Keras's name: between which numbers they leave them alone; the others by
# autograd's name
_LIMITS = {
    "relu": (0.0, None), "Relu": (0.0, None), "relu6": (0.0, 6.0), "Relu6": (0.0, 6.0), "hard_tanh": (-1.0, 1.0),
    "HardTanh": (-1.0, 1.0),
    **dict.fromkeys(("hard_sigmoid", "HardSigmoid", "hard_silu", "hard_swish", "HardSilu"), (0.0, 6.0)),
}  # fmt: skip
_OF_SOME = {"Absolute": "Abs", "Abs": "Abs", "Maximum": "Maximum", "Minimum": "Minimum", "NanToNum": "NanToNum",
            "Where": "Where"}  # fmt: skip


def own_limit(operation: Any) -> Limit | None:
    """Of an operation, or of the activation of a layer; what a layer of somebody's own computes is not known."""
    kind = type(operation).__name__
    if isinstance(operation, keras.layers.ReLU):
        low = None if operation.negative_slope else float(operation.threshold)
        high = None if operation.max_value is None else float(operation.max_value)
        return None if low is high is None else Limit(kind, low, high)
    if kind == "Clip":
        return Limit(kind, _number(operation.x_min), _number(operation.x_max))
    name = getattr(getattr(operation, "activation", None), "__name__", kind)
    if name in _LIMITS:
        return Limit(name, *_LIMITS[name])
    return Limit(_OF_SOME[kind]) if kind in _OF_SOME else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
