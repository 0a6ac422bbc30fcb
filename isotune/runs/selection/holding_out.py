"""Which of the training images are held out: stratified by class, drawn from the order seed."""

from __future__ import annotations

import numpy as np

from isotune.errors import UsageError

_HOLDING_OUT = 0x9806E  # separates this stream from the others of a seed


def split(labels: np.ndarray, share: float, seed: int, field: str) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the images that are left, and of those held out, both int64 and rising; a class of one image stays.

    labels: int64 [N]; share: of each class, 0..1. UsageError, which names the field: no class has two images.
    """
    stream = np.random.default_rng([seed, _HOLDING_OUT])
    held: list[np.ndarray] = []
    for label in np.unique(labels):
        members = stream.permutation(np.flatnonzero(labels == label))
        held.append(members[: min(len(members) - 1, max(1, round(share * len(members))))])
    chosen = np.sort(np.concatenate(held)).astype(np.int64)
    if not len(chosen):
        raise UsageError(f"{field}: no class has two training images, so none can be held out; give more")
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen
