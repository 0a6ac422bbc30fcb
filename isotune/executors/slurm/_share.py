"""A share of a run's cells: written by the executor, run by a job on its node, where the store is seen too.

A job that is started again, by Slurm or by the executor, or twice, goes on from the store: what has a result by then is
not run, and what another process runs is claimed.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any

from isotune import sealing
from isotune.executors.local import Local
from isotune.protocols import Protocol
from isotune.runs import drafts
from isotune.runs.desk import Desk, counts
from isotune.runs.driver import Driver
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
from isotune.workers import threads
from isotune.workers.process import Workers

MOST_CELLS = 10_000  # in one: 10 MB
_VERSION = 1


def write(path: Path, cells: Sequence[Cell], desk: Desk, pythons: Mapping[str, str], *, shared: bool) -> None:
    """A share in a file. shared: others may compute on the node meanwhile."""
    protocols = {id(cell.protocol): cell.protocol for cell in cells}  # a few objects, which cells have in common
    places = {each: place for place, each in enumerate(protocols)}
    rows = []
    for cell in cells:
        row = cell.model_dump(mode="json", exclude={"protocol"}) | {"protocol": places[id(cell.protocol)]}
        rows.append([row, sorted(started.isoformat() for started in desk.before.get(cell.key, ()))])
    content = {
        "version": _VERSION, "store": str(desk.store.folder.resolve()), "cells": rows,
        "keys": [cell.key for cell in cells],
        "protocols": [protocol.model_dump(mode="json") for protocol in protocols.values()],
        "pythons": dict(pythons), "shared": shared, "limit": desk.limit, "until": _clock(desk.until),
    }  # fmt: skip
    sealing.write_json(path, content)


def _clock(until: float) -> float | None:
    """A time of `time.monotonic` as one of the clock, since it is read on another machine; None: there is no end."""
    return None if until == float("inf") else time.time() + until - time.monotonic()


@dataclass
class Job:
    """What a job does: called by submitit on the node, asked by it before the job is queued again.

    file: of its share. folder: the working one, on which relative paths in cells stand.
    """

    file: str
    folder: str
    _ended: int = field(default=0, init=False)  # cells of this start

    def __call__(self) -> None:
        os.chdir(self.folder)
        said = sealing.read_json(Path(self.file))
        self._listen(Path(said["store"]), said["keys"])
        for record in run(Path(self.file)):
            self._ended += 1
            print(record.line, flush=True)

    def checkpoint(self) -> Any:
        """What is to be run when the job is queued again: the same, which goes on from the store."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(Job(self.file, self.folder))

    def _listen(self, store: Path, keys: Sequence[str]) -> None:
        """Slurm's signals go to every process of a job: workers do not hear them, and this one ends them."""
        warned, before = signal.getsignal(signal.SIGUSR2), steps(store)

        def warn(number: int, frame: FrameType | None) -> None:
            now = steps(store)
            further = any(now.get(key, 0) > before.get(key, 0) for key in keys)
            if (self._ended or further) and callable(warned):
                warned(number, frame)  # submitit, which queues the job again and ends
            else:
                _say("its time is nearly up, and no cell has ended or is further than when it began")

        def end(number: int, frame: FrameType | None) -> None:
            for each in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
                signal.signal(each, signal.SIG_IGN)
            _say(f"ended by signal {number}")
            sys.exit(128 + number)

        signal.signal(signal.SIGUSR2, warn)
        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)


def steps(store: Path) -> dict[str, int]:
    """How far the fine-tunings are that have a draft, by the key of the cell."""
    return {draft.key: draft.done for draft in drafts.begun(store)}


def _say(line: str) -> None:
    """From within a signal's handler, which may have interrupted a print."""
    os.write(2, f"isotune: {line}\n".encode())


def run(file: Path) -> Iterator[Record]:
    """The records of a share's cells, as they end. Damaged: the file is not what was written."""
    said = sealing.read_json(file)
    protocols = [Protocol.model_validate(each) for each in said["protocols"]]
    store, cells, fresh = Store(Path(said["store"])), [], False
    for row, before in said["cells"]:
        cell = Cell.model_validate(row | {"protocol": protocols[row["protocol"]]})
        known = {datetime.fromisoformat(started) for started in before}
        results = store.results(cell)
        if all(record.started in known for record in results):
            cells.append(cell)
            fresh = fresh or any(record.status == "done" and counts(record) for record in results)
    with Workers(threads=_cores(), shared=said["shared"], pythons=said["pythons"]) as workers:
        driver = Driver(
            store, Local(workers=workers), fresh=fresh, note=lambda line: print(line, flush=True),
            until=_monotonic(said["until"]), limit=said["limit"], foreign=tuple(said["pythons"]),
        )  # fmt: skip
        yield from driver.run(cells)


def _monotonic(until: float | None) -> float:
    return float("inf") if until is None else time.monotonic() + until - time.time()


def _cores() -> int | None:
    """Those of the job, where Slurm does not bind it to them."""
    given = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(int(given), threads.share(1)) if given.isdecimal() and int(given) else None
