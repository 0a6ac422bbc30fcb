"""Writing a data set into a draft folder; what every source of data ends in."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from isotune.data.dataset import ABOUT, CLASSES, SPLITS, digest_of
from isotune.errors import UsageError
from isotune.sealing import seal

MOST_CLASSES = 100_000  # ImageNet-21k has 21,841; a label beyond is a mistake


def numbered_classes(name: str, *labels: np.ndarray) -> tuple[str, ...]:
    """Names of classes that labels, integers from 0, do without: "0" to the highest. UsageError: more than there may
    be.

    name: of the data set, for the error.
    """
    count = max((int(part.max()) for part in labels if part.size), default=-1) + 1
    if count > MOST_CLASSES:
        raise UsageError(
            f"data set {name}: the highest label is {count - 1}; at most {MOST_CLASSES:,} classes are taken"
        )
    return tuple(map(str, range(count)))


def mapped(file: Path, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """A new `.npy` file, to be filled: uint8 of this shape. OSError: there is no room for it. That is asked at once: a
    process that writes into a map for which there is no room on the disk is ended by a signal."""
    images = np.lib.format.open_memmap(file, mode="w+", dtype=np.uint8, shape=shape, version=(1, 0))
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            try:
                os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)
            except OSError as error:
                if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # this file system cannot be asked
                    raise
    return images


class Writer:
    """Fills `folder` with a training and a test part, by `arrays`, `stream` or `files` each, then `finish`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def arrays(self, split: str, images: np.ndarray, labels: np.ndarray) -> None:
        """images: uint8 [N, H, W, 3], or [N, H, W, 1] for greyscale; labels: integers [N]."""
        self._labels(split, labels)
        np.save(self.folder / f"{split}.images.npy", np.ascontiguousarray(images), allow_pickle=False)

    def stream(self, split: str, labels: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """For images of one size, [H, W, C], that come one by one: uint8 [N, H, W, C] on disk, to be filled."""
        self._labels(split, labels)
        return mapped(self.folder / f"{split}.images.npy", (len(labels), *shape))

    def files(self, split: str, files: Iterable[tuple[bytes, int]]) -> None:
        """Encoded images with their labels."""
        offsets, labels = [0], []
        with (self.folder / f"{split}.blob").open("wb") as blob:
            for data, label in files:
                blob.write(data)
                offsets.append(offsets[-1] + len(data))
                labels.append(label)
        np.save(self.folder / f"{split}.offsets.npy", np.array(offsets, np.int64), allow_pickle=False)
        self._labels(split, np.array(labels, np.int64))

    def empty(self, split: str) -> None:
        """A part without images."""
        self.arrays(split, np.empty((0, 1, 1, 3), np.uint8), np.empty(0, np.int64))

    def _labels(self, split: str, labels: np.ndarray) -> None:
        np.save(self.folder / f"{split}.labels.npy", np.asarray(labels, np.int64), allow_pickle=False)

    def finish(self, *, name: str, classes: Iterable[str], note: str) -> str:
        """Check that parts and classes fit, seal the folder, and give the digest. UsageError: they do not fit."""
        names = list(classes)
        train, test = (np.load(self.folder / f"{split}.labels.npy", allow_pickle=False) for split in SPLITS)
        _check(name, names, train, test)
        (self.folder / CLASSES).write_text(json.dumps(names), encoding="utf-8")
        (self.folder / ABOUT).write_text(json.dumps({"name": name, "note": note}), encoding="utf-8")
        return digest_of(seal(self.folder))


def _check(name: str, classes: list[str], train: np.ndarray, test: np.ndarray) -> None:
    """A classifier needs two classes, and cannot be tested on one that it never saw.

    A data set without training images (ImageNet's validation images) is for evaluation only.
    """
    if len(classes) > MOST_CLASSES:
        raise UsageError(f"data set {name}: it has more than {MOST_CLASSES:,} classes")
    if len(classes) < 2:
        raise UsageError(f"data set {name}: {len(classes) or 'no'} class; classification needs at least two")
    if not len(test):
        raise UsageError(f"data set {name}: there are no test images")
    for split, labels in (("train", train), ("test", test)):
        if len(labels) and not (labels.min() >= 0 and labels.max() < len(classes)):
            raise UsageError(
                f"data set {name}: {split} labels run from {labels.min()} to {labels.max()},"
                f" not within 0..{len(classes) - 1} of its {len(classes)} classes"
            )
    if len(train) and (unseen := np.setdiff1d(test, train)).size:
        raise UsageError(
            f"data set {name}: class {classes[unseen[0]]!r} has test images but no training image"
            + (f" (as have {unseen.size - 1} more)" if unseen.size > 1 else "")
        )
    if len(train) and len(np.unique(train)) < 2:
        raise UsageError(f"data set {name}: all training images are of one class, {classes[train[0]]!r}")
