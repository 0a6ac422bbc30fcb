"""How to make a library behave as a value of a convention axis says: the lines of code to write.

The lines use the library's public interface and stand for themselves: `model` and, where it is about training,
`optimizer` are the user's own; `images` are uint8 [N, H, W, 3], RGB. Each does one axis, on a model as the library
built it. Where no few lines do it, the note says what does.

An engine's lines stand beside what realises the axis, in `_torch` and `_keras`, in modules that import no framework
before a function is called: a report asks for them without one. In the lines `VALUE` stands for a number, in the notes
`OVERRIDE` for what isotune is told instead; a table's `*` is any value.
"""

from __future__ import annotations

from collections.abc import Callable

from isotune.adapters.base import Remedy
from isotune.conventions import AXES, parse

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
    lines = table[axis]
    code, note = lines(str(known)) if callable(lines) else lines["*" if "*" in lines else str(known)]
    code = code.replace("VALUE", repr(known)).strip()
    override = f"`--conventions native,{axis}={given}`"
    return Remedy(f"{code}\n" if code else "", note.replace("OVERRIDE", override))
