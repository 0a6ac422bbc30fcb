"""Executors: cells in, records out.

`Executor` is the whole interface. `LocalExecutor` runs cells in worker processes on this machine, one
framework in each, and leaves a record in the store for every cell, failed ones included. An executor
yields records as cells end, so nothing is lost when a later one fails.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Protocol

from isotune.errors import UsageError
from isotune.models import layouts
from isotune.progress import Progress, untold
from isotune.runs.records import Cell, Record, Store
from isotune.runs.turns import Turns, several
from isotune.workers import threads
from isotune.workers.environment import outdated
from isotune.workers.process import WorkerFailure, Workers


class Executor(Protocol):
    """Runs cells, in any place and any number at once."""

    def run(self, cells: Iterable[Cell]) -> Iterator[Record]:
        """A record of every cell as it ends, those of earlier runs first. A cell that fails gives a
        record with status "failed"; it never raises."""
        ...


def workers_for(jobs: int, pythons: Mapping[str, str] | None = None) -> Workers:
    """Workers of so many jobs at the same time, among which the cores are shared out. With one job a worker has the
    machine to itself."""
    if jobs == 1:
        return Workers(pythons=pythons)
    return Workers(threads=threads.share(jobs), shared=True, pythons=pythons)


class LocalExecutor:
    """Worker processes on this machine.

    jobs: workers at the same time; the cores are shared out among them. With one (the default) a worker
        has the machine to itself, and timings mean something.
    pythons: interpreters of other environments by adapter: {ADAPTER: "/opt/other/bin/python"}.
    workers: run in these, of `workers_for` so many jobs, before starting own ones; they are left running.
    """

    def __init__(
        self,
        store: Store,
        *,
        jobs: int = 1,
        fresh: bool = False,
        pythons: Mapping[str, str] | None = None,
        workers: Workers | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.store, self.jobs, self.fresh = store, max(1, jobs), fresh
        self._pythons, self._workers = dict(pythons or {}), workers
        self._progress = progress or untold

    def done(self, cell: Cell) -> Record | None:
        """The record that makes running the cell unnecessary: done, under the versions installed now."""
        if self.fresh or (record := self.store.read(cell)) is None or record.status != "done":
            return None
        own = cell.adapter not in self._pythons
        return None if own and (outdated(record.environment, cell.adapter) or _in_another_layout(record)) else record

    def run(self, cells: Iterable[Cell]) -> Generator[Record, None, None]:
        waiting: deque[Cell] = deque()
        for cell in cells:
            if (record := self.done(cell)) is not None:
                yield record
            else:
                waiting.append(cell)
        if self.jobs == 1:
            with contextlib.ExitStack() as stack:
                workers = self._workers or stack.enter_context(workers_for(1, self._pythons))
                for cell in waiting:
                    yield self._one(cell, workers)
        elif waiting:
            turns = Turns(waiting, lambda: workers_for(self.jobs, self._pythons), self._workers)
            yield from several(turns, min(self.jobs, len(waiting)), self._one)

    def _one(self, cell: Cell, workers: Workers, stopping: threading.Event | None = None) -> Record:
        """Run one cell in its worker; a failure becomes a record, unless the workers are being stopped."""
        from isotune.runs import requests

        started = datetime.now(UTC)
        name = str(cell)
        try:
            workers[cell.adapter].ask(
                requests.run,
                lambda what, done, total: self._progress(f"{name}: {what}", done, total),
                cell=cell.model_dump(mode="json"),
                store=str(self.store.folder.resolve()),
            )
            record = self.store.read(cell)
            if record is None:
                raise WorkerFailure(f"the worker of {cell.adapter} left no record in {self.store.folder}")
            return record
        except (UsageError, WorkerFailure) as error:
            if stopping is not None and stopping.is_set():
                raise
            record = Record(cell=cell, status="failed", error=str(error), started=started, finished=datetime.now(UTC))
            self.store.write(record)
            return record


def _in_another_layout(record: Record) -> bool:
    """Whether the layout that the library's user gets is another one now."""
    cell, then = record.cell, record.environment.get("layout")
    return then is not None and then != layouts.resolved(cell.layout, cell.adapter)
