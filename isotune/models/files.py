"""A checkpoint's file: of which library's model it is, and under which names its tensors are there.

1. With `::MODEL`, it is of that model; a map beside it (`beside.names`) says what its tensors are called.
2. Without, it is tried as a file of the model that is to be built, then as one of the same architecture in each library
   that has files with its suffix: a Keras file for a torchvision model, a state dict of timm's. By the names of the
   tensors, which are a library's own, so that at most one library's fit.
3. Where no library's names fit, by what else there is of evidence (`weights.matching`), in the same order.

What is another library's is run under the conventions of that library, which it was trained with there. All but a file
of the model's own library under its own names is said, in `Weights.notes`.

Only a worker of a library reads the library's files: where the model is another's, the canonical form is made in a
process of its own and kept in the cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune import cache, names, reading
from isotune.conventions import written_value
from isotune.errors import UsageError, WeightsMismatch, listed
from isotune.models import beside
from isotune.models.catalogue import catalogue
from isotune.names import parse
from isotune.weights import Weights, kept
from isotune.weights.matching import Undecided
from isotune.workers import process

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter
    from isotune.names import ModelName
    from isotune.workers.worker import Worker

CANONICAL_SUFFIX = ".safetensors"
_Size = tuple[int, int]


@dataclass(frozen=True)
class _File:
    """A file, and the model that it is for."""

    path: Path
    model: ModelName
    size: _Size
    names: beside.Names  # what stands beside it of its tensors'

    def by_names(self, adapter: Adapter, owner: ModelName) -> Weights:
        """As a file of the library that runs here, under the model's own names or those that stand beside it."""
        asked: dict[str, Any] = {"options": owner.options, "image_size": self.size}
        if self.names is None:
            return adapter.load_file(owner.name, self.path, **asked)
        return adapter.load_renamed(owner.name, self.path, names=self.names, **asked)

    def by_evidence(self, adapter: Adapter, owner: ModelName) -> Weights | None:
        """As one of the library that runs here, under names that nobody says; None: it fits under none."""
        try:
            return adapter.load_renamed(owner.name, self.path, options=owner.options, image_size=self.size)
        except Undecided as error:
            raise self.undecided(str(owner), str(error)) from None
        except UsageError:
            return None

    def converted(self, models: Sequence[str], *, evidence: bool) -> Weights:
        """As the one of these models of a library that it is a file of, by a worker of that library; kept.

        evidence: under names that nobody says. Errors as of `read`; WeightsMismatch: it is of none of them.
        """
        stamp = self.path.stat()
        task = {"path": str(self.path), "models": [*models], "size": [*self.size], "names": self.names}
        identity = [str(self.path.resolve()), stamp.st_size, stamp.st_mtime_ns, task, evidence]
        key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
        file = cache.folder("checkpoints") / f"file-{key}.safetensors"
        return kept(file, lambda: self._convert(task | {"evidence": evidence}, file))

    def _convert(self, task: Mapping[str, Any], file: Path) -> None:
        owner = parse(task["models"][0])
        worker = process.WorkerProcess(owner.adapter if owner.engine is None else f"{owner.adapter}@{owner.engine}")
        with tempfile.TemporaryDirectory(prefix="isotune-file-") as folder:
            try:
                answers = worker.ask(convert, **task, folder=folder)
            finally:
                worker.stop()
            files = {model: Path(folder) / each["file"] for model, each in answers.items() if "file" in each}
            if not files:
                raise self._refused(answers)
            fitting = {model: Weights.read(each) for model, each in files.items()}
            self._only(fitting).write(file)

    def _refused(self, answers: Mapping[str, Mapping[str, Any]]) -> UsageError:
        """What is said of the first model, or of one that would fit if it were known which tensor is which."""
        for model, each in answers.items():
            if each["kind"] == "undecided":
                return self.undecided(model, each["refused"])
        first = next(iter(answers.values()))
        return (WeightsMismatch if first["kind"] == "mismatch" else UsageError)(first["refused"])

    def _only(self, fitting: Mapping[str, Weights]) -> Weights:
        """Of several that have one set of conventions the first. UsageError: they have not."""
        first, *others = fitting
        for other in others:
            if axes := _differing(fitting[first], fitting[other]):
                raise UsageError(
                    f"{self.path} fits {first} as well as {other}, which has {axes}; say of which it is:"
                    f" file:{self.path}::{other}"
                )
        return replace(fitting[first], origin=f"{self.path.name}, a file of {first}")

    def undecided(self, model: str, why: str) -> UsageError:
        return UsageError(
            f"{self.path} has the tensors of {model} under other names, and {why}; write what is what into"
            f' {self.path.name}{beside.NAMES} beside it, {{"name in the file": "name in the model"}}, or "in order"'
            " where their order is right as it stands"
        )


