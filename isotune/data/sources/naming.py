"""Names of data sets, and the sources that they stand for."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from isotune.data.sources.arrays import Digits, FashionMnist, Npz
from isotune.data.sources.folders import ImageFolder
from isotune.data.sources.imagenet import VARIANTS, ImageNet
from isotune.data.sources.libraries import TORCHVISION, TensorFlowDatasets, Torchvision, torchvision_by_name
from isotune.data.sources.memory import Remembered
from isotune.data.sources.source import Source
from isotune.errors import UsageError, nearest


def _imagenet(variant: str, name: str, rest: str) -> Source:
    return ImageNet(name, Path(rest).expanduser(), variant)


_NAMED: dict[str, Callable[[], Source]] = {
    "digits": Digits,
    "fashion-mnist": FashionMnist,
    **{name: partial(Torchvision, name, named) for name, named in TORCHVISION.items()},
    "imagenet": lambda: ImageNet("imagenet", _path(os.environ.get("ISOTUNE_IMAGENET"))),
}
_GIVEN: dict[str, Callable[[str, str], Source]] = {"array": Remembered, "table": Remembered}  # by a program, earlier
_COMPLETED: dict[str, tuple[str, Callable[[str, str], Source]]] = {  # kind: what completes it, and the source
    "imagefolder": ("PATH", lambda name, rest: ImageFolder(name, Path(rest).expanduser())),
    **{kind: ("PATH", partial(_imagenet, kind)) for kind in VARIANTS},
    "npz": ("PATH", lambda name, rest: Npz(name, Path(rest).expanduser())),
    "tfds": ("NAME", TensorFlowDatasets),
    "torchvision": ("NAME", torchvision_by_name),
}


def listed() -> list[str]:
    """Names that are complete."""
    return list(_NAMED)


def names() -> list[str]:
    """Every name; PATH and NAME are to be filled in."""
    return [*_NAMED, *(f"{kind}:{rest}" for kind, (rest, _) in _COMPLETED.items() if kind not in _NAMED)]


def find(name: str) -> Source:
    """The source that a name stands for. UsageError: there is none."""
    if name in _NAMED:
        return _NAMED[name]()
    kind, _, rest = name.partition(":")
    if kind in _GIVEN and rest:
        return _GIVEN[kind](name, rest)
    if kind not in _COMPLETED:
        raise UsageError(f"data set {name!r} is unknown; {nearest(name, [*_NAMED, *_COMPLETED])}")
    completion, source = _COMPLETED[kind]
    if not rest:
        raise UsageError(f"data set {name!r}: write {kind}:{completion}")
    return source(name, rest)


def _path(chosen: str | None) -> Path | None:
    return Path(chosen).expanduser() if chosen else None
