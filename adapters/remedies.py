"""How to make a library behave as a value of a convention axis says: the lines of code to write.

The lines use the library's public interface and stand for themselves: `model` and, where it is about training,
`optimizer` are the user's own; `images` are uint8 [N, H, W, 3], RGB. Each does one axis, on a model as the library
built it. Where no few lines do it, the note says what does.

An engine's lines stand beside what realises the axis, in `_torch` and `_keras`, in modules that import no framework
before a function is called: a report asks for them without one. In the lines `VALUE` stands for a number, in the notes
`OVERRIDE` for what isotune is told instead; a table's `*` is any value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from isotune.adapters.base import Remedy
from isotune.conventions import AXES, parse

_AT_TOP = ("import torch", "import keras", "import numpy as np")  # of a script too
Lines = tuple[str, str]  # of code, and what else to know
Table = dict[str, dict[str, Lines] | Callable[[str], Lines]]  # axis -> value -> lines

ITSELF = "{} does so by itself: nothing is to be written."
ISOTUNE = "No few lines do it; isotune does it with OVERRIDE."
_OWN = "It is what the library builds by itself: nothing is to be written."


def look_up(table: Table, axis: str, value: object) -> Remedy:
    """The lines that make a model, its input or its trainer behave as `axis` = `value`, from an engine's table.

    value: as in `isotune.conventions.Conventions`; None and "own" are what the library builds.
    Errors: UsageError for an unknown axis or value.
    """
    given = "own" if value is None else value
    known = parse(f"native,{axis}={given}")[1][axis]
    if AXES[axis].leaves_open(known):
        return Remedy("", _OWN)
    if AXES[axis].field:
        return Remedy("", f"isotune decides it outside of the library: `--conventions native,{axis}={given}`.")
    lines = table[axis]
    code, note = lines(str(known)) if callable(lines) else lines["*" if "*" in lines else str(known)]
    code = code.replace("VALUE", repr(known)).strip()
    override = f"`--conventions native,{axis}={given}`"
    return Remedy(f"{code}\n" if code else "", note.replace("OVERRIDE", override))


def of_optimizer(
    table: Table, axes: Mapping[str, object], own: Mapping[str, object], needless: Collection[str]
) -> Beside:
    """The lines that make an `optimizer` do what its library does not do by itself, for a script that has no model.

    axes: what is to be shown. own: what the library has of them by itself. needless: axes whose lines need a model, or
    more than lines.
    """
    lines: list[str] = []
    done: set[str] = set()
    for axis, value in axes.items():
        if axis not in _OF_OPTIMIZER or own.get(axis, value) == value or f"{axis}={value}" in needless:
            continue
        code = look_up(table, axis, value).code
        told = (line for line in code.splitlines() if line.strip() and line not in _AT_TOP)
        lines += [line for line in told if not line.strip().startswith('"""')]  # a script has no room for explanations
        done.add(axis)
    return Beside(frozenset(done), tuple(lines))


_OF_OPTIMIZER = ("momentum_form", "adam_epsilon", "rmsprop_epsilon", "hyperparameters", "weight_decay_form", "clipping")


class Beside(NamedTuple):
    """axes: those that the lines do."""

    axes: frozenset[str]
    lines: tuple[str, ...]

    @property
    def sets_rate(self) -> bool:
        """Whether a rate is set by a function of theirs."""
        return any(line.startswith("def set_learning_rate(") for line in self.lines)
