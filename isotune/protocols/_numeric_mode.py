"""Numeric modes: what a network computes in."""

from __future__ import annotations

from typing import Literal, get_args

from isotune.errors import UsageError, nearest

NumericMode = Literal["float32", "tf32", "bfloat16", "float16", "float64"]
"""tf32: float32 whose products keep ten bits, on accelerators that have it; bfloat16, float16: the framework's own
mixed precision, float32 where it keeps that, float16 with loss scaling; float64: for proofs."""

NUMERIC_MODES: tuple[NumericMode, ...] = get_args(NumericMode)


def numeric_mode(text: str) -> NumericMode:
    """The mode of that name. UsageError: there is none."""
    for mode in NUMERIC_MODES:
        if mode == text:
            return mode
    raise UsageError(f"numeric mode {text!r}: {nearest(text, NUMERIC_MODES)}")
