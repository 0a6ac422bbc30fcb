"""Two sides' observations compared, tensor by tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isotune.investigation._findings import Error
from isotune.parity._comparing import FLOOR, largest, relative_error

Array = np.ndarray


@dataclass(frozen=True)
class Judged:
    """Errors of a rung against what is allowed."""

    errors: tuple[Error, ...]
    bound: float
    noise: float | None = None
    shown: tuple[Path, Path] | None = None  # folders of what the reference and the other side showed

    @property
    def worst(self) -> float:
        return max((error.relative for error in self.errors), default=0.0)

    @property
    def failing(self) -> list[Error]:
        return [error for error in self.errors if not error.relative <= self.bound]

    @property
    def holds(self) -> bool:
        return not self.failing


def errors(
    reference: Mapping[str, Array],
    other: Mapping[str, Array],
    *,
    size: Callable[[Array], float] = largest,
    floored: bool = False,
    every: bool = True,
) -> list[Error]:
    """Of each tensor of the reference, the other's relative error, in the reference's order.

    floored: where a rung sums over the batch, values below FLOOR of the rung's largest count as that much, since what
    cancels to nothing has no digits of its own. every: a tensor that one side lacks is an error.
    """
    most = max((size(array) for array in reference.values()), default=0.0) if floored else 0.0
    found = []
    for name, array in reference.items():
        if name in other:
            relative, why = relative_error(array, other[name], FLOOR * most, size)
            found.append(Error(name=name, relative=relative, why=why))
        elif every:
            found.append(Error(name=name, relative=float("inf"), why="only the left side has it"))
    if every:
        missing: Iterable[str] = (name for name in other if name not in reference)
        found += [Error(name=name, relative=float("inf"), why="only the right side has it") for name in missing]
    return found
