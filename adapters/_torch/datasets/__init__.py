"""Data sets of torchvision, found by the entry points of the group `isotune.datasets`. They import no framework: a
process of its own writes them (`_fetching`).

| name | training part | test part |
|---|---|---|
| cifar10, cifar100, food101 | train | test |
| flowers102 | train and val, 2,040 images | test |
| oxford-pets | trainval | test |
| dtd | train and val of partition 1 | test of partition 1 |
| eurosat | no official parts: 80/20, stratified (isotune.data.sources.splitting) | |
| torchvision:NAME | `trainval` if it has that, else `train` | `test`, else `val`, `valid` |

A data set without parts is split 80/20. Options of a class: `torchvision:EMNIST:split=letters`.
"""

from __future__ import annotations

import ast
import os
from typing import Any

from isotune import cache
from isotune.data.sources.source import Described, Kind, Source, Writer
from isotune.errors import UsageError
from isotune.progress import Progress
from isotune.workers.process import ask_once

Part = list[dict[str, Any]]  # arguments of the class, once for each piece of the part
PACKAGES = {"torchvision": "isotune[torch]"}


class Torchvision(Source):
    """A class of torchvision.datasets that gives an image and a class.

    train, test: the arguments that choose its parts; None: found from its signature.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        train: Part | None = None,
        test: Part | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.name, self._kind, self._parts, self._options = name, kind, (train, test), options or {}
        self._root = cache.root() / "sources" / "torchvision" / kind
        self.origin = f"torchvision.datasets.{kind}, downloaded to {self._root}"

    @property
    def offline(self) -> bool:  # type: ignore[override]
        return any(files for _, _, files in os.walk(self._root))

    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        answer = ask_once(
            f"{__name__}._fetching:fetch", progress, name=self.name, kind=self._kind, options=self._options,
            train=self._parts[0], test=self._parts[1], root=str(self._root), folder=str(writer.folder),
            skip_unreadable=skip_unreadable,
        )  # fmt: skip
        return Described(tuple(answer["classes"]), answer["note"])


def by_name(name: str, rest: str) -> Torchvision:
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
    return Torchvision(name, kind, options=options)


def _whole(kind: str, train: Part, test: Part, about: str) -> Kind:
    return Kind(lambda name, rest: Torchvision(name, kind, train=train, test=test), packages=PACKAGES, about=about)


CIFAR10 = _whole("CIFAR10", [{"train": True}], [{"train": False}], "things and animals in ten classes, 32 px")
CIFAR100 = _whole("CIFAR100", [{"train": True}], [{"train": False}], "things and animals in 100 classes, 32 px")
FLOWERS102 = _whole("Flowers102", [{"split": "train"}, {"split": "val"}], [{"split": "test"}], "flowers in 102 species")
OXFORD_PETS = _whole("OxfordIIITPet", [{"split": "trainval"}], [{"split": "test"}], "cats and dogs in 37 breeds")
FOOD101 = _whole("Food101", [{"split": "train"}], [{"split": "test"}], "dishes in 101 classes")
DTD = _whole("DTD", [{"split": "train"}, {"split": "val"}], [{"split": "test"}], "textures in 47 classes")
EUROSAT = _whole("EuroSAT", [{}], [], "satellite images in ten kinds of land, 64 px")
ANY = Kind(by_name, completion="NAME", packages=PACKAGES, about="any classification data set of torchvision.datasets")
