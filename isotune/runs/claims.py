"""Claims: who runs a cell now, so that processes on one store, of several machines too, share its cells.

    STORE/.claims/KEY.1     somebody's: JSON of who, since when; its time of change moves as long as they live
    STORE/.claims/KEY.2     taken over from them, since it stood still

Atomic is the creation of a file that must not be there (O_EXCL, on NFS since version 3), and nothing else is needed: a
claim is never replaced, one that is lost is followed by the next number, which one process alone can create, and the
highest number counts. A holder touches its claims every few seconds. They are lost when that was not seen for `LEASE`
seconds *by the clock of whoever waits for it*: no clock of another machine is read, none need agree, and one that jumps
takes nothing away. On the holder's own machine they are lost as soon as its process is gone.

Whoever has taken a claim looks whether the cell was done just before; a holder that was stopped meanwhile learns from
its own file, or the next number, that its result is not wanted (`is_held`). Claims save work. That a cell has one
result, whatever became of them, is seen to where it is put in place (`Store.write`).
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isotune import reading
from isotune.errors import UsageError
from isotune.runs.records import moment
from isotune.workers.identity import is_alive, is_gone, myself

FOLDER = ".claims"
LEASE = 60.0  # seconds without a sign of life; NFS shows a file's times as they are whenever it is opened
RENEWAL = 10.0  # seconds between two
_FORGOTTEN = 86_400.0  # seconds, after which a lost claim is removed
_MOST = 64 * reading.KIB


@dataclass(frozen=True)
class Running:
    """A claim as it stands. quiet: seconds since its last sign of life, by this machine's clock."""

    key: str
    cell: str
    host: str
    process: int
    since: datetime | None
    quiet: float
    lost: bool


@dataclass
class Claims:
    """Those of this process on one store; a context that gives all of them back."""

    store: Path
    lease: float = LEASE
    renewal: float = RENEWAL
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        self._held: dict[str, Path] = {}
        self._seen: dict[Path, tuple[tuple[int, ...], float]] = {}
        self._ended = threading.Event()
        self._renewing: threading.Thread | None = None

    def __enter__(self) -> Claims:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for key in list(self._held):
            self.give_back(key)
        with contextlib.suppress(OSError):
            (self.store / FOLDER).rmdir()  # where nobody else has a claim

    def take(self, key: str, cell: str = "") -> bool:
        """Whether the cell is this process's now; else another runs it. OSError: the store cannot be written."""
        folder = self.store / FOLDER
        number = 1
        while True:
            path = folder / f"{key}.{number}"
            if self._created(path, cell):
                if all(each <= number for other, each in _listed(self.store) if other == key):
                    break
                path.unlink(missing_ok=True)  # a gap that somebody left who was giving back, or killed at that
            elif not self._is_lost(path):
                return False
            number += 1
        if not all(self._is_lost(folder / f"{key}.{former}") for former in range(1, number)):
            path.unlink(missing_ok=True)  # released and taken anew while this process looked
            return False
        self._held[key] = path
        for former in range(1, number):  # in its holder's own file, which NFS shows as it is when it is opened
            with contextlib.suppress(PermissionError):  # another user's
                (folder / f"{key}.{former}").write_text(json.dumps({"followed": number}), encoding="utf-8")
        if self._renewing is None:
            self._renewing = threading.Thread(target=self._renew, daemon=True)
            self._renewing.start()
        return True

    def free(self, keys: Iterable[str]) -> set[str]:
        """Those of these cells that it is worth trying to take: nobody holds them, or who did is lost."""
        wanted = set(keys)
        held = {
            key
            for key, number in _listed(self.store)
            if key in wanted and not self._is_lost(self.store / FOLDER / f"{key}.{number}")
        }
        return wanted - held

    def give_back(self, key: str) -> None:
        """The cell is not this process's any more; what became of it is in the store by now."""
        if (path := self._held.pop(key, None)) is not None:
            with contextlib.suppress(OSError):
                if is_held(self.ticket(path)):
                    for number in range(1, int(path.name.rpartition(".")[2]) + 1):  # its own last: until then it counts
                        path.with_name(f"{key}.{number}").unlink(missing_ok=True)

    def ticket(self, held: str | Path) -> dict[str, str]:
        """What tells another process whether a claim, of a cell's key or by its path, still is this one's."""
        path = self._held[held] if isinstance(held, str) else held
        return {"path": str(path.absolute()), "token": self.token}

    def _created(self, path: Path, cell: str) -> bool:
        try:
            handle = _exclusively(path)
        except FileExistsError:
            return _content(path).get("token") == self.token  # an answer that NFS lost, and asked for again
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"token": self.token, "cell": cell, "since": _now().isoformat(), **myself()}, file)
        except OSError:  # no room: nobody is to wait for a claim that says nothing
            path.unlink(missing_ok=True)
            raise
        return True

    def _is_lost(self, path: Path) -> bool:
        """Whether nobody holds it any more: its process is gone, or it stood still for a lease."""
        try:
            with path.open("rb") as file:  # opened, since NFS may remember what it was for a minute
                status = os.fstat(file.fileno())
        except FileNotFoundError:
            self._seen.pop(path, None)
            return True
        except PermissionError:  # another user's
            status = path.stat()
        state = (status.st_ino, status.st_mtime_ns)
        if "followed" in (who := _content(path)) or is_gone(who):
            return True
        before, since = self._seen.setdefault(path, (state, time.monotonic()))
        if before != state:
            self._seen[path] = state, time.monotonic()
            return False
        return time.monotonic() - since > self.lease

    def _renew(self) -> None:
        while not self._ended.wait(self.renewal):
            for path in list(self._held.values()):
                with contextlib.suppress(OSError):  # a disk that comes back in time; else another takes it over
                    os.utime(path)


