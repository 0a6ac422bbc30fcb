"""The command that does what a call does."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from isotune.comparison.sides import Side


def investigation_command(left: Side | str, right: Side, options: Mapping[str, Any]) -> str:
    """`isotune investigate ...`, with what is not a default.

    left: a dump's spelling, or a side. options: option -> (value, default), in the order of the command's own.
    """
    words = ["isotune", "investigate", left.model if isinstance(left, Side) else left, right.model]
    for option, (value, default) in options.items():
        if value is True:
            words.append(option)
        elif value not in (None, False, default):
            words += [option, str(value)]
    return shlex.join(words)


def options_of_sides(left: Side | None, right: Side) -> dict[str, tuple[Any, Any]]:
    """The options that say how both sides are set up; left: None for a dump, which says so itself."""
    if left is None:
        return {
            "--checkpoint": (right.checkpoint, "offline"),
            "--conventions": (right.conventions, "native"),
            "--numeric-mode": (right.numeric_mode, "float64"),
            "--layout": (right.layout, None),
            "--right-compiled": (right.compiled, False),
            "--right-python": (right.python, None),
        }
    return {
        "--checkpoint": (left.checkpoint, "offline"),
        "--right-checkpoint": (right.checkpoint, left.checkpoint),
        "--conventions": (left.conventions, "native"),
        "--right-conventions": (right.conventions, left.conventions),
        "--numeric-mode": (left.numeric_mode, "float64"),
        "--right-numeric-mode": (right.numeric_mode, left.numeric_mode),
        "--layout": (left.layout, None),
        "--right-layout": (right.layout, left.layout),
        "--left-compiled": (left.compiled, False),
        "--right-compiled": (right.compiled, False),
        "--left-python": (left.python, None),
        "--right-python": (right.python, None),
    }
