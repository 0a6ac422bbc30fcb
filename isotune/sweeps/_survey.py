"""The store in brief: of every result what a plan and a status need, 100,000 of them in seconds.

The files are read as JSON and no more: neither is a digest compared nor every field checked, as is done when a record
is reported or answers for a cell. What an earlier isotune wrote goes the long way, and means the same.
"""

from __future__ import annotations

import gc
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from isotune.protocols import Layout
from isotune.runs.records import Record, moment
from isotune.runs.store import LARGEST, NO_FOLDER, RECORD

_TODAY = 5
_ALIKE = (3, 4)  # versions of a record that say alike what is taken here, but for what `native` was


@dataclass(frozen=True, slots=True)
class Brief:
    """A result in brief. home: the folder of its cell, a key of today or of an earlier version."""

    home: str
    status: str  # "done", "failed", "damaged"
    error: str
    model: str
    checkpoint: str
    dataset: str
    protocol: str
    conventions: str
    mode: str
    seconds: float  # that it took; 0 where it is another cell's
    memory: int  # bytes, at most; 0: not known
    machine: str  # the processor, and how many cores
    environment: tuple[tuple[str, str], ...]
    layout: Layout | None  # of the cell
    ended: float  # seconds since 1970

    @property
    def adapter(self) -> str:
        return self.model.partition(":")[0]


def survey(store: Path) -> dict[str, list[Brief]]:
    """Results by the folder of their cell, the last one first. A store that is not there has none."""
    shared: dict[Any, Any] = {}

    def one(value: Any) -> Any:  # 100,000 records say the same few things
        return shared.setdefault(value, value)

    results_of: dict[str, list[Brief]] = {}
    with _collector_at_rest():
        for home in _homes(store):
            if results := list(_results(store, home, one)):
                results.sort(key=lambda each: each.ended, reverse=True)
                results_of[home] = results
    return results_of


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _homes(store: Path) -> list[str]:
    try:
        names = [entry.name for entry in os.scandir(store)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if "." not in name)


def _results(store: Path, home: str, one: Callable[[Any], Any]) -> Iterator[Brief]:
    folder = f"{store}/{home}"
    try:
        names = os.listdir(folder)  # noqa: PTH208 - of 100,000 folders
    except OSError as error:
        if error.errno in NO_FOLDER:
            return
        raise
    for name in names:
        if name == RECORD:
            yield _brief(f"{folder}/{RECORD}", home, one)
        elif name.isdecimal():
            path = f"{folder}/{name}/{RECORD}"
            if os.path.exists(path):  # noqa: PTH110
                yield _brief(path, home, one)


def _brief(path: str, home: str, one: Callable[[Any], Any]) -> Brief:
    try:
        content = _content(path)
        said = from_json(content)
        alike = said["version"] in _ALIKE and said["cell"]["conventions"].startswith("identical")
        if not alike and said["version"] != _TODAY:
            said = Record.model_validate_json(content).model_dump(mode="json")
        return _in_brief(said, home, one)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        why = f"damaged: {type(error).__name__}"
        return Brief(home, "damaged", why, "", "", "", "", "", "", 0.0, 0, "", (), None, 0.0)


def _content(path: str) -> bytes:
    """All of a record's file, with as few calls of the system as can be. ValueError: it is no regular file."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST:
            raise ValueError("no file of a record")
        return os.read(handle, status.st_size)
    finally:
        os.close(handle)


def _in_brief(said: dict[str, Any], home: str, one: Callable[[Any], Any]) -> Brief:
    cell, environment = said["cell"], said["environment"]
    compiled = "compiled" if cell["compiled"] else ""
    mode = "-".join(filter(None, (cell["numeric_mode"], cell["layout"], compiled)))
    began, ended = (moment(datetime.fromisoformat(said[each])).timestamp() for each in ("started", "finished"))
    memory = said["memory"] or {}
    return Brief(
        home=home,
        status=sys.intern(said["status"]),
        error=one(said["error"] or ""),
        model=one(cell["model"]),
        checkpoint=one(cell["checkpoint"]),
        dataset=one(cell["dataset"]),
        protocol=one(cell["protocol"]["name"]),
        conventions=one(cell["conventions"]),
        mode=one(mode),
        seconds=0.0 if said["same_as"] else max(0.0, ended - began),
        memory=memory.get("resident") or 0,
        machine=one(f"{environment.get('cpu', '')} x {environment.get('cores', '')}"),
        environment=one(tuple(environment.items())),
        layout=cell["layout"],
        ended=ended,
    )
