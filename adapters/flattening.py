"""In which order a vector runs through the map that it was made of: what a dense layer's rows mean.

Libraries keep maps in different orders of axes, and a network may exchange them before it flattens. Whatever shapes lie
between map and vector, numbers that are sent through them say where each value comes from.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
CANONICAL = "hwc"


@dataclass(frozen=True)
class Flattened:
    """A vector's map: its sides, and the order in which its axes (h, w, c) run, the slowest first."""

    height: int = 1
    width: int = 1
    order: str = CANONICAL

    def shape(self, length: int) -> tuple[int, int, int]:
        """[h, w, c] of a vector of so many values."""
        return self.height, self.width, length // (self.height * self.width)

    @property
    def axes(self) -> tuple[int, ...]:
        """Of [h, w, c, out], the order in which a dense layer's rows and its outputs run."""
        return (*(CANONICAL.index(axis) for axis in self.order), len(CANONICAL))

    def canonical(self, rows: Array) -> Array:
        """A dense layer's [in, out] as [h, w, c, out]."""
        shape = (*self.shape(len(rows)), rows.shape[1])
        return rows.reshape([shape[axis] for axis in self.axes]).transpose(np.argsort(self.axes))

    def rows(self, kernel: Array) -> Array:
        """[in, out] of a kernel [h, w, c, out]."""
        return kernel.transpose(self.axes).reshape(-1, kernel.shape[-1])


def flattened(shape: Sequence[int], axes: str, changes: Sequence[Callable[[Array], Array]]) -> Flattened:
    """shape: of the map, images first; axes: what the others are, "chw" or "hwc". changes: of shape and of the order of
    axes, from the map to the vector [N, D], the first of them first. A vector that is no map's, or in another order
    than its axes can stand in, is its own map of one pixel."""
    if len(shape) != len(CANONICAL) + 1:
        return Flattened()
    sides = dict(zip(axes, shape[1:], strict=True))
    numbers: Array = np.arange(int(np.prod(shape[1:]))).reshape(1, *shape[1:])
    vector = numbers
    for change in changes:
        vector = change(vector)
    for order in map("".join, itertools.permutations(axes)):
        if np.array_equal(numbers.transpose(0, *(axes.index(axis) + 1 for axis in order)).ravel(), vector.ravel()):
            return Flattened(sides["h"], sides["w"], order)
    return Flattened()
