"""Names of data sets, and the sources that they stand for.

isotune's own are below; others come from the entry-point group `isotune.datasets`, a name each, which leads to a
`Kind`: so a third party's are a package like any other.
"""

from __future__ import annotations

import logging
import os
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from isotune.data.sources.arrays import Digits, FashionMnist, Npz
from isotune.data.sources.folders import ImageFolder, TestFolder
from isotune.data.sources.imagenet import VARIANTS, ImageNet
from isotune.data.sources.memory import Remembered
from isotune.data.sources.source import Kind, Source
from isotune.errors import UsageError, nearest

GROUP = "isotune.datasets"
_GIVEN = ("array", "table")  # by a program, earlier: its name and digest follow
_log = logging.getLogger(__name__)


def _imagenet(variant: str, name: str, rest: str) -> Source:
    place = rest or (os.environ.get("ISOTUNE_IMAGENET") if variant == "imagenet" else None)
    return ImageNet(name, Path(place).expanduser() if place else None, variant)


_IMAGENETS = {
    "imagenet": "ImageNet-1k's validation images, a folder a class",
    "imagenet-v2": "ImageNet-V2, collected anew as the validation images were",
    "imagenet-a": "ImageNet-A, photographs that classifiers got wrong",
    "imagenet-r": "ImageNet-R, paintings, toys and other renditions",
    "imagenet-sketch": "ImageNet-Sketch, drawings",
    "imagenet-subset": "images of some of ImageNet-1k's classes, a folder a synset",
}
_OWN = {
    "digits": Kind(lambda name, rest: Digits(), about="handwritten digits, 8 px, grey; they come with scikit-learn"),
    "fashion-mnist": Kind(lambda name, rest: FashionMnist(), about="clothes in ten classes, 28 px, grey"),
    **{
        variant: Kind(
            partial(_imagenet, variant),
            completion="PATH",
            is_whole=variant == "imagenet",
            about=f"{_IMAGENETS[variant]}; to evaluate ImageNet classifiers on",
        )
        for variant in VARIANTS
    },
    "imagefolder": Kind(
        lambda name, rest: ImageFolder(name, Path(rest).expanduser()),
        completion="PATH",
        about="a folder with a folder of images for each class, or with train/ and test/ of such folders",
    ),
    "testfolder": Kind(
        lambda name, rest: TestFolder(name, Path(rest).expanduser()),
        completion="PATH",
        about="a folder with a folder of images for each class, all to evaluate classifiers on",
    ),
    "npz": Kind(
        lambda name, rest: Npz(name, Path(rest).expanduser()),
        completion="PATH",
        about="arrays in a NumPy archive: x_train, y_train, x_test, y_test",
    ),
}


def listed() -> list[str]:
    """Names that are complete."""
    return [name for name, kind in kinds().items() if kind.is_whole or not kind.completion]


def names() -> list[str]:
    """Every name; PATH and NAME are to be filled in."""
    return [*listed(), *(f"{name}:{kind.completion}" for name, kind in kinds().items() if name not in listed())]


def find(name: str) -> Source:
    """The source that a name stands for. UsageError: there is none."""
    key, colon, rest = name.partition(":")
    if key in _GIVEN and rest:
        return Remembered(name, rest)
    kind = _kind(key)
    if kind is None or (colon and not kind.completion):
        raise UsageError(f"data set {name!r} is unknown; {nearest(name, [*_OWN, *_others()])}")
    if not rest and (colon or not kind.is_whole) and kind.completion:
        raise UsageError(f"data set {name!r}: write {key}:{kind.completion}")
    return kind.make(name, rest)


def is_of_path(name: str) -> bool:
    """Whether what follows the colon of a data set's name is a path of this machine; of an unknown name it may be."""
    key, colon, _ = name.partition(":")
    if key in _GIVEN:
        return False
    try:
        kind = _kind(key)
    except UsageError:
        kind = None
    return bool(colon) and (kind is None or kind.completion == "PATH")


def kinds() -> dict[str, Kind]:
    """Every kind of data set by its name: isotune's own, then the packages'; one that cannot be loaded is left out,
    and named in a warning."""
    known = dict(_OWN)
    for name in _others():
        try:
            kind = _kind(name)
        except UsageError as error:
            _log.warning("%s", error)
            continue
        if kind is not None:
            known[name] = kind
    return known


def _kind(name: str) -> Kind | None:
    """None: there is none of that name. UsageError: its package is broken."""
    if name in _OWN:
        return _OWN[name]
    entry = _others().get(name)
    if entry is None:
        return None
    try:
        kind = entry.load()
    except Exception as error:  # a third party's module may fail in any way, at import
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UsageError(f"data set {name!r}: {entry.value} cannot be loaded ({reason})") from error
    if not isinstance(kind, Kind):
        raise UsageError(f"data set {name!r}: {entry.value} is no isotune.data.sources.source.Kind")
    return kind


def _others() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}
