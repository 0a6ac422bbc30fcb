"""Image folders: one subfolder a class.

What counts: files whose name ends in one of `SUFFIXES` (in any case), at any depth up to 32 below a class folder.
Hidden files and folders (a leading dot) and `__MACOSX` are passed over, other files are ignored and
counted. Links are followed, also out of the folder, but never in a circle. Nothing is written there.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from isotune.data.files import Item, Reader, write_both
from isotune.data.sources.source import Described, Source
from isotune.data.sources.splitting import NOTE, split_by_name
from isotune.data.writing import Writer
from isotune.errors import UsageError, listed
from isotune.progress import Progress

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})
SYNSET = re.compile(r"n\d{8}")  # an ImageNet class
DEPTH, FOLDERS = 32, 10_000  # of folders in a class's
_TRAIN = "train"
_TEST = ("test", "val", "valid", "validation")  # the first that is there is evaluated


class Image(NamedTuple):
    path: Path
    name: str  # relative to the data set's folder, with slashes
    size: int
    modified: int


class Part(NamedTuple):
    """Class folders side by side: names of the classes, the images of each, and how many other files."""

    classes: list[str]
    images: list[list[Image]]
    others: int


class ImageFolder(Source):
    """`PATH/train/CLASS/...` with `PATH/test`, `val`, `valid` or `validation`, or `PATH/CLASS/...`.

    With a `test` and a `val` folder, `test` is evaluated and `val` is left unused. Class folders alone are
    split 80/20 (isotune.data.sources.splitting). Classes are in the order of their names, as torchvision's.
    """

    offline = True

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.origin, self.path = name, str(path), path

    def identity(self) -> dict[str, Any]:
        return {"path": str(self.path.resolve()), "listing": listing(self._parts.values())}

    @cached_property
    def _parts(self) -> dict[str, Part]:
        """The parts by name of their folder; one named "" when the class folders are not in parts."""
        folders = {path.name.lower(): path for path in subfolders(self.path, self.name).values()}
        tests = [name for name in _TEST if name in folders]
        if _TRAIN in folders and tests:
            return {name: scan(folders[name], self.path, self.name) for name in (_TRAIN, tests[0])}
        if folders and set(folders) <= {_TRAIN, *_TEST}:
            missing = " or ".join(f"{name}/" for name in (_TEST if _TRAIN in folders else (_TRAIN,)))
            raise UsageError(
                f"data set {self.name}: {self.path} has {', '.join(f'{name}/' for name in folders)} but no {missing}"
                + self._without_training(next(iter(folders.values())))
            )
        return {"": scan(self.path, self.path, self.name)}

    def _without_training(self, part: Path) -> str:
        """What takes a part alone, to evaluate classifiers that there are on it."""
        synsets = any(SYNSET.fullmatch(name) for name in subfolders(part, self.name))
        return f"; to evaluate classifiers on it: {'imagenet-subset' if synsets else 'testfolder'}:{part}"

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        first, *rest = self._parts.values()
        classes, notes = first.classes, []
        if rest:
            train, test = items(first), items(rest[0], self._known(classes, rest[0]))
            tested = next(name for name in self._parts if name != _TRAIN)
            others = subfolders(self.path, self.name)
            unused = [f"{name}/" for name in others if name.lower() in _TEST and name.lower() != tested]
            notes += [f"{tested}/ is the test part" + (f", {', '.join(unused)} unused" if unused else "")]
        else:
            everything = items(first)
            labels = np.array([label for _, _, label in everything])
            tests = split_by_name(self.name, [name for name, _, _ in everything], labels, classes)
            train = [item for item, held in zip(everything, tests, strict=True) if not held]
            test = [item for item, held in zip(everything, tests, strict=True) if held]
            notes.append(NOTE)
        if ignored := sum(part.others for part in self._parts.values()):
            notes.append(f"{ignored} other files ignored")
        reader = Reader(self.name, skip_unreadable=skip_unreadable, progress=progress, total=len(train) + len(test))
        altered = write_both(reader, writer, train, test)
        return Described(tuple(classes), "; ".join(filter(None, [*notes, altered])))

    def _known(self, classes: list[str], test: Part) -> list[int]:
        """Labels of the test part's classes, which must all be among the training part's."""
        if new := [name for name in test.classes if name not in classes]:
            raise UsageError(
                f"data set {self.name}: class folder {new[0]!r} is in the test part but not in {_TRAIN}/"
                + (f" (as are {len(new) - 1} more)" if len(new) > 1 else "")
            )
        return [classes.index(name) for name in test.classes]


class TestFolder(Source):
    """`PATH/CLASS/...`, all of it to be evaluated: no training images."""

    offline = True

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.origin, self.path = name, str(path), path

    def identity(self) -> dict[str, Any]:
        return {"path": str(self.path.resolve()), "listing": listing([self._part])}

    @cached_property
    def _part(self) -> Part:
        inside = subfolders(self.path, self.name)
        if parts := [entry for entry in inside if entry.lower() in (_TRAIN, *_TEST)]:
            tested = next((entry for entry in parts if entry.lower() in _TEST), parts[0])
            raise UsageError(
                f"data set {self.name}: {self.path} has {listed([f'{entry}/' for entry in parts])};"
                f" testfolder:{self.path / tested} takes the folders of classes in it"
            )
        return scan(self.path, self.path, self.name)

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        test = items(self._part)
        reader = Reader(self.name, skip_unreadable=skip_unreadable, progress=progress, total=len(test))
        writer.empty("train")
        writer.files("test", reader.read(test))
        others = f"{self._part.others} other files ignored" if self._part.others else ""
        return Described(tuple(self._part.classes), "; ".join(filter(None, [others, reader.note()])))


def subfolders(folder: Path, name: str) -> dict[str, Path]:
    """The folders in a folder by name, in order. UsageError: it is no folder, or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            folders = sorted(entry.name for entry in entries if entry.is_dir() and not _hidden(entry.name))
    except OSError as error:
        raise UsageError(f"data set {name}: {folder}: {error.strerror}") from None
    return {entry: folder / entry for entry in folders}


