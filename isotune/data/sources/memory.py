"""Data sets that come from the calling program: arrays, and tables of image files with their labels.

They are known by their content: `array:DIGEST`, `table:DIGEST`, with a name of the user's own before it
(`array:cells-DIGEST`). Once prepared they are found in the cache by that name, in a later process too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isotune.data.files import Item, Reader, write_both
from isotune.data.sources.source import Described, Source
from isotune.data.sources.splitting import NOTE, split_by_name
from isotune.data.writing import Writer, numbered_classes
from isotune.errors import UsageError
from isotune.progress import Progress

_DIGITS = 16  # of a digest in a name
Pair = tuple[np.ndarray, np.ndarray]  # images uint8 [N, H, W, 1 or 3], labels int64 [N]


class Arrays(Source):
    """Images and labels as arrays, checked (`images_and_labels`, `numbered`).

    train, test: images and labels; without a test part a fifth of every class is held out. classes: names by label.
    """

    offline = True
    origin = "arrays of the calling program"

    def __init__(self, train: Pair, test: Pair | None, classes: Sequence[str], label: str = "") -> None:
        self._train, self._test, self._classes = train, test, tuple(classes)
        digest = hashlib.sha256("\0".join(self._classes).encode())
        for array in (*train, *(test or ())):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        self.name = _named("array", label, digest.hexdigest())

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        train, test, note = self._train, self._test, ""
        if test is None:
            images, labels = train
            keys = [hashlib.sha256(np.ascontiguousarray(image).data).hexdigest() for image in images]
            held = split_by_name(self.name, keys, labels, self._classes)
            train, test, note = (images[~held], labels[~held]), (images[held], labels[held]), NOTE
        writer.arrays("train", *train)
        writer.arrays("test", *test)
        return Described(self._classes, note)


class Table(Source):
    """Image files with their labels. train, test: (file, label) each; without a test part a fifth is held out."""

    offline = True
    origin = "a table of the calling program"

    def __init__(
        self, train: Sequence[tuple[Path, int]], test: Sequence[tuple[Path, int]] | None, classes: Sequence[str],
        label: str = "",
    ) -> None:  # fmt: skip
        self._train, self._test, self._classes = train, test, tuple(classes)
        digest = hashlib.sha256("\0".join(self._classes).encode())
        for part, images in (("train", train), ("test", test or ())):
            for path, number in images:
                digest.update(f"{part}\0{path}\0{_stamp(path)}\0{number}\n".encode(errors="surrogateescape"))
        self.name = _named("table", label, digest.hexdigest())

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        train, test, note = _items(self._train), _items(self._test or ()), ""
        if self._test is None:
            labels = np.array([label for _, _, label in train])
            held = split_by_name(self.name, [name for name, _, _ in train], labels, self._classes)
            test = [item for item, one in zip(train, held, strict=True) if one]
            train = [item for item, one in zip(train, held, strict=True) if not one]
            note = NOTE
        reader = Reader(self.name, skip_unreadable=skip_unreadable, progress=progress, total=len(train) + len(test))
        altered = write_both(reader, writer, train, test)
        return Described(self._classes, "; ".join(filter(None, [note, altered])))


class Remembered(Source):
    """A data set of an earlier program, by its name: it is in the cache or nowhere."""

    offline = True

    def __init__(self, name: str, rest: str) -> None:
        self.name, self.origin = name, "given by a program"

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        raise UsageError(f"data set {self.name} is not in the cache any more; give isotune.run its images again")


def images_and_labels(images: Any, labels: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Images as uint8 [N, H, W, 1 or 3] and labels [N], integers from 0 or words, from anything that NumPy takes.

    where: names the data set in an error. UsageError: another shape or dtype, or not one label an image.
    """
    pixels, given = _array(images, f"{where}: the images"), _array(labels, f"{where}: the labels")
    if pixels.dtype != np.uint8:
        raise UsageError(f"{where}: the images are {pixels.dtype}; they must be uint8, 0..255")
    pixels = pixels[..., np.newaxis] if pixels.ndim == 3 else pixels
    if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3) or 0 in pixels.shape[1:]:
        raise UsageError(
            f"{where}: the images have the shape {list(pixels.shape)};"
            " it must be [N, H, W, 3], [N, H, W, 1] or [N, H, W]"
        )
    given = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    if given.ndim != 1 or given.dtype.kind not in "iuUO":
        raise UsageError(f"{where}: the labels must be [N] integers from 0 on, or words; they are {given.dtype}"
                         f" {list(given.shape)}")  # fmt: skip
    if len(pixels) != len(given):
        raise UsageError(f"{where}: there are {len(pixels)} images and {len(given)} labels")
    return pixels, given


def numbered(
    parts: Sequence[np.ndarray], where: str, classes: Sequence[str] = ()
) -> tuple[list[np.ndarray], list[str]]:
    """Labels of several parts as int64 indices into names of classes, and these names.

    Words are numbered in their order; integers are indices already, named by their digits or by `classes`.
    """
    if any(part.dtype.kind in "UO" for part in parts):
        words = [part.astype(str) for part in parts]
        known = list(classes) or sorted(set(np.concatenate(words).tolist()))
        place = {name: number for number, name in enumerate(known)}
        if stray := next((word for part in words for word in part.tolist() if word not in place), None):
            raise UsageError(f"{where}: the label {stray!r} is not among the classes: {', '.join(known[:8])}")
        return [np.array([place[word] for word in part.tolist()], np.int64) for part in words], known
    if (least := min((int(part.min(initial=0)) for part in parts), default=0)) < 0:
        raise UsageError(f"{where}: the labels must be integers from 0 on; the least is {least}")
    names = list(classes) or list(numbered_classes(where.removeprefix("data set "), *parts))
    return [part.astype(np.int64) for part in parts], names


def _array(values: Any, what: str) -> np.ndarray:
    try:
        array: np.ndarray = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{what} are no array ({str(error).splitlines()[0]})") from None
    return array


def _named(kind: str, label: str, digest: str) -> str:
    return f"{kind}:{label}-{digest[:_DIGITS]}" if label else f"{kind}:{digest[:_DIGITS]}"


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(f"data set: {path}: {error.strerror}") from None
    return f"{status.st_size} {status.st_mtime_ns}"


def _items(images: Sequence[tuple[Path, int]]) -> list[Item]:
    return [(str(path), path, label) for path, label in images]
