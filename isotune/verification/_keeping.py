"""Published numbers that were handed in, kept with the store, so that reports made later show what became of them.

    STORE/.expected/DIGEST.json    a number, and the keys of the cells that it is about

They stand beside the records, not in them: no cell is another for what somebody claims of it. One that is handed in
again takes the place of the former: same metric, source and row.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from isotune import sealing
from isotune.protocols import Expected
from isotune.report import HandedIn
from isotune.sealing import Damaged

FOLDER, _VERSION = ".expected", 1
_APART = ("source", "model", "checkpoint", "dataset", "protocol", "conventions")


def keep(store: Path, handed: HandedIn) -> None:
    """With those that are there. A store that cannot be written is told elsewhere."""
    expected = handed.expected
    named = json.dumps([expected.metric, *(getattr(expected, name) for name in _APART)])
    file = store / FOLDER / f"{hashlib.sha256(named.encode()).hexdigest()[:32]}.json"
    cells = set(handed.cells)
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        if (former := _read(file)) is not None:
            cells |= former.cells
        said = expected.model_dump(mode="json", exclude_none=True)
        sealing.write_json(file, {"version": _VERSION, "expected": said, "cells": sorted(cells)})


def kept(store: Path) -> tuple[list[HandedIn], list[str]]:
    """Those of a store, and a line for each that is damaged and left out."""
    handed, damaged = [], []
    for file in sorted((store / FOLDER).glob("*.json")):
        try:
            if (one := _read(file)) is not None:
                handed.append(one)
        except Damaged as error:
            damaged.append(str(error))
    return handed, damaged


def _read(file: Path) -> HandedIn | None:
    """None: there is none, or it is of another version. Damaged: it is not what was written."""
    try:
        content = sealing.read_json(file)
        if content.get("version") != _VERSION:
            return None
        return HandedIn(Expected.model_validate(content["expected"]), frozenset(content["cells"]))
    except FileNotFoundError:
        return None
    except (ValidationError, KeyError, TypeError) as error:
        raise Damaged(f"{file}: {type(error).__name__}") from None
