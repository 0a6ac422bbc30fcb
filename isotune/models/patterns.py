"""Several models at once: `timm:mobilenetv3*` is all of a library's models that match and have the checkpoint.

The shell's wildcards `*` and `?` and its sets `[ab]`, as `fnmatch` reads them, in the library's name of a model; the
adapter stands as it is, options follow as ever: `torchvision:mobilenet_v3*:dropout=0.1`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fnmatch import fnmatchcase

from isotune import names
from isotune.errors import UsageError, nearest
from isotune.models import embedded
from isotune.models.catalogue import Entry, catalogue


def expanded(models: Iterable[str], checkpoint: str) -> tuple[list[str], list[str]]:
    """Models with each pattern in its place's stead, and a line about each pattern: how many it stands for, and how
    many were left out as they have no such checkpoint.

    UsageError: nothing matches, or nothing that matches has the checkpoint.
    """
    named: list[str] = []
    lines = []
    for text in models:
        if not any(wildcard in text for wildcard in "*?") or names.is_file((model := names.parse(text)).name):
            named.append(text)
            continue
        library = model.adapter if model.engine is None else f"{model.adapter}@{model.engine}"
        entries = catalogue([library])
        matching = [entry for entry in entries if fnmatchcase(_name(entry), model.name)]
        if not matching:
            plain = model.name.replace("*", "").replace("?", "")
            raise UsageError(f"no model matches {text!r}; {nearest(plain, map(_name, entries))}")
        chosen = dict.fromkeys(_name(entry) for entry in _having(matching, checkpoint))
        left_out = len({entry.model for entry in matching}) - len(chosen)
        if not chosen:
            raise UsageError(
                f"{text}: none of the {left_out} models that match has the checkpoint {checkpoint!r};"
                " 'isotune models' lists checkpoints"
            )
        named += (str(replace(model, name=name)) for name in chosen)
        count = f"{len(chosen)} model{'' if len(chosen) == 1 else 's'}"
        lines.append(f"{text}: {count}" + (f"; {left_out} more have no checkpoint {checkpoint!r}" if left_out else ""))
    return named, lines


def _name(entry: Entry) -> str:
    return entry.model.partition(":")[2]


def _having(entries: list[Entry], checkpoint: str) -> list[Entry]:
    """Those for which there is the checkpoint, as far as their library says."""
    if checkpoint.partition(":")[0] in ("random", "file"):
        return entries
    if held := embedded.find(checkpoint):
        return [entry for entry in entries if entry.architecture == held.architecture]
    if checkpoint == "pretrained":
        return [entry for entry in entries if entry.checkpoint]
    return [entry for entry in entries if entry.checkpoint == checkpoint]
