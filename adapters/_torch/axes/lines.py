"""Lines that several remedies share."""

from __future__ import annotations

PAIR = """
def pair(value):
    return value if isinstance(value, tuple) else (value, value)
"""
