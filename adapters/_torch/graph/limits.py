"""Operations of torch that change only some values (`isotune.weights.Limit`), by autograd's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isotune.weights import Limit

# between which numbers they leave values alone, or where autograd keeps these
_LIMITS: Mapping[str, tuple[str | float | None, str | float | None]] = {
    "Clamp": ("_saved_min", "_saved_max"), "ClampMin": ("_saved_min", ""), "ClampMax": ("", "_saved_max"),
    "Hardtanh": ("_saved_min_val", "_saved_max_val"), "Threshold": ("_saved_threshold", ""), "Relu": (0.0, None),
    "Hardsigmoid": (0.0, 6.0), "Hardswish": (0.0, 6.0),
    **dict.fromkeys(("Abs", "MaskedFill", "Maximum", "Minimum", "NanToNum", "Where"), (None, None)),
}  # fmt: skip


def limit(name: str, function: Any) -> Limit | None:
    """Of an operation; a number that is a tensor is not known."""
    if name not in _LIMITS:
        return None
    low, high = (_number(getattr(function, end, None) if isinstance(end, str) else end) for end in _LIMITS[name])
    return Limit(name, low, high)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
