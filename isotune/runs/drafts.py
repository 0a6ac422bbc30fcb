"""Drafts: how far a fine-tuning is, on disk, so that a process that dies is gone on from, to the bit.

    STORE/.drafts/KEY.safetensors    of the cell with this key, while it is not done

One file, replaced at once and whole: safetensors, whose metadata say in sealed JSON which cell it is, under which
environment, how many steps are taken, and what was counted until then; the digest of the arrays is in it. Arrays are
named PART/NAME; a part is what one owner gives and takes back: `trainer` is the adapter's snapshot, `losses` are the
training's own. A part that a later recipe needs (an average of the weights) joins by its name.

Streams are no part: order, augmentation and dropout are functions of seed, stage, epoch and step (`training`).

Who writes one holds the claim on the cell. It is removed with the cell's record, and when the cell fails by itself; it
stays where a process was killed or its time was over. One that cannot be used is named in a warning, and the cell
starts anew: damaged, of another cell, or of an environment in which something differs that a result may depend on, down
to the number of threads, since a record has one environment.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from isotune import cache, reading, sealing
from isotune.errors import UsageError
from isotune.runs import claims
from isotune.runs.records import Cell

FOLDER, SUFFIX = ".drafts", ".safetensors"
SECONDS = 60.0  # of training between two, so that what is short has none
VARIABLE = "ISOTUNE_DRAFTS"
_COST = 100  # times what the last one took, before the next: 1 % of the time at most
_RATE = 2e8  # bytes a second, for the first one: a slow disk
_KIND = "draft 1"  # of the file; another layout has another number
LARGEST = 256 * reading.GIB
_ANY = ("memory", "platform")  # of an environment; results depend on neither
_log = logging.getLogger("isotune")
Parts = Mapping[str, Mapping[str, np.ndarray]]


class LeftOff(Exception):
    """The cell is not gone on with here: its time is over and its draft is written, or another process has it now."""


@dataclass(frozen=True)
class Kept:
    """What a draft holds. said: what the training wrote down of itself."""

    said: Mapping[str, Any]
    parts: Parts


@dataclass(frozen=True)
class Begun:
    """A draft in brief. cell: in words, empty where the file is damaged; done, total: steps; size: bytes."""

    key: str
    cell: str
    done: int
    total: int
    written: datetime
    size: int
    path: Path

    @property
    def line(self) -> str:
        """How far it is, in words."""
        return f"{self.done:,} of {self.total:,}"


class Draft:
    """That of one cell, in the hands of the process that runs it.

    claim: its ticket; None: nobody else can have the cell. fresh: one that is there is removed. seconds: from now on,
    after which a training that takes longer still is left off.
    """

    def __init__(
        self,
        store: Path,
        cell: Cell,
        *,
        claim: dict[str, str] | None = None,
        fresh: bool = False,
        seconds: float | None = None,
    ) -> None:
        self.path = store / FOLDER / f"{cell.key}{SUFFIX}"
        self.environment: Mapping[str, str] = {}
        self._cell, self._claim = cell, claim
        self._every, self._most = interval()
        self._until = None if seconds is None else time.monotonic() + seconds
        self._began, self._is_first = time.monotonic(), True
        self._next = self._began + self._every
        if fresh:
            self.remove()

    def under(self, environment: Mapping[str, str]) -> Draft:
        """Itself, of a run in this environment."""
        self.environment = environment
        return self

    def read(self, total: int) -> Kept | None:
        """What it holds; None: there is none, or none to go on from, which a warning says. total: steps of the cell."""
        try:
            if not self.path.exists():
                return None
            about, arrays = _content(self.path)
            self._check(about, total)
        except (UsageError, OSError) as error:
            self.refuse(str(error))
            return None
        parts: dict[str, dict[str, np.ndarray]] = {}
        for name, array in arrays.items():
            part, _, inner = name.partition("/")
            parts.setdefault(part, {})[inner] = array
        return Kept(about["said"], parts)

    def refuse(self, why: str) -> None:
        """Tell the user that it is not used."""
        _log.warning("%s starts from its beginning, not from its draft: %s", self._cell, why)

    def due(self, left: float) -> bool:
        """Whether it is to be written now. left: seconds that the training takes still, at its pace."""
        return time.monotonic() >= self._next or self._over(left)

    def write(self, done: int, total: int, said: Mapping[str, Any], parts: Callable[[], Parts], left: float) -> None:
        """Put it in the place of the former one; the first one waits until it is cheap. Where that cannot be, the
        training goes on without, and a warning says why. LeftOff: the time is over, or the cell is another process's.
        """
        if not self._is_held():
            raise LeftOff
        began = time.monotonic()
        try:
            arrays = {f"{part}/{name}": array for part, inner in parts().items() for name, array in inner.items()}
            cheap = self._began + self._most * sum(array.nbytes for array in arrays.values()) / _RATE
            if self._is_first and began < cheap and not self._over(left):
                self._next = cheap
                return
            self._write(done, total, said, arrays)
            self._is_first = False
        except Exception as error:  # of a disk, or of a tensor that NumPy has no type for: no reason to end a training
            _log.warning("%s goes on without a draft: %s", self._cell, " ".join(f"{error}".split())[:200])
            self._next, self._until = float("inf"), None
            return
        now = time.monotonic()
        self._next = now + max(self._every, self._most * (now - began))
        if self._over(left):
            raise LeftOff

    def replace(self, content: bytes | memoryview) -> None:
        """Put a file that was written elsewhere in its place, unless another process has the cell; it is checked when
        it is read. Where that cannot be, a warning says why."""
        if not self._is_held():
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with cache.draft_file(self.path) as file:
                file.write_bytes(content)
        except OSError as error:
            _log.warning("%s goes on without a draft: %s", self._cell, error)

    def remove(self) -> None:
        """The cell needs it no more."""
        if self._is_held():
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
                self.path.parent.rmdir()  # where no other cell has one

    def _over(self, left: float) -> bool:
        """Whether time is over for more than what may be lost anyway."""
        return self._until is not None and time.monotonic() > self._until and left > self._every

    def _is_held(self) -> bool:
        return self._claim is None or claims.is_held(self._claim)

    def _write(self, done: int, total: int, said: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        from safetensors.numpy import save_file

        about = {
            "key": self._cell.key, "cell": str(self._cell), "environment": dict(self.environment), "done": done,
            "total": total, "written": datetime.now(UTC).isoformat(), "said": dict(said),
            "arrays": sealing.arrays_sha256(arrays),
        }  # fmt: skip
        metadata = {"isotune": _KIND, "about": json.dumps(sealing.sealed(about))}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with cache.draft_file(self.path) as file:
            save_file({name: np.require(array, requirements="C") for name, array in arrays.items()}, file, metadata)

    def _check(self, about: Mapping[str, Any], total: int) -> None:
        """UsageError: it is no draft of this run."""
        if about["key"] != self._cell.key:
            raise UsageError(f"it is that of another cell, {about['cell']}")
        if about["total"] != total:
            raise UsageError(f"it is of {about['total']} steps, and there are {total}")
        then, now = about["environment"], self.environment
        for name in sorted({*then, *now} - set(_ANY)):
            if then.get(name) != now.get(name):
                raise UsageError(f"{name} was {then.get(name, 'not there')}, and is {now.get(name, 'not there')}")


def begun(store: Path) -> list[Begun]:
    """The drafts in a store, from the beginnings of their files. Whoever removes one loses what was computed, and
    nothing else."""
    drafts = []
    for path in sorted((store / FOLDER).glob(f"*{SUFFIX}")):
        if path.name.startswith("."):  # one that is being written
            continue
        with suppress(OSError):
            status = path.stat()
            try:
                about = _about(path)[0]
                cell, done, total = str(about["cell"]), int(about["done"]), int(about["total"])
            except (UsageError, KeyError, TypeError, ValueError):
                cell, done, total = "", 0, 0
            written = datetime.fromtimestamp(status.st_mtime, UTC)
            drafts.append(Begun(path.name.removesuffix(SUFFIX), cell, done, total, written, status.st_size, path))
    return drafts


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether nobody runs the cell of a draft; while inside nobody does. OSError: the store cannot be written."""
    with claims.Claims(path.parent.parent) as mine:
        yield mine.take(path.name.removesuffix(SUFFIX), "none: its draft is removed")