def read(rest: str, adapter: Adapter, model: ModelName, architecture: str, size: _Size) -> Weights:
    """Canonical weights of a checkpoint file, `PATH` or `PATH::MODEL`, for a model of that architecture.

    UsageError: it is not whole, not plain tensors, of nothing that fits, or of several things that do.
    """
    text, _, source = rest.partition("::")
    path = Path(text).expanduser()
    if path.suffix == CANONICAL_SUFFIX and _is_canonical(path):
        canonical = Weights.read(path)
        return replace(canonical, notes=(*canonical.notes, *_passed_over(path, source)))
    file = _File(path, model, size, beside.names(path))
    owner = parse(source) if source else model
    if (owner.adapter, owner.engine) != (model.adapter, model.engine):
        return _of(file, owner)
    if path.suffix not in adapter.suffixes and not source:
        return _of_others(file, _counterparts(path.suffix, model, architecture), architecture)
    try:
        return file.by_names(adapter, owner)
    except WeightsMismatch as error:
        if file.names is not None:
            raise
        others = {} if source else _counterparts(path.suffix, model, architecture)
        if (weights := _first(file, others, evidence=False)) or (weights := file.by_evidence(adapter, owner)):
            return weights
        if weights := _first(file, others, evidence=True):
            return weights
        raise error


def _passed_over(path: Path, source: str) -> Iterator[str]:
    """What is said of a canonical file and has no use."""
    own = f"{path.name} is in isotune's canonical form, in which layers are numbered in the order of execution"
    if beside.names(path) is not None:
        yield f"{path.name}{beside.NAMES} is passed over: {own}; remove it"
    if source:
        yield f"::{source} is passed over: {own}, whatever model it was made from"


def _of(file: _File, owner: ModelName) -> Weights:
    """Of the model that the user says, another library's."""
    try:
        return file.converted([str(owner)], evidence=False)
    except WeightsMismatch as error:
        if file.names is None and (weights := _first(file, {owner.adapter: [str(owner)]}, evidence=True)):
            return weights
        raise error


def _of_others(file: _File, others: Mapping[str, Sequence[str]], architecture: str) -> Weights:
    """Of a model of another library, since the model's own has no such files."""
    for evidence in (False, True) if file.names is None else (False,):
        if weights := _first(file, others, evidence=evidence):
            return weights
    right = f"say of which model it is: file:{file.path}::ADAPTER:MODEL"
    if not others:
        raise UsageError(
            f"{file.path}: the library of {file.model} has no files {file.path.suffix}, and none that has them is known"
            f" to have this model; {right}"
        )
    tried = [model for models in others.values() for model in models]
    raise UsageError(f"{file.path} is no file of {listed(tried)}, the {architecture} of other libraries; {right}")


def _first(file: _File, others: Mapping[str, Sequence[str]], *, evidence: bool) -> Weights | None:
    """As a file of the first library whose model it fits, with a word on that; None: it fits none."""
    for models in others.values():
        try:
            weights = file.converted(models, evidence=evidence)
        except WeightsMismatch:
            continue
        note = f"{weights.origin}, is run under its conventions: {_told(weights.conventions)}"
        return replace(weights, notes=(note, *weights.notes))
    return None


def _counterparts(suffix: str, model: ModelName, architecture: str) -> dict[str, list[str]]:
    """The models of an architecture in other libraries that have files with this suffix, by library. An option may make
    another architecture of a model, and a user's own network is of none that is known."""
    mine = names.facts(model.adapter)
    if model.options or names.is_file(model.name) or mine is None:
        return {}
    models: dict[str, list[str]] = {}
    for other in sorted(names.adapters()):
        theirs = names.facts(other)
        if theirs is None or suffix not in theirs.suffixes:
            continue
        if other not in mine.counterparts and model.adapter not in theirs.counterparts:
            continue
        with contextlib.suppress(UsageError):  # it is not installed
            same = (entry.model for entry in catalogue([other]) if entry.architecture == architecture)
            models[other] = list(dict.fromkeys(same))
    return {other: named for other, named in models.items() if named}


def _differing(one: Weights, other: Weights) -> str:
    """What the other has of the axes in which they differ."""
    axes = {**one.conventions, **other.conventions}
    return _told(
        {axis: other.conventions.get(axis) for axis in axes if one.conventions.get(axis) != other.conventions.get(axis)}
    )


def _told(conventions: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{axis}={written_value(value)}" for axis, value in conventions.items() if value not in (None, "own")
    )


def _is_canonical(path: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    reading.regular(path, 64 * reading.GIB)
    try:
        with safe_open(path, framework="numpy") as file:
            return (file.metadata() or {}).get("isotune") == "1"
    except (SafetensorError, OSError, MemoryError) as error:
        raise UsageError(f"{path}: incomplete or damaged safetensors file ({error})") from None


# -- in a worker of a library


def convert(
    worker: Worker, path: str, models: list[str], size: list[int], names: Any, evidence: bool, folder: str
) -> dict[str, dict[str, Any]]:
    """Write a file in canonical form as one of each of these models that it fits: {model: {"file"}}, or {"refused",
    "kind"} of one that it does not fit."""
    from isotune.models.hints import completed

    answers: dict[str, dict[str, Any]] = {}
    for place, text in enumerate(models):
        model = parse(text)
        file = _File(Path(path), model, (size[0], size[1]), names)
        try:
            if evidence:
                weights = worker.adapter.load_renamed(
                    model.name, file.path, options=model.options, image_size=file.size
                )
            else:
                weights = file.by_names(worker.adapter, model)
        except Undecided as error:
            answers[text] = {"refused": str(error), "kind": "undecided"}
        except WeightsMismatch as error:
            answers[text] = {"refused": str(completed(error)), "kind": "mismatch"}
        else:
            weights.write(Path(folder) / f"{place}.safetensors")
            answers[text] = {"file": f"{place}.safetensors"}
    return answers
