"""Which tensor of one recording is which of the other."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from isotune.comparison.pairing import Place, pair
from isotune.errors import UsageError
from isotune.recordings._format import TensorEntry
from isotune.recordings._reading import Recording


class Pairing(NamedTuple):
    pairs: tuple[tuple[TensorEntry, TensorEntry], ...]
    words: str
    alone: tuple[str, ...]  # what one side has alone


def paired(left: Recording, right: Recording) -> Pairing:
    """By canonical name where names and shapes agree, else by the framework's own name, else layer by layer, by
    shape and order.

    UsageError: less than half of either side finds a partner, so that these are two networks.
    """
    ours, theirs = left.about.tensors, right.about.tensors
    for key, words in (("name", "canonical name"), ("own", "the framework's name")):
        mine, others = ({getattr(entry, key): entry for entry in entries} for entries in (ours, theirs))
        if mine.keys() == others.keys() and all(mine[name].shape == others[name].shape for name in mine):
            return Pairing(tuple((mine[name], others[name]) for name in mine), f"Tensors are paired by {words}.", ())
    pairs = _by_layer(ours, theirs)
    if 2 * len(pairs) < max(len(ours), len(theirs)):
        raise UsageError(
            f"{left.name} and {right.name} are of two networks: {len(pairs)} of {len(ours)} and {len(theirs)} tensors"
            " have a partner of the same kind and shape"
        )
    taken = {id(entry) for pair in pairs for entry in pair}
    alone = tuple(
        f"{entry.own or entry.name} ({name})"
        for name, entries in ((left.name, ours), (right.name, theirs)) for entry in entries if id(entry) not in taken
    )  # fmt: skip
    words = f"Tensors are paired by shape and order: {len(pairs)} pairs, {len(alone)} tensors without."
    return Pairing(tuple(pairs), words, alone)


def _by_layer(ours: Sequence[TensorEntry], theirs: Sequence[TensorEntry]) -> list[tuple[TensorEntry, TensorEntry]]:
    """Layers as `isotune.comparison.pairing` aligns them, and in these the tensors of one slot and shape."""
    try:
        called = pair(_places(ours), _places(theirs)).names
    except UsageError:  # two networks, which is told in tensors
        return []
    mine = {(entry.layer, entry.slot): entry for entry in ours}
    both = [(mine.get((called[entry.layer], entry.slot)), entry) for entry in theirs]
    order = {entry.name: place for place, entry in enumerate(ours)}
    paired = [(one, other) for one, other in both if one is not None and one.shape == other.shape]
    return sorted(paired, key=lambda each: order[each[0].name])


def _places(entries: Sequence[TensorEntry]) -> list[Place]:
    """The layers in their order, each by its largest tensor; what feeds it is not recorded."""
    shapes: dict[str, tuple[int, ...]] = {}
    for entry in entries:
        shapes[entry.layer] = max(shapes.get(entry.layer, ()), entry.shape, key=lambda shape: (len(shape), prod(shape)))
    return [Place(name=layer, shape=shape) for layer, shape in shapes.items()]
