"""A published number that a user handed in, and which runs it is about."""

from __future__ import annotations

from dataclasses import dataclass

from isotune.protocols import Expected


@dataclass(frozen=True)
class HandedIn:
    """cells: keys of those that it is about, in all their seeds."""

    expected: Expected
    cells: frozenset[str]
