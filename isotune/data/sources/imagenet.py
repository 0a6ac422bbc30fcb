"""ImageNet-1k and the data sets that share its classes, for evaluation: no training images.

| name | folders | classes |
|---|---|---|
| imagenet | 1,000 synsets (n01440764, ...), or these in `val/` | 1,000 |
| imagenet-v2 | `0` to `999`, numbers of the classes, or synsets | 1,000 |
| imagenet-sketch | 1,000 synsets | 1,000 |
| imagenet-a, imagenet-r | 200 synsets each | 200 each |
| imagenet-subset | any of these, two at least | those that are there |

A class is known by its synset id, never by its place: a prepared data set's classes are synsets in ILSVRC2012's order
(sorted by id), and its labels are indices into them. Folders with other names beside these are passed over and counted.

Sources: Russakovsky et al. 2015 (ILSVRC2012); Recht et al. 2019 (V2: folders are numbers, so that "10" must not come
before "2"); Wang et al. 2019 (Sketch); Hendrycks et al. 2021 (A, R). The ids and both subsets, imagenet_synsets.csv,
are timm 1.0.31's (timm/data/_info, Apache-2.0); a test compares them with the installed timm.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from functools import cache, cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from isotune.data.files import Reader
from isotune.data.sources.folders import SYNSET, Part, items, listing, scan, subfolders
from isotune.data.sources.source import Described, Source
from isotune.data.writing import Writer
from isotune.errors import UsageError
from isotune.progress import Progress

VARIANTS = ("imagenet", "imagenet-v2", "imagenet-a", "imagenet-r", "imagenet-sketch", "imagenet-subset")
_NUMBERED = frozenset(map(str, range(1000)))
_OTHER_V2 = ("threshold", "top-images")  # in the names of the archives of V2's other two selections
_RIGHT = "folders must be synsets (n01440764, ...) or 0 to 999"


@cache
def synsets(variant: str = "imagenet") -> tuple[str, ...]:
    """The synset ids of a variant's classes, in the order of an ImageNet-1k classifier's outputs."""
    text = resources.files("isotune.data.sources").joinpath("imagenet_synsets.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    return tuple(row["synset"] for row in rows if row.get(variant, "yes") == "yes")


def outputs(classes: Sequence[str], name: str) -> np.ndarray:
    """Which output of an ImageNet-1k classifier stands for each class of a data set: int64 [classes].

    classes: synset ids, or the numbers 0 to 999, all of them, in any order. name: of the data set, for errors.
    UsageError: other names, or a synset that is not one of ImageNet-1k's.
    """
    if set(classes) == _NUMBERED:
        return np.array([int(number) for number in classes], np.int64)
    place = {synset: number for number, synset in enumerate(synsets())}
    if stray := [entry for entry in classes if not SYNSET.fullmatch(entry)]:
        raise UsageError(
            f"data set {name}: class {stray[0]!r} is not an ImageNet synset; {_RIGHT}, as in imagenet:PATH"
            " (imagenet-v2, imagenet-a, imagenet-r, imagenet-sketch, imagenet-subset)"
        )
    if unknown := [entry for entry in classes if entry not in place]:
        raise UsageError(f"data set {name}: {unknown[0]} is a synset, but none of ImageNet-1k's 1,000")
    return np.array([place[entry] for entry in classes], np.int64)


class ImageNet(Source):
    """One of `VARIANTS`. path: its folder, or one that holds it as `val/`; None: not given."""

    offline = True

    def __init__(self, name: str, path: Path | None, variant: str = "imagenet") -> None:
        self.name, self.variant, self._path = name, variant, path
        self.origin = str(path or "the folder named by ISOTUNE_IMAGENET, or imagenet:PATH")

    def identity(self) -> dict[str, Any]:
        return {"path": str(self._folder.resolve()), "listing": listing([self._part])}

    @cached_property
    def _folder(self) -> Path:
        if self._path is None:
            raise UsageError(
                "data set imagenet: name the folder of validation images, imagenet:PATH or ISOTUNE_IMAGENET=PATH"
            )
        if self.variant == "imagenet-v2" and (other := [word for word in _OTHER_V2 if word in self._path.name]):
            raise UsageError(
                f"data set {self.name}: imagenet-v2 is the matched-frequency selection, which numbers are published"
                f" for; write imagenet-subset:{self._path} for {other[0]}"
            )
        return self._path / "val" if (self._path / "val").is_dir() else self._path

    @cached_property
    def _folders(self) -> dict[str, str]:
        """Name of the folder of each class, by synset, in the order of the classes."""
        names = list(subfolders(self._folder, self.name))
        folders = {entry: entry for entry in names if SYNSET.fullmatch(entry)}
        numbers = [entry for entry in names if entry.isdecimal()]
        if numbers and (folders or set(numbers) != _NUMBERED):
            beside = "beside synset folders" if folders else f"from {min(numbers, key=int)} to {max(numbers, key=int)}"
            raise self._wrong(f"has {len(numbers)} folders with numbers {beside}; {_RIGHT}, all of them")
        if numbers:
            folders = dict(zip(synsets(), sorted(numbers, key=int), strict=True))
        if not folders:
            raise self._wrong(f"has {len(names)} folders, none of them a class of ImageNet; {_RIGHT}")
        if unknown := sorted(set(folders) - set(synsets())):
            raise self._wrong(f"has a folder {unknown[0]}, a synset that is none of ImageNet-1k's 1,000")
        self._check_variant(folders, bool(numbers))
        return dict(sorted(folders.items()))

    def _check_variant(self, folders: dict[str, str], numbered: bool) -> None:
        """That these are the variant's classes. UsageError: which variant they are, or how many are missing."""
        if self.variant == "imagenet-subset":
            return
        fitting = next((other for other in VARIANTS[:4] if set(synsets(other)) == set(folders)), "imagenet-subset")
        fitting = "imagenet-v2" if numbered else fitting
        wanted = synsets(self.variant)
        if set(folders) != set(wanted):
            raise self._wrong(
                f"has {len(folders)} synset folders (n01440764, ...), among them {len(set(wanted) & set(folders))} of"
                f" {self.variant}'s {len(wanted)}; {fitting}:PATH takes them"
            )
        if numbered and self.variant != "imagenet-v2":
            raise self._wrong("has folders 0 to 999, as ImageNet-V2; imagenet-v2:PATH takes them")

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"data set {self.name}: {self._folder} {what}")

    @cached_property
    def _part(self) -> Part:
        """The images, class by class in the order of the synsets."""
        place = {folder: number for number, folder in enumerate(self._folders.values())}
        part = scan(self._folder, self._folder, self.name, only=list(place))
        order = sorted(range(len(place)), key=lambda index: place[part.classes[index]])
        return Part(list(self._folders), [part.images[index] for index in order], part.others)

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        test = items(self._part)
        reader = Reader(self.name, skip_unreadable=skip_unreadable, progress=progress, total=len(test))
        writer.empty("train")
        writer.files("test", reader.read(test))
        passed = len(subfolders(self._folder, self.name)) - len(self._folders)
        notes = [f"{passed} other folders passed over" if passed else "", reader.note()]
        return Described(tuple(self._part.classes), "; ".join(filter(None, notes)))
