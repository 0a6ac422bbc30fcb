"""An excerpt of a network: the operations from some layers' outputs to one layer's, as lines of a script.

The lines use the library's public interface, and NumPy arrays that the script has: the inputs, and the layer's tensors
by the names of their slots, in canonical layout (`isotune.weights`). In them `OUT` stands for what an operation gives,
`IN0`, `IN1` for what it takes. An adapter writes an excerpt of one layer; what is cut off and made smaller is decided
above, with the same lines run again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from isotune.errors import UsageError

__all__ = [
    "STEPS", "Differentiated", "Excerpt", "Given", "NotWritten", "Operation", "OwnLines", "arguments", "checked",
    "narrowed", "written",
]  # fmt: skip

STEPS = ("one step", "drift")  # rungs of an optimizer
_Shape = tuple[int, ...]


class NotWritten(UsageError):
    """A layer that no few lines of a script can do: why, in a few words."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Given(_Frozen):
    """What the first operations read: a layer's output, or the network's scaled input."""

    name: str  # of the layer, canonical, or `input`
    shape: _Shape  # NumPy's: [N, H, W, C], [N, T, C] or [N, C]
    line: str  # `OUT = ...IN0...` from NumPy to the library's own tensor


class Operation(_Frozen):
    """One operation. Values are numbered: those that are given first, then what each operation gives."""

    lines: tuple[str, ...]
    inputs: tuple[int, ...]
    shape: _Shape  # of what it gives, as NumPy
    taken: str  # an expression of `OUT`: what it gives as NumPy, a map as [N, H, W, C]
    line: str  # `OUT = ...IN0...`, the way back, for a script that begins after it


class Differentiated(_Frozen):
    """How a library takes the gradient of a loss by what is read, as lines around the operations.

    The loss is the sum of all cubes: a sum of squares would be constant behind a normalisation. In the lines `LEAVES`
    stands for the names of what is read, `ARRAYS` for NumPy's, both with commas between, `OUT` for what the last
    operation gives. Gradients go into a list `gradients`, in the order of LEAVES.
    """

    imports: tuple[str, ...] = ()
    made: str  # of a `line`, what makes a tensor of an array; a leaf is one already
    leaf: str = ""  # `OUT = ...IN0...`, of each; empty: `opening` names the leaves
    opening: tuple[str, ...] = ()  # where it is not empty, the operations and `loss` stand in the block that it opens
    loss: tuple[str, ...]
    gradients: tuple[str, ...]


class Excerpt(_Frozen):
    """imports: lines at the top of the script, settings for float64 among them, in order. tensors: canonical shapes of
    what the lines read beside the inputs: the layer's own by slot, another layer's by its name in `others`. buffers:
    expressions of running statistics after the operations, as NumPy, by slot."""

    imports: tuple[str, ...]
    given: tuple[Given, ...]
    operations: tuple[Operation, ...]
    tensors: dict[str, _Shape]
    others: dict[str, str] = {}  # "pos_embed_001" -> "001.other.pos_embed"
    buffers: dict[str, str] = {}  # "mean" -> "layer.running_mean.numpy()"
    differentiated: Differentiated | None = None


def narrowed(slot: str, shape: _Shape, channels: int, *, depthwise: bool) -> _Shape:
    """The canonical shape of a tensor of a layer whose inputs and outputs have so many channels."""
    if slot == "kernel" and len(shape) == 4:
        return (*shape[:2], 1 if depthwise else channels, channels)
    return (channels,) * len(shape)


class OwnLines(NamedTuple):
    """What a library does by itself at a rung of the recipe: lines at the top of a script, and of a function."""

    imports: tuple[str, ...]
    body: tuple[str, ...]


def checked(library: str, axes: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """NotWritten: an axis has a value that the library does not have by itself."""
    for axis, value in axes.items():
        if axis in own and own[axis] != value:
            raise NotWritten(f"{library} does not do {axis} = {value} by itself, and its own lines would show another")


def arguments(**given: Any) -> str:
    """`, name=value` of each that is not None."""
    return "".join(f", {name}={value!r}" for name, value in given.items() if value is not None)


def written(value: Any, *, lists: bool = True) -> str:
    """A value as Python. lists: one stays a list, else it is a tuple. NotWritten: it has no form."""
    if isinstance(value, tuple | list):
        inside = ", ".join(written(part, lists=lists) for part in value)
        if lists and isinstance(value, list):
            return f"[{inside}]"
        return f"({inside}{',' if len(value) == 1 else ''})"
    if isinstance(value, slice):
        ends = ["" if end is None else str(end) for end in (value.start, value.stop, value.step)]
        return ":".join(ends[:2] if value.step is None else ends)
    if value is Ellipsis:
        return "..."
    if value is None or isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else f'float("{value}")'
    raise NotWritten(f"an argument that is {type(value).__name__}")