def _content(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What it says, and its arrays. UsageError: it is damaged, or no draft of this version."""
    about, file = _about(path)
    try:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:  # of safetensors, and of types that NumPy lacks
        raise UsageError(f"{path} is damaged ({error})") from None
    if about.get("arrays") != sealing.arrays_sha256(arrays):
        raise UsageError(f"{path} is damaged: its arrays are not those that were written")
    return about, arrays


def _about(path: Path) -> tuple[dict[str, Any], Any]:
    """What it says, and the open file. UsageError: it is damaged, or no draft of this version."""
    from safetensors import SafetensorError, safe_open

    reading.regular(path, LARGEST)
    try:
        file: Any = safe_open(path, framework="numpy")
        metadata = file.metadata() or {}
    except (SafetensorError, OSError, MemoryError, ValueError) as error:
        raise UsageError(f"{path} is damaged ({error})") from None
    if metadata.get("isotune") != _KIND:
        raise UsageError(f"{path} is no draft of this version")
    about = reading.json_text(metadata.get("about", ""), str(path))
    return sealing.unsealed(about if isinstance(about, dict) else {}, path), file


def interval() -> tuple[float, float]:
    """Seconds between two drafts, and how many times what the last one took; the user's word is the first alone.
    UsageError: it is no number of seconds."""
    if (given := os.environ.get(VARIABLE, "")) == "":
        return SECONDS, _COST
    try:
        seconds = float(given)
        if not seconds >= 0:
            raise ValueError
    except ValueError:
        raise UsageError(f"{VARIABLE}={given}: give seconds between two drafts, 60 say; 0 for none") from None
    return (seconds, 0.0) if seconds else (float("inf"), 0.0)
