"""Numeric modes: what a network computes in."""

from __future__ import annotations

from typing import Literal, get_args

from isotune.errors import UsageError, nearest

NumericMode = Literal["float32", "bfloat16", "float64"]
"""bfloat16: the framework's own mixed precision, float32 where it keeps that; float64: for proofs."""


def numeric_mode(text: str) -> NumericMode:
    """The mode of that name. UsageError: there is none."""
    modes: tuple[NumericMode, ...] = get_args(NumericMode)
    for mode in modes:
        if mode == text:
            return mode
    raise UsageError(f"numeric mode {text!r}: {nearest(text, modes)}")
