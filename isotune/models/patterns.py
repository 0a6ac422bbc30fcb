"""Several models at once: `timm:mobilenetv3*` is all of a library's models that match and have the checkpoint.

The shell's wildcards `*` and `?` and its sets `[ab]`, as `fnmatch` reads them, in the library's name of a model; the
adapter stands as it is, options follow as ever: `torchvision:mobilenet_v3*:dropout=0.1`. `architecture:mobilenet_v2` is
every library's models of that architecture, with wildcards too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from isotune import names
from isotune.errors import UnknownModel, UsageError, nearest
from isotune.models import embedded
from isotune.models.catalogue import Entry, catalogue

_ARCHITECTURE = "architecture:"


def expanded(models: Iterable[str], checkpoint: str) -> tuple[list[str], list[str]]:
    """Models with each pattern in its place's stead, and a line about each pattern: how many it stands for, and how
    many were left out as they have no such checkpoint.

    UsageError: nothing matches, or nothing that matches has the checkpoint.
    """
    named: list[str] = []
    lines: list[str] = []
    for text in models:
        if text.startswith(_ARCHITECTURE):
            matching = _of_architecture(text)
            named += _chosen(text, matching, checkpoint, lines)
            continue
        if not any(wildcard in text for wildcard in "*?") or names.is_file((model := names.parse(text)).name):
            named.append(text)
            continue
        library = model.adapter if model.engine is None else f"{model.adapter}@{model.engine}"
        entries = catalogue([library])
        matching = [entry for entry in entries if fnmatchcase(_name(entry), model.name)]
        if not matching:
            plain = model.name.replace("*", "").replace("?", "")
            raise UsageError(f"no model matches {text!r}; {nearest(plain, map(_name, entries))}")
        chosen = _chosen(text, matching, checkpoint, lines)
        named += (str(replace(model, name=name.partition(":")[2])) for name in chosen)
    return named, lines


def of_architecture(text: str) -> list[str]:
    """The models that `architecture:PATTERN` stands for, whatever their checkpoints; any other text as it is.

    UsageError: no library has such an architecture.
    """
    if not text.startswith(_ARCHITECTURE):
        return [text]
    return list(dict.fromkeys(entry.model for entry in _of_architecture(text)))


def check_listed(models: Iterable[str]) -> None:
    """Refuse a model that its library does not list, without building any. What a library loads from elsewhere and a
    file of the user's own are taken as they are. UsageError names the nearest."""
    for text in models:
        model = names.parse(text)
        known = names.adapter_class(model.adapter)
        if names.is_file(model.name) or known.is_remote(model.name):
            continue
        library = model.adapter if model.engine is None else f"{model.adapter}@{model.engine}"
        listed = {_name(entry) for entry in catalogue([library])}
        if model.name not in listed and known.split_name(model.name)[0] not in listed:
            raise UnknownModel(model.adapter, model.name, listed)


def _of_architecture(text: str) -> list[Entry]:
    wanted, entries = text.removeprefix(_ARCHITECTURE), catalogue()
    matching = [entry for entry in entries if fnmatchcase(entry.architecture, wanted)]
    if not matching:
        known = {entry.architecture for entry in entries}
        raise UsageError(f"no architecture matches {text!r}; {nearest(wanted.strip('*?'), known)}")
    return matching


def _chosen(text: str, matching: list[Entry], checkpoint: str, lines: list[str]) -> list[str]:
    """Those that have the checkpoint, and a line about them. UsageError: none has."""
    chosen = list(dict.fromkeys(entry.model for entry in _having(matching, checkpoint)))
    left_out = len({entry.model for entry in matching}) - len(chosen)
    if not chosen:
        raise UsageError(
            f"{text}: none of the {left_out} models that match has the checkpoint {checkpoint!r};"
            " 'isotune models' lists checkpoints"
        )
    count = f"{len(chosen)} model{'' if len(chosen) == 1 else 's'}"
    lines.append(f"{text}: {count}" + (f"; {left_out} more have no checkpoint {checkpoint!r}" if left_out else ""))
    return chosen


def _name(entry: Entry) -> str:
    return entry.model.partition(":")[2]


def _having(entries: list[Entry], checkpoint: str) -> list[Entry]:
    """Those for which there is the checkpoint, as far as their library says."""
    if checkpoint.partition(":")[0] in ("random", "file"):
        return entries
    if held := embedded.held(checkpoint):
        return [entry for entry in entries if entry.architecture in held]
    if checkpoint == "pretrained":
        return [entry for entry in entries if entry.checkpoint]
    return [entry for entry in entries if entry.checkpoint == checkpoint]
