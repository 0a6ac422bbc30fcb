"""What a prepared data set is, and how it lies on disk.

    datasets/DIGEST/           sealed (isotune.sealing)
      classes.json             names of the classes; a label is an index into them
      about.json               name and note; not part of the digest
      train.labels.npy         int64 [N]
      train.images.npy         uint8 [N, H, W, 3], or [N, H, W, 1] for greyscale: images of one size
      train.blob, train.offsets.npy    or: the original files one after another, int64 [N + 1]
      test....                 the same

Everything is memory-mapped, so a data set costs no memory until its images are used, and processes share it.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from isotune.cache import Use
from isotune.data.decoding import decode
from isotune.sealing import SEAL, Damaged, check, in_use

SplitName = Literal["train", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "test")
CLASSES = "classes.json"
ABOUT = "about.json"


class Split(ABC):
    """The training or the test part: images, and `labels` int64 [N]."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3], RGB: a copy. IndexError: not in 0..N-1."""
        if not 0 <= index < len(self):
            raise IndexError(f"image {index} of {len(self)}")
        return self._image(index)

    @abstractmethod
    def _image(self, index: int) -> np.ndarray: ...


class ArraySplit(Split):
    """Images of one size: `images` uint8 [N, H, W, 1 or 3]."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(labels)
        self.images = images

    def _image(self, index: int) -> np.ndarray:
        image = self.images[index]
        return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else np.array(image)


class FileSplit(Split):
    """Images as the files they came in; decoded when asked for, by Pillow."""

    def __init__(self, blob: np.ndarray, offsets: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(labels)
        self._blob, self._offsets = blob, offsets

    def encoded(self, index: int) -> bytes:
        """The original file."""
        return self._blob[self._offsets[index] : self._offsets[index + 1]].tobytes()

    def _image(self, index: int) -> np.ndarray:
        return decode(self.encoded(index))


def encoded(dataset: Dataset) -> bool:
    """Whether the images are kept as files, which libraries decode in ways of their own."""
    return any(isinstance(split, FileSplit) for split in (dataset.train, dataset.test))


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels that every framework reads alike.

    digest: SHA-256 over images, labels, split and names of the classes; not over the data set's name.
    note: how images were altered, split or left out; empty when they were not.
    folder: where it lies; in use as long as this is there.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    train: Split
    test: Split
    folder: Path
    note: str = ""
    use: Use | None = field(default=None, repr=False)


def digest_of(files: dict[str, str]) -> str:
    """A data set's digest from the SHA-256 of its files."""
    content = {name: sha256 for name, sha256 in sorted(files.items()) if name != ABOUT}
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def open_dataset(folder: Path, *, name: str | None = None, note: str | None = None, verify: bool = False) -> Dataset:
    """The data set in a sealed folder, under its own name or another. Damaged: it is not what was written."""
    try:
        use = in_use(folder)
    except (FileNotFoundError, NotADirectoryError):
        raise Damaged(f"{folder / SEAL} is missing") from None
    files = check(folder, verify=verify)
    digest = digest_of(files)
    if folder.name != digest:
        raise Damaged(f"{folder} contains a different data set")
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    return Dataset(
        name=about["name"] if name is None else name,
        digest=digest,
        classes=tuple(json.loads((folder / CLASSES).read_text(encoding="utf-8"))),
        train=open_split(folder, "train"),
        test=open_split(folder, "test"),
        folder=folder,
        note=about["note"] if note is None else note,
        use=use,
    )


def open_split(folder: Path, split: str) -> Split:
    """One part of the data set in `folder`."""
    labels = np.load(folder / f"{split}.labels.npy", allow_pickle=False)
    if (images := folder / f"{split}.images.npy").exists():
        return ArraySplit(np.load(images, mmap_mode="r", allow_pickle=False), labels)
    offsets = np.load(folder / f"{split}.offsets.npy", allow_pickle=False)
    blob = folder / f"{split}.blob"
    bytes_ = np.memmap(blob, np.uint8, "r") if blob.stat().st_size else np.empty(0, np.uint8)
    return FileSplit(bytes_, offsets, labels)
