"""Numeric modes: what a network computes in."""

from __future__ import annotations

from typing import Literal

NumericMode = Literal["float32", "bfloat16", "float64"]
"""bfloat16: the framework's own mixed precision, float32 where it keeps that; float64: for proofs."""
