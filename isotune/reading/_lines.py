"""Where something stands in a TOML document. The standard parser tells the place of a syntax error alone."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any


def line_of(source: str, path: Sequence[str | int]) -> int:
    """The line, from 1, in which what the path leads to begins: ("entry", 1, "seeds"); of what is not there, of the
    nearest that is. Of a member of a list that is text, the line in which that text stands.

    A document is parsed line by line, up to the first line by which it holds the path: exact for whatever TOML allows.
    The source is a document that can be parsed.
    """
    lines = source.splitlines()
    for length in range(len(path), 0, -1):
        if _holds(tomllib.loads(source), path[:length]):
            path = path[:length]
            break
    else:
        return 1
    begins = 0
    for count in range(1, len(lines) + 1):
        try:
            values = tomllib.loads("\n".join(lines[:count]))
        except ValueError:
            continue  # within a value of several lines
        if _holds(values, path):
            return _within(lines, begins, count, path, values)
        begins = count
    return 1


def _holds(values: Any, path: Sequence[str | int]) -> bool:
    try:
        _at(values, path)
    except (KeyError, IndexError, TypeError):
        return False
    return True


def _at(values: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        values = values[part]
    return values


def _within(lines: Sequence[str], begins: int, ends: int, path: Sequence[str | int], values: Any) -> int:
    """Of a statement of several lines, the one with the member's text."""
    member = _at(values, path)
    if isinstance(path[-1], int) and isinstance(member, str):
        for number in range(begins, ends):
            if member in lines[number]:
                return number + 1
    return begins + 1
