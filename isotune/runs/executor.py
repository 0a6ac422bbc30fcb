"""Executors: cells in, records out.

`Executor` is the whole interface. `LocalExecutor` runs cells in worker processes on this machine, one
framework in each, and leaves a record in the store for every cell, failed ones included. An executor
yields records as cells end, so nothing is lost when a later one fails.

A cell is claimed while it runs (`claims`). What another process has claimed is left to it: this one goes on with the
rest, and in the end takes the others' records, or their cells where they died.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol

from isotune.errors import Unwritable, UsageError
from isotune.models import layouts
from isotune.progress import Progress, untold
from isotune.protocols import Layout
from isotune.runs.claims import Claims, is_held
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
from isotune.runs.turns import Turns, several
from isotune.workers import threads
from isotune.workers.environment import CODE, code, outdated, versions
from isotune.workers.process import WorkerFailure, WorkerProcess, Workers

_LOOKING = 0.5  # seconds between two looks at what other processes run


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
    failed: what becomes of cells that failed before: run "again", "kept" as they are, or the "only" ones that are run.
    until: a time of `time.monotonic` after which no cell is begun; `left` are those that were not.
    limit: seconds after which a cell is given up, and its worker ended; it has failed then.
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
        failed: Literal["again", "kept", "only"] = "again",
        until: float = math.inf,
        limit: float | None = None,
    ) -> None:
        self.store, self.jobs, self.fresh = store, max(1, jobs), fresh
        self.failed, self.until, self._limit = failed, until, limit
        self._pythons, self._workers = dict(pythons or {}), workers
        self._progress, self._note = progress or untold, note or (lambda line: None)
        self.kept: set[str] = set()  # keys of the cells that were done before, or elsewhere, and not run again
        self.left: list[Cell] = []  # cells that were not begun: no time was left, or they had not failed
        self._before: dict[str, set[datetime]] = {}  # when the results of a cell had started that were there already

    def done(self, cell: Cell) -> Record | None:
        """The record that makes running the cell unnecessary: done, under the versions installed now."""
        return self._of_now(self.store.results(cell))

    def _of_now(self, results: Iterable[Record]) -> Record | None:
        return next((each for each in results if each.status == "done" and self._is_of_now(each)), None)

    def _is_of_now(self, record: Record) -> bool:
        """Whether it was computed as it would be now; of another environment's interpreter that is not known."""
        adapter = record.cell.adapter
        return adapter in self._pythons or is_of_now(record.environment, adapter, record.cell.layout)

    def run(self, cells: Iterable[Cell]) -> Generator[Record, None, None]:
        """Unwritable: the store cannot be written; what was done until then is in it."""
        self.store.check()
        waiting: list[Cell] = []
        again: list[Record] = []
        for cell in cells:
            results = self.store.results(cell)
            if (record := self._answer(results)) is not None:
                self.kept.add(cell.key)
                yield record
            elif self.failed == "only" and not (results and results[0].status == "failed"):
                self.left.append(cell)
            else:
                waiting.append(cell)
                again += [record for record in results[:1] if record.status == "done"]
                if results:
                    self._before[cell.key] = {each.started for each in results}
        for line in self._run_again(again):
            self._note(line)
        with Claims(self.store.folder) as self._claims, contextlib.ExitStack() as stack:
            workers = self._workers
            if self.jobs == 1 and workers is None and waiting:
                workers = stack.enter_context(workers_for(1, self._pythons))
            while waiting:
                elsewhere: list[Cell] = []
                with contextlib.closing(self._round(waiting, workers)) as ending:
                    for cell, record in ending:
                        if record is not None:
                            yield record
                        elif time.monotonic() > self.until:
                            self.left.append(cell)
                        else:
                            elsewhere.append(cell)
                waiting = yield from self._of_others(elsewhere)

    def _answer(self, results: Sequence[Record]) -> Record | None:
        """The result that makes running a cell unnecessary."""
        if self.fresh:
            return None
        if (done := self._of_now(results)) is not None or self.failed != "kept":
            return done
        return next((each for each in results[:1] if each.status == "failed" and self._is_of_now(each)), None)

    def _round(
        self, cells: Sequence[Cell], workers: Workers | None
    ) -> Generator[tuple[Cell, Record | None], None, None]:
        """Each cell with its record, as they end; None: it was left to another process, or to later."""
        if self.jobs == 1:
            assert workers is not None
            for cell in cells:
                yield cell, self._one(cell, workers)
        else:
            turns = Turns(cells, lambda: workers_for(self.jobs, self._pythons), workers)
            with contextlib.closing(several(turns, min(self.jobs, len(cells)), self._one)) as ending:
                yield from ending

    def _of_others(self, cells: list[Cell]) -> Generator[Record, None, list[Cell]]:
        """Records of cells that other processes run, as these end them; gives the cells that are free again."""
        if cells:
            self._note(f"{_counted(len(cells), 'cell')} {'are' if len(cells) > 1 else 'is'} run by another process")
        free: list[Cell] = []
        while cells and not free and time.monotonic() < self.until:
            ended = {cell.key: record for cell in cells if (record := self._since(cell)) is not None}
            for key, record in ended.items():
                self.kept.add(key)
                yield record
            cells = [cell for cell in cells if cell.key not in ended]
            free = [cell for cell in cells if self._claims.is_free(cell.key)]
            if cells and not free:
                time.sleep(_LOOKING)
        if not free:
            self.left += cells
            return []
        return cells

    def _since(self, cell: Cell) -> Record | None:
        """A result that came since this run began, of another process; with it the cell is settled."""
        results = self.store.results(cell)
        new = [each for each in results if each.started not in self._before.get(cell.key, ())]
        return next((each for each in new if each.status == "failed" or self._is_of_now(each)), None)

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

    def _one(self, cell: Cell, workers: Workers, stopping: threading.Event | None = None) -> Record | None:
        """Run one cell in its worker; a failure becomes a record, unless the workers are being stopped. None: another
        process runs it, or no time is left."""
        if time.monotonic() > self.until or not self._claimed(cell):
            return None
        try:
            if (record := self._since(cell)) is not None:  # another's, who ended it between two looks
                self.kept.add(cell.key)
                return record
            return self._claimed_one(cell, workers, stopping)
        finally:
            self._claims.give_back(cell.key)

    def _claimed(self, cell: Cell) -> bool:
        try:
            return self._claims.take(cell.key, str(cell))
        except OSError as error:
            raise self.store.unusable(error) from None

    def _claimed_one(self, cell: Cell, workers: Workers, stopping: threading.Event | None) -> Record | None:
        from isotune.runs import requests

        started = datetime.now(UTC)
        name, ticket = str(cell), self._claims.ticket(cell.key)
        try:
            with _ended_after(self._limit, worker := workers[cell.adapter]):
                kept = worker.ask(
                    requests.run,
                    lambda what, done, total: self._progress(f"{name}: {what}", done, total),
                    cell=cell.model_dump(mode="json"),
                    store=str(self.store.folder.resolve()),
                    claim=ticket,
                )
            if not kept:
                return None
            record = self.store.read(cell)
            if record is None:
                raise WorkerFailure(f"the worker of {cell.adapter} left no record in {self.store.folder}")
            return record
        except Unwritable:
            raise
        except (UsageError, WorkerFailure) as error:
            if stopping is not None and stopping.is_set():
                raise
            if not is_held(ticket):
                return None
            if (written := self._since(cell)) is not None:  # and the worker ended before it could say so
                return written
            record = Record(
                cell=cell, status="failed", error=str(error), environment=self._versions(cell),
                started=started, finished=datetime.now(UTC),
            )  # fmt: skip
            self.store.write(record, log=getattr(error, "trace", ""))
            return record

    def _versions(self, cell: Cell) -> dict[str, str]:
        """Of a cell that failed: under which versions; of another environment's interpreter they are not known."""
        return {} if cell.adapter in self._pythons else versions(cell.adapter) | {CODE: code(cell.adapter)}


@contextlib.contextmanager
def _ended_after(limit: float | None, worker: WorkerProcess) -> Iterator[None]:
    """End a worker that takes longer; WorkerFailure says so then. None: it may take what it takes."""
    if limit is None:
        yield
        return
    over = threading.Event()

    def end() -> None:
        over.set()
        worker.kill()

    timer = threading.Timer(limit, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except WorkerFailure as error:
        if over.is_set():
            raise WorkerFailure(f"given up after its time limit of {limit:g} s", error.trace, died=True) from None
        raise
    finally:
        timer.cancel()


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def is_of_now(environment: Mapping[str, str], adapter: str, layout: Layout | None) -> bool:
    """Whether what was computed in this environment, for a cell in this layout, would be computed so now: versions and
    code are the same, and the layout that the library's user gets."""
    then = environment.get("layout")
    return not outdated(environment, adapter) and then in (None, layouts.resolved(layout, adapter))
