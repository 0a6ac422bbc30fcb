"""What the network is fed: a stratified part of a split, at the protocol's size, as one array on disk.

A view is made once for a data set, part and input, and shared by all processes. Its key does not hold the
version of Pillow: whoever made it, every framework of a comparison reads the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from isotune import cache, sealing
from isotune.data.dataset import Dataset, FileSplit, Split, SplitName
from isotune.data.resizing import Place, Resize, fixed_view
from isotune.data.writing import mapped
from isotune.errors import UsageError, nearest
from isotune.progress import untold
from isotune.protocols import Images, Input
from isotune.workers import threads
from isotune.workers.process import ask_once

DECODERS = "isotune.decoders"  # entry-point group: a value of the axis `decode` -> a function called in a worker

_FORMAT = 1  # raised when a change here alters the views' bytes


def subset(labels: np.ndarray, n: int | None, seed: int = 0, *, field: str = "images") -> np.ndarray:
    """Indices, rising, of `n` images in which every class keeps its share: int64 [min(n, N)].

    Every class gets at least one image; the rest is shared out in proportion, by largest remainders. The
    choice depends on labels, n and seed alone. n: None or more than there are takes all.
    UsageError: more classes than images; the message names `field`.
    """
    if n is None or n >= len(labels):
        return np.arange(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    if n < len(classes):
        raise UsageError(f"{field} = {n} is less than one image for each of {len(classes)} classes")
    taken = _shares(counts, n)
    chosen = []
    for label, count in zip(classes, taken, strict=True):
        members = np.flatnonzero(labels == label)
        order = np.random.default_rng([seed, int(label)]).random(len(members)).argsort(kind="stable")
        chosen.append(members[order[:count]])
    return np.sort(np.concatenate(chosen))


def _shares(counts: np.ndarray, n: int) -> np.ndarray:
    """How many of each class: one, and of the others in proportion to what is left of each class."""
    left = counts - 1
    exact = left * ((n - len(counts)) / max(left.sum(), 1))
    shares: np.ndarray = np.floor(exact).astype(np.int64)
    remainder = n - len(counts) - shares.sum()
    shares[np.argsort(shares - exact, kind="stable")[:remainder]] += 1
    return shares + 1


def inputs(
    dataset: Dataset,
    split: SplitName,
    images: Images,
    input: Input,
    *,
    resize: Resize = "antialias",
    decode: str = "pillow",
    place: Place = "centre",
) -> tuple[np.ndarray, np.ndarray]:
    """The protocol's fixed view: uint8 [n, size, size, 3], memory-mapped and read-only, and labels int64 [n]. place: of
    the crop.

    UsageError: the split is empty, too small for its classes, or there is no room on the disk.
    MissingExtra: the library that decodes is not installed.
    """
    part, indices, key = chosen(dataset, split, images, decode)
    key |= {"input": input.model_dump(mode="json"), "resize": resize}
    if resize in ("nearest", "opencv-area"):  # whatever the protocol's interpolation says
        key["input"]["interpolation"] = "nearest"
    if place != "centre":
        key["place"] = place
    shape = (len(indices), input.size, input.size, 3)

    def build(folder: Path) -> None:
        _room(folder, int(np.prod(shape)))
        view = mapped(folder / "images.npy", shape)

        def fill(position: int) -> None:
            view[position] = fixed_view(part.image(int(indices[position])), input, resize, place)

        for _ in threads.each(fill, range(len(indices))):
            pass
        view.flush()

    with _made("view", key, build) as folder:  # what is mapped stays, whatever becomes of the file
        view = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    return view, getattr(dataset, split).labels[subset_of(dataset, split, images)]


def subset_of(dataset: Dataset, split: SplitName, images: Images) -> np.ndarray:
    """Indices of the split's images that a protocol uses. UsageError: there is none, or too few."""
    labels = getattr(dataset, split).labels
    if not len(labels):
        raise UsageError(f"data set {dataset.name} has no {split} images; it is for evaluation only")
    return subset(labels, getattr(images, split), field=f"images.{split}")


def chosen(dataset: Dataset, split: SplitName, images: Images, decode: str) -> tuple[Split, np.ndarray, dict[str, Any]]:
    """A split, the indices in it of the images that a protocol uses, and what they depend on.

    Files that a library decodes are decoded once and kept without loss, in a process of its own where this one does not
    hold the library already: so the calling process need not import it, and may hold another framework.
    """
    part: Split = getattr(dataset, split)
    indices = subset_of(dataset, split, images)
    key = {"format": _FORMAT, "dataset": dataset.digest, "split": split, "n": len(indices)}
    if decode == "pillow" or not isinstance(part, FileSplit):
        return part, indices, key
    key["decode"] = decode

    def build(folder: Path) -> None:
        np.save(folder / "indices.npy", indices, allow_pickle=False)
        _decode(decode, dataset=str(dataset.folder), split=split, folder=str(folder))

    with _made("decoded", key, build) as folder:
        offsets = np.load(folder / "offsets.npy", allow_pickle=False)
        decoded = FileSplit(np.memmap(folder / "images.blob", np.uint8, "r"), offsets, part.labels[indices])
    return decoded, np.arange(len(indices)), key


def _decode(decode: str, **request: Any) -> None:
    """Where this process holds the library, the same operations run here: to import it again takes seconds a split."""
    decoder = _decoder(decode)
    if decode in sys.modules:
        decoder.load()(SimpleNamespace(progress=untold), **request)  # in the place of a worker
    else:
        ask_once(decoder.value, **request)


def _decoder(decode: str) -> EntryPoint:
    """Who decodes; not imported here. UsageError: no package that is installed does."""
    there = {entry.name: entry for entry in entry_points(group=DECODERS)}
    if decode not in there:
        raise UsageError(f"decode = {decode!r}: no package that is installed decodes so; {nearest(decode, there)}")
    return there[decode]


def _made(kind: str, key: dict[str, Any], build: Callable[[Path], None]) -> AbstractContextManager[Path]:
    """The sealed folder of a key; built when it is not there or damaged."""
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return sealing.made(cache.folder("views") / f"{kind}-{name}", build)


def _room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UsageError(
            f"the resized images need {needed / 1e9:.1f} GB in {folder.parent}, where {free / 1e9:.1f} GB are free;"
            " use fewer images (images.train, images.test) or another folder: ISOTUNE_CACHE=PATH"
        )
