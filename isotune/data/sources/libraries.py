"""Data sets of torchvision and TensorFlow Datasets, written by a process of its own.

Both import a framework; the calling process stays clean. Parts, where a library offers a choice:

| name | training part | test part |
|---|---|---|
| cifar10, cifar100, food101 | train | test |
| flowers102 | train and val, 2,040 images | test |
| oxford-pets | trainval | test |
| dtd | train and val of partition 1 | test of partition 1 |
| eurosat | no official parts: 80/20, stratified (isotune.data.sources.splitting) | |
| torchvision:NAME | `trainval` if it has that, else `train` | `test`, else `val`, `valid` |
| tfds:NAME | `train` | `test`, else `validation` |

A data set without parts is split 80/20. Options of a torchvision class: `torchvision:EMNIST:split=letters`.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

from isotune import cache
from isotune.data._writing import Writer
from isotune.data.sources.source import Described, Source
from isotune.errors import UsageError
from isotune.progress import Progress
from isotune.workers.process import ask_once

Part = list[dict[str, Any]]  # arguments of the class, once for each piece of the part


@dataclass(frozen=True)
class Named:
    """A torchvision class, and the arguments that choose its parts (None: found from its signature)."""

    kind: str
    train: Part | None = None
    test: Part | None = None


TORCHVISION = {
    "cifar10": Named("CIFAR10", [{"train": True}], [{"train": False}]),
    "cifar100": Named("CIFAR100", [{"train": True}], [{"train": False}]),
    "flowers102": Named("Flowers102", [{"split": "train"}, {"split": "val"}], [{"split": "test"}]),
    "oxford-pets": Named("OxfordIIITPet", [{"split": "trainval"}], [{"split": "test"}]),
    "food101": Named("Food101", [{"split": "train"}], [{"split": "test"}]),
    "dtd": Named("DTD", [{"split": "train"}, {"split": "val"}], [{"split": "test"}]),
    "eurosat": Named("EuroSAT", [{}], []),
}


class Torchvision(Source):
    """A class of torchvision.datasets that gives an image and a class."""

    def __init__(self, name: str, named: Named, options: dict[str, Any] | None = None) -> None:
        self.name, self._named, self._options = name, named, options or {}
        self._root = cache.root() / "sources" / "torchvision" / named.kind
        self.origin = f"torchvision.datasets.{named.kind}, downloaded to {self._root}"

    @property
    def offline(self) -> bool:  # type: ignore[override]
        return any(path.is_file() for path in self._root.rglob("*"))

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        request = {
            "name": self.name,
            "kind": self._named.kind,
            "options": self._options,
            "train": self._named.train,
            "test": self._named.test,
            "root": str(self._root),
            "folder": str(writer.folder),
            "skip_unreadable": skip_unreadable,
        }
        return _described(ask_once("isotune.data.sources.fetch_torchvision:fetch", progress, **request))


@dataclass
class TensorFlowDatasets(Source):
    """A data set of the package tensorflow-datasets; `kind` is its name there: "cats_vs_dogs", "imagenette/160px"."""

    name: str
    kind: str
    origin: str = field(init=False)
    offline: bool = False  # the package alone knows

    def __post_init__(self) -> None:
        self.origin = f"tensorflow-datasets' {self.kind}, in that package's own folder (TFDS_DATA_DIR)"

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        request = {
            "name": self.name,
            "kind": self.kind,
            "folder": str(writer.folder),
            "skip_unreadable": skip_unreadable,
        }
        return _described(ask_once("isotune.data.sources.fetch_tfds:fetch", progress, **request))


def torchvision_by_name(name: str, rest: str) -> Torchvision:
    """`torchvision:KIND[:option=value ...]`; values are Python literals, or words. UsageError: not of that form."""
    kind, *pairs = rest.split(":")
    options: dict[str, Any] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign or not key.isidentifier():
            raise UsageError(f"data set {name!r}: {pair!r} is not option=value")
        try:
            options[key] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[key] = value
    return Torchvision(name, Named(kind), options)


def _described(answer: dict[str, Any]) -> Described:
    return Described(tuple(answer["classes"]), answer["note"])
