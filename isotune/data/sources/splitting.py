"""A training and a test part for data that come without."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

import numpy as np

from isotune.errors import UsageError

TEST_SHARE = 0.2
NOTE = "split 80/20 by isotune: stratified by class, seed 0"


def split_by_name(name: str, keys: Sequence[str], labels: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """bool [N]: which images are for testing, a fifth of every class and at least one.

    The images of a class are ranked by the SHA-256 of their keys (names, or numbers), so the choice is the
    same on every machine, and an image that is added moves at most one other across.
    UsageError: a class has a single image.
    """
    rank = np.array([hashlib.sha256(b"0:" + os.fsencode(key)).hexdigest() for key in keys])
    test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        if len(members) < 2:
            raise UsageError(
                f"data set {name}: class {classes[label]!r} has one image;"
                " a split into training and test images needs at least two of each class"
            )
        count = max(1, round(TEST_SHARE * len(members)))
        test[members[rank[members].argsort(kind="stable")[:count]]] = True
    return test


def was_split(note: str) -> bool:
    """Whether a data set's note says that isotune split it."""
    return NOTE in note
