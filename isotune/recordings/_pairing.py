"""Which tensor of one recording is which of the other."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from isotune.errors import UsageError
from isotune.recordings._format import TensorEntry
from isotune.recordings._reading import Recording


class Pairing(NamedTuple):
    pairs: tuple[tuple[TensorEntry, TensorEntry], ...]
    words: str
    alone: tuple[str, ...]  # what one side has alone


def paired(left: Recording, right: Recording) -> Pairing:
    """By canonical name where names and shapes agree, else by the framework's own name, else by shape and order.

    UsageError: less than half of either side finds a partner, so that these are two networks.
    """
    ours, theirs = left.about.tensors, right.about.tensors
    for key, words in (("name", "canonical name"), ("own", "the framework's name")):
        mine, others = ({getattr(entry, key): entry for entry in entries} for entries in (ours, theirs))
        if mine.keys() == others.keys() and all(mine[name].shape == others[name].shape for name in mine):
            return Pairing(tuple((mine[name], others[name]) for name in mine), f"Tensors are paired by {words}.", ())
    pairs = _by_shape(ours, theirs)
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


def _by_shape(ours: Sequence[TensorEntry], theirs: Sequence[TensorEntry]) -> list[tuple[TensorEntry, TensorEntry]]:
    """Longest common runs of kind and shape, as a diff finds them."""
    mine, others = ([(entry.slot, entry.shape) for entry in entries] for entries in (ours, theirs))
    matcher = SequenceMatcher(None, mine, others, autojunk=False)
    return [
        (ours[block.a + place], theirs[block.b + place])
        for block in matcher.get_matching_blocks()
        for place in range(block.size)
    ]
