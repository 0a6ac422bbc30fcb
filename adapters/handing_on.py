"""What a network goes on with where its layers are shown another side's values: the `replaced` of `Model.activations`.

A layer's own output is kept, and what follows is computed from the one that was given. Its height and width, or its
number of tokens, may be others: whatever convolves or averages takes them, so that a pool that rounds otherwise is no
reason to accuse what comes behind it. Where what is given has another rank or other channels, or the network cannot go
on with it (a Reshape of fixed sizes, a sum of two maps), the layer hands on its own, and the layers that read it show
nothing: what they are given is not what the other side's are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from isotune.weights import Layer

Array = np.ndarray
_ONE_BY_ONE = 8  # passes that fail, each for one layer that must hand on its own; after them all such layers do


class Pass:
    """One pass of a network, of whose layers some are given what they are to hand on."""

    def __init__(self, given: Mapping[str, Array], refused: frozenset[str] = frozenset()) -> None:
        self.seen: dict[str, Array] = {}  # layer -> its own output, images first, channels last
        self.reshaped: list[str] = []  # layers that hand on maps of another size, in the order of execution
        self.own: set[str] = set(refused)  # layers that hand on their own though others were given
        self._given, self._refused = given, refused

    def instead(self, layer: str, output: Array) -> Array | None:
        """Keep what a layer gives; what the network goes on with, None: that itself."""
        self.seen[layer] = output
        given = None if layer in self._refused else self._given.get(layer)
        if given is None:
            return None
        if given.size == output.size and not _map_of_other_sides(given, output):
            return given.reshape(output.shape)  # a map of one pixel may be a vector elsewhere
        if _map_of_other_sides(given, output):
            self.reshaped.append(layer)
            return given
        self.own.add(layer)
        return None


def shown(
    layers: Sequence[Layer], given: Mapping[str, Array], through: Callable[[Pass], object]
) -> Iterator[tuple[str, Array]]:
    """The layers' outputs in their order; those that read what could not be handed on are left out.

    through: takes the network through a pass, as often as it takes. It may fail as it likes where maps of another size
    are handed on.
    """
    refused = frozenset[str]()
    while True:
        one = Pass(given, refused)
        try:
            through(one)
            break
        except Exception:  # whatever a foreign forward says to a map of another size
            if not one.reshaped:
                raise
            refused |= {one.reshaped[-1]} if len(refused) < _ONE_BY_ONE else set(one.reshaped)
    known = any(layer.inputs for layer in layers)
    lost = False
    for layer in layers:
        lost = lost and not known
        if layer.name in one.seen and not lost and not one.own.intersection(layer.inputs):
            yield layer.name, one.seen[layer.name]
        lost = lost or layer.name in one.own


def _map_of_other_sides(given: Array, output: Array) -> bool:
    """Whether both are maps or rows of tokens, of the same images and channels and otherwise not of one shape."""
    ends = (output.shape[:1], output.shape[-1:])
    alike = given.ndim == output.ndim > 2 and (given.shape[:1], given.shape[-1:]) == ends
    return alike and given.shape != output.shape
