"""A piece of a cache: how large it is, when it was last used, and whether anybody uses it now."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isotune import cache
from isotune.runs import drafts
from isotune.sealing import SEAL

QUIET = 3600.0  # seconds after which nobody is at work on what has no lock


@dataclass(frozen=True)
class Item:
    """A file or folder, which is of use whole or not at all.

    name: in words, where it has one. bytes: of all files in it. used: when one was last read or written, as far as the
    file system tells, seconds since 1970. maker: what its makers lock; None: no lock is known, and it is left alone
    for an hour after its last use. entries: files that lead to it, which go first.
    """

    kind: str
    path: Path
    name: str
    bytes: int
    used: float
    maker: Path | None
    entries: tuple[Path, ...] = ()

    def json(self) -> dict[str, Any]:
        return {
            "kind": self.kind, "name": self.name, "path": str(self.path), "bytes": self.bytes,
            "used": datetime.fromtimestamp(self.used, UTC).isoformat(timespec="seconds"),
        }  # fmt: skip

    def remove(self, *, dry: bool = False) -> str:
        """Remove it, whole: first out of everybody's sight. Why it stays, where somebody has it in use, or it cannot be
        removed; empty: it is gone, or with `dry` would be."""
        try:
            with self._alone() as free:
                if not free:
                    return "in use"
                if self._last_used() > self.used:
                    return "used just now"
                if not dry:
                    self._remove()
        except FileNotFoundError:
            return ""  # by another process
        except OSError as error:
            return f"cannot be removed: {error.strerror or error}"
        return ""

    def _last_used(self) -> float:
        return measured(self.path)[1]

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        if self.maker is None:
            yield time.time() - self.used > QUIET
            return
        seal = self.path / SEAL if stat.S_ISDIR(self.path.lstat().st_mode) else self.path
        with cache.alone(self.maker, seal if self.maker == self.path else None) as free:
            yield free

    def _remove(self) -> None:
        for entry in self.entries:
            entry.unlink(missing_ok=True)
        if not stat.S_ISDIR(self.path.lstat().st_mode):
            self.path.unlink()
            return
        aside = Path(tempfile.mkdtemp(prefix=".replaced-", dir=self.path.parent))
        try:
            self.path.rename(aside / "old")
        finally:
            shutil.rmtree(aside, ignore_errors=True)  # follows no link


@dataclass(frozen=True)
class Draft(Item):
    """That of a cell, in a store. It was last used when it was last written, since whoever lists drafts reads them; and
    it is in use as long as somebody runs its cell."""

    def _last_used(self) -> float:
        return self.path.lstat().st_mtime

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        with drafts.alone(self.path) as free:
            yield free


def measured(path: Path) -> tuple[int, float]:
    """Bytes of a file, or of all files in a folder, and the last use of any. Links count for themselves."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size, max(status.st_atime, status.st_mtime)
    size, used, folders = 0, 0.0, [str(path)]
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                    continue
                status = entry.stat(follow_symlinks=False)
                size, used = size + status.st_size, max(used, status.st_atime, status.st_mtime)
    return size, used or status.st_mtime


def item(kind: str, path: Path, name: str = "", *, maker: Path | None = None, entries: tuple[Path, ...] = ()) -> Item:
    """FileNotFoundError: it was removed."""
    return Item(kind, path, name, *measured(path), maker, entries)
