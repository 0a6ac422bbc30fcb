"""Weights in canonical form: neutral names and layouts, with the conventions they were trained with.

A canonical name is `LAYER.SLOT`. A layer is one operation that owns tensors, mostly a library's module, named by its
place in the order of execution and its kind, `007.norm`; the classifier is `head`. Slots and layouts:

| kind | slots |
|---|---|
| conv | kernel [h, w, in/groups, out] (a depthwise kernel is [h, w, 1, channels]), bias [out] |
| transposed | kernel [h, w, out/groups, in], bias [out]: of a transposed convolution |
| dense | kernel [in, out], bias [out] |
| norm | scale, shift, and for BatchNorm mean, variance: [channels] each |
| scale | scale [channels], what LayerScale multiplies by (Touvron et al. 2021) |
| token | token [channels], the class token of a vision transformer (Dosovitskiy et al. 2021) |
| position | position [tokens, channels], the table that is added to the tokens |
| other | the library's own tensor names and layouts |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from isotune import cache, places, reading, sealing
from isotune.conventions import upgraded
from isotune.errors import UsageError, WeightsMismatch, nearest

Array = np.ndarray
HEAD = "head"
_WORDS = {"isotune", "conventions", "architecture", "origin", "digest", "notes"}  # of a file's metadata
_MOST = 64 * reading.GIB  # bytes of a file


@dataclass(frozen=True)
class Layer:
    """A module that owns tensors, in the order of execution."""

    name: str  # canonical: "007.norm", or "head"
    kind: str  # conv, transposed, dense, norm, scale, token, position, other
    block: int  # residual block (or stage of a plain network) it belongs to, from 0; the head's is -1
    library_name: str  # what the library calls it
    inputs: tuple[str, ...] = ()  # canonical names of the layers that feed it, operations without tensors left out
    between: tuple[str, ...] = ()  # what the library calls those operations: "AveragePooling2D"


@dataclass(frozen=True)
class Limit:
    """An operation that changes only some values: those beyond `low` and `high`, as a clamp or a ReLU does, or of some
    kind (`Abs`, `Where`). On values that it leaves alone it cannot be seen."""

    what: str  # what the library calls it
    low: float | None = None
    high: float | None = None
    after: tuple[Any, ...] = ()  # the layers before it, operations without tensors left out

    def behind(self, names: Mapping[Any, str]) -> Limit:
        """With what the layers are called."""
        return replace(self, after=tuple(names[layer] for layer in self.after if layer in names))


@dataclass(frozen=True)
class Weights(Mapping[str, Array]):
    """Canonical tensors by name; float32 or float64."""

    tensors: Mapping[str, Array]
    conventions: Mapping[str, Any] = field(default_factory=dict)  # network axes the weights were trained with
    architecture: str = ""
    origin: str = ""  # where they came from, in words
    notes: tuple[str, ...] = ()  # what whoever uses them is to know of how a file's tensors were taken, in sentences

    def __getitem__(self, name: str) -> Array:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    @property
    def outputs(self) -> int | None:
        """How many outputs the classifier has; None: there is none."""
        kernel = self.tensors.get(f"{HEAD}.kernel")
        return None if kernel is None else int(kernel.shape[-1])

    def digest(self) -> str:
        """SHA-256 over names, dtypes, shapes and bytes, in the order of the names."""
        return sealing.arrays_sha256(self.tensors)

    def _seal(self) -> str:
        """SHA-256 of all that a file of them says."""
        said: list[Any] = [self.digest(), dict(self.conventions), self.architecture, self.origin]
        about = json.dumps(said + ([list(self.notes)] if self.notes else []), sort_keys=True)
        return hashlib.sha256(about.encode()).hexdigest()

    def without_head(self) -> Weights:
        kept = {name: array for name, array in self.tensors.items() if not name.startswith(f"{HEAD}.")}
        return replace(self, tensors=kept)

    def write(self, path: Path) -> None:
        """Write safetensors, atomically; conventions, architecture, origin and a digest of all go into its metadata."""
        from safetensors.numpy import save_file

        metadata = {
            "isotune": "1",
            "conventions": json.dumps(dict(self.conventions), sort_keys=True),
            "architecture": self.architecture,
            "origin": self.origin,
            "digest": self._seal(),
        }
        if self.notes:
            metadata["notes"] = json.dumps(self.notes)
        with cache.draft_file(places.path(path, "path")) as draft:
            save_file({name: np.ascontiguousarray(a) for name, a in self.tensors.items()}, draft, metadata)

    @classmethod
    def read(cls, path: Path, *, sealed: bool = False) -> Weights:
        """Read what `write` wrote. UsageError: the file is not canonical, not whole, or altered since.

        sealed: refuse a file without digest, as isotune wrote them before.
        """
        from safetensors import SafetensorError, safe_open

        if path.exists():
            reading.regular(path, _MOST)
        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, MemoryError) as error:
            raise UsageError(f"{path}: incomplete or damaged safetensors file ({error})") from None
        except (TypeError, ValueError, AttributeError) as error:  # a dtype that NumPy lacks
            raise UsageError(f"{path}: a tensor that NumPy cannot hold ({error})") from None
        if metadata.get("isotune") != "1":
            raise UsageError(f"{path}: safetensors without isotune's metadata, so its conventions are unknown")
        try:
            conventions = reading.json_text(metadata["conventions"], "conventions")
            notes = tuple(map(str, reading.json_text(metadata.get("notes", "[]"), "notes")))
            weights = cls(tensors, conventions, metadata["architecture"], metadata["origin"], notes)
            written, read = metadata.get("digest"), weights._seal()
            weights = replace(weights, conventions=upgraded(conventions))
        except (KeyError, TypeError, ValueError, AttributeError, UsageError):
            raise UsageError(f"{path}: isotune's metadata in the file is damaged; write the file again") from None
        if written is None and sealed:
            raise UsageError(f"{path}: written by an earlier isotune, without a digest")
        renamed = written is None and set(metadata) - _WORDS  # files of before have no digest, and no other words
        if renamed or written not in (None, read):
            raise UsageError(f"{path}: not what was written: its digest is that of other content; write it again")
        return weights


def check_fit(
    weights: Mapping[str, Array], layout: Mapping[str, tuple[int, ...]], what: str, architecture: str = ""
) -> None:
    """Refuse weights that do not fit: WeightsMismatch with the first tensor that differs, and both shapes.

    what: the model, adapter:name. architecture: that of the weights.
    """

    def refuse(difference: str) -> NoReturn:
        raise WeightsMismatch(f"{what}: {difference}", architecture=architecture, model=what)

    for name, shape in layout.items():
        if name not in weights:
            refuse(f"tensor {name!r} of the model {tuple(shape)} is missing from the checkpoint")
        if (given := tuple(weights[name].shape)) != tuple(shape):
            refuse(f"tensor {name!r} is {given} in the checkpoint and {tuple(shape)} in the model")
    if extra := [name for name in weights if name not in layout]:
        shape = tuple(weights[extra[0]].shape)
        refuse(f"the checkpoint has {len(extra)} tensors that the model lacks, first {extra[0]!r} {shape}")


def select_trained(layers: list[Layer], trained: str) -> set[str]:
    """Names of the layers that `trained` leaves trainable: `head`, `last:N` blocks and the head,
    `from:LAYER` (a canonical layer and all after it), or `all`."""
    names = [layer.name for layer in layers]
    word, _, argument = trained.partition(":")
    if trained == "all":
        return set(names)
    if trained == "head":
        return {HEAD}
    if word == "last" and argument.isdecimal() and int(argument) > 0:
        blocks = sorted({layer.block for layer in layers if layer.block >= 0})
        if int(argument) > len(blocks):
            raise UsageError(f"trained = {trained!r}: the model has only {len(blocks)} block{'s' * (len(blocks) != 1)}")
        kept = set(blocks[len(blocks) - int(argument) :])
        return {layer.name for layer in layers if layer.block in kept} | {HEAD}
    if word == "from":
        if argument not in names:
            raise UsageError(f"trained = {trained!r}: no such layer; {nearest(argument, names)}")
        return set(names[names.index(argument) :]) | {HEAD}
    raise UsageError(f"trained = {trained!r} is unknown; head, last:N, from:LAYER or all")