def scan(folder: Path, base: Path, name: str, *, only: list[str] | None = None) -> Part:
    """The class folders in `folder`. UsageError: there is none, or one without an image."""
    classes = {entry: path for entry, path in subfolders(folder, name).items() if only is None or entry in only}
    if not classes:
        raise UsageError(f"data set {name}: {folder} holds no class folders (one subfolder of images for each class)")
    images_by_class, others = [], 0
    for path in classes.values():
        images, ignored = _images(path, base, name, set(), iter(range(FOLDERS)))
        if not images:
            raise UsageError(f"data set {name}: class folder {path} holds no image; remove it, or the name is wrong")
        images_by_class.append(sorted(images, key=lambda image: image.name))
        others += ignored
    return Part(list(classes), images_by_class, others)


def _images(folder: Path, base: Path, name: str, above: set[str], left: Iterator[int]) -> tuple[list[Image], int]:
    """Images below a folder, and the number of other files.

    above: real paths on the way, against circles. left: an item for each folder that may still be looked into, since
    links that lead to one folder on many ways multiply.
    """
    real = os.path.realpath(folder)
    if real in above:
        return [], 0
    if len(above) > DEPTH:
        raise UsageError(f"data set {name}: {base}: folders are nested more than {DEPTH} deep")
    if next(left, None) is None:
        raise UsageError(f"data set {name}: {base}: a class has more than {FOLDERS:,} folders")
    images: list[Image] = []
    others = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _hidden(entry.name):
                    continue
                path = folder / entry.name
                if entry.is_dir():
                    more, ignored = _images(path, base, name, above | {real}, left)
                    images += more
                    others += ignored
                elif path.suffix.lower() in SUFFIXES:
                    # a link that leads nowhere is an image that cannot be read, which is said when it is read
                    status = entry.stat() if path.exists() else entry.stat(follow_symlinks=False)
                    images.append(Image(path, path.relative_to(base).as_posix(), status.st_size, status.st_mtime_ns))
                else:
                    others += 1
    except OSError as error:
        raise UsageError(f"data set {name}: {folder}: {error.strerror}") from None
    return images, others


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def items(part: Part, labels: list[int] | None = None) -> list[Item]:
    """The images of a part with their labels, class by class; `labels`: of its classes, 0, 1, ... if not given."""
    of = labels if labels is not None else range(len(part.classes))
    return [(image.name, image.path, label) for label, images in zip(of, part.images, strict=True) for image in images]


def listing(parts: Iterable[Part]) -> str:
    """SHA-256 over names, sizes and modification times of all images of the parts."""
    digest = hashlib.sha256()
    for part in parts:
        for image in chain.from_iterable(part.images):
            digest.update(f"{image.name}\0{image.size}\0{image.modified}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