def _exclusively(path: Path) -> int:
    """A new file, open for writing. FileExistsError: it is there. NotADirectoryError: its folder is none."""
    while True:
        try:
            path.parent.mkdir(exist_ok=True)
        except FileExistsError:
            if os.path.lexists(path.parent) and not path.parent.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path.parent)) from None
        with contextlib.suppress(FileNotFoundError):  # whoever was done first has removed the folder
            return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)


def is_held(ticket: dict[str, str]) -> bool:
    """Whether a claim is still its holder's, of whom nobody took it over."""
    path = Path(ticket["path"])
    stem, _, number = path.name.rpartition(".")
    return _content(path).get("token") == ticket["token"] and not path.with_name(f"{stem}.{int(number) + 1}").exists()


def running(store: Path, lease: float = LEASE) -> list[Running]:
    """The cells that somebody runs, or ran and was lost; none where nobody ever ran any."""
    last: dict[str, int] = {}
    for key, number in _listed(store):
        last[key] = max(number, last.get(key, 0))
    claims = []
    for key, number in sorted(last.items()):
        path = store / FOLDER / f"{key}.{number}"
        try:
            quiet = max(0.0, time.time() - path.stat().st_mtime)
        except OSError:
            continue
        if "followed" in (who := _content(path)):
            continue
        lost = is_gone(who) or quiet > lease
        with contextlib.suppress(TypeError, ValueError):
            since = moment(datetime.fromisoformat(str(who.get("since"))))
            claims.append(
                Running(key, str(who.get("cell", "")), str(who.get("host", "?")), int(who.get("process", 0)), since,
                        quiet, lost)
            )  # fmt: skip
    return claims


def tidy(store: Path, now: float) -> None:
    """Remove claims that no other followed, of processes of this machine that are gone, and of others that were lost a
    day ago. now: by the clock of the file system, seconds since 1970."""
    there = set(_listed(store))
    for key, number in there:
        path = store / FOLDER / f"{key}.{number}"
        with contextlib.suppress(OSError):
            if (key, number + 1) in there or is_alive(who := _content(path)):
                continue
            if "followed" in who or is_gone(who) or now - path.stat().st_mtime > _FORGOTTEN:
                path.unlink()


def _listed(store: Path) -> Iterator[tuple[str, int]]:
    try:
        entries = [entry.name for entry in os.scandir(store / FOLDER)]
    except OSError:
        return
    for entry in entries:
        key, _, number = entry.rpartition(".")
        if key and number.isdecimal():
            yield key, int(number)


def _content(path: Path) -> dict[str, Any]:
    """What a claim says; nothing while it is being written, or where it is gone or damaged."""
    try:
        said = reading.json(path, _MOST)
    except (UsageError, OSError):
        return {}
    return said if isinstance(said, dict) else {}


def _now() -> datetime:
    return datetime.now(UTC)
