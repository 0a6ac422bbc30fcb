"""Executors: cells in, records out.

`Executor` is the whole interface. `LocalExecutor` runs cells in worker processes on this machine, one
framework in each, and leaves a record in the store for every cell, failed ones included. An executor
yields records as cells end, so nothing is lost when a later one fails.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

from isotune.errors import Unwritable, UsageError
from isotune.models import layouts
from isotune.progress import Progress, untold
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
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
    note: is told, in a line, of cells that are done and are run again: with `fresh`, or under other versions.
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
        note: Callable[[str], object] | None = None,
    ) -> None:
        self.store, self.jobs, self.fresh = store, max(1, jobs), fresh
        self._pythons, self._workers = dict(pythons or {}), workers
        self._progress, self._note = progress or untold, note or (lambda line: None)
        self.kept: set[str] = set()  # keys of the cells that were done before and not run again

    def done(self, cell: Cell) -> Record | None:
        """The record that makes running the cell unnecessary: done, under the versions installed now."""
        return self._of_now(self.store.results(cell))

    def _of_now(self, results: Iterable[Record]) -> Record | None:
        return next((each for each in results if each.status == "done" and self._is_of_now(each)), None)

    def _is_of_now(self, record: Record) -> bool:
        """Whether it was computed as it would be now; of another environment's interpreter that is not known."""
        adapter = record.cell.adapter
        if adapter in self._pythons:
            return True
        return not outdated(record.environment, adapter) and not _in_another_layout(record)

    def run(self, cells: Iterable[Cell]) -> Generator[Record, None, None]:
        """Unwritable: the store cannot be written; what was done until then is in it."""
        self.store.check()
        waiting: deque[Cell] = deque()
        again: list[Record] = []
        for cell in cells:
            results = self.store.results(cell)
            if not self.fresh and (record := self._of_now(results)) is not None:
                self.kept.add(cell.key)
                yield record
            else:
                waiting.append(cell)
                again += [record for record in results[:1] if record.status == "done"]
        for line in self._run_again(again):
            self._note(line)
        if self.jobs == 1:
            with contextlib.ExitStack() as stack:
                workers = self._workers or stack.enter_context(workers_for(1, self._pythons))
                for cell in waiting:
                    yield self._one(cell, workers)
        elif waiting:
            turns = Turns(waiting, lambda: workers_for(self.jobs, self._pythons), self._workers)
            yield from several(turns, min(self.jobs, len(waiting)), self._one)

    def line(self, record: Record) -> str:
        """The record in one line, which says of an earlier one that it is."""
        return f"done before: {record.line}" if record.cell.key in self.kept else record.line

    def _run_again(self, results: Sequence[Record]) -> Iterator[str]:
        """A line on cells that are done and are run all the same, and one for each reason why."""
        reasons = Counter(self._why(record) for record in results)
        for why, number in reasons.items():
            first = next(record for record in results if self._why(record) == why)
            accuracy = f"{first.metrics.accuracy:.2%}" if first.metrics else "?"
            yield (
                f"{number} {'cells are' if number > 1 else 'cell is'} done {why} and run again; the new results count,"
                f" and the earlier ones stay beside them (first: {first.cell}: {accuracy} of {first.finished:%Y-%m-%d})"
            )

    def _why(self, record: Record) -> str:
        if self._is_of_now(record):
            return "under these versions"
        changes = [f"{name} {then}, now {now}" for name, then, now in outdated(record.environment, record.cell.adapter)]
        return f"under other versions ({', '.join(changes)})" if changes else "in another layout"

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
        except Unwritable:
            raise
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
