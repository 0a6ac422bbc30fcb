"""Cells in worker processes on this machine, one framework in each, kept warm from cell to cell."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Annotated

from pydantic import Field

from isotune.errors import Unwritable, UsageError
from isotune.executors import devices
from isotune.executors.turns import Turns, several
from isotune.runs.desk import Desk
from isotune.runs.records import Cell, Record
from isotune.workers import threads
from isotune.workers.process import WorkerFailure, Workers


def workers_for(jobs: int, pythons: Mapping[str, str] | None = None, device: str = "") -> Workers:
    """Workers of so many jobs at the same time, among which the cores are shared out. With one job a worker has the
    machine to itself. device: the one that they see, as CUDA names it; empty: all."""
    environment = {devices.VISIBLE: device} if device else {}
    if jobs == 1:
        return Workers(pythons=pythons, environment=environment)
    return Workers(threads=threads.share(jobs), shared=True, pythons=pythons, environment=environment)


Jobs = Annotated[int, Field(ge=1, le=1000)]


class Local:
    """The executor `local`.

    jobs: workers at the same time, at most as many as there are cores, which are shared out among them, and the GPUs,
        of which each worker has one. With one job (the default) a worker has the machine to itself, and timings mean
        something.
    pythons: interpreters of other environments by adapter: {ADAPTER: "/opt/other/bin/python"}.
    workers: run in these, of `workers_for` so many jobs, before starting own ones; they are left running.
    """

    def __init__(
        self, *, jobs: Jobs = 1, pythons: Mapping[str, str] | None = None, workers: Workers | None = None
    ) -> None:
        self.jobs, self._pythons, self._workers = jobs, dict(pythons or {}), workers

    @contextlib.contextmanager
    def warm(self, given: Workers | None = None) -> Iterator[Workers]:
        """Workers in which a model can be tried before cells run; within the block these run in them.

        given: such as a caller has; with more than one job cells do not run in them, for they may have all cores.
        """
        with workers_for(self.jobs, self._pythons) if given is None else contextlib.nullcontext(given) as workers:
            former = self._workers
            if given is None or self.jobs == 1:
                self._workers = workers
            try:
                yield workers
            finally:
                self._workers = former

    def run(self, cells: Sequence[Cell], desk: Desk) -> Generator[tuple[Cell, Record | None], None, None]:
        """As `Executor.run`."""
        if self.jobs == 1:
            with contextlib.ExitStack() as stack:
                workers = self._workers or stack.enter_context(workers_for(1, self._pythons))
                for cell in cells:
                    yield cell, _one(cell, workers, desk)
        else:
            yield from self._several(cells, desk)

    def _several(self, cells: Sequence[Cell], desk: Desk) -> Generator[tuple[Cell, Record | None], None, None]:
        gpus = devices.to_share()
        count = max(1, len(gpus))
        if gpus and self.jobs % count:
            desk.note(
                f"{self.jobs} workers on {count} GPUs: some have more of them than others; --jobs {count} is even"
            )
        at_once = min(self.jobs, threads.cores())
        if at_once < self.jobs:
            desk.note(f"{self.jobs} workers were asked for, and there are {at_once} cores: {at_once} at a time")
        turns = Turns(
            cells,
            lambda number: workers_for(self.jobs, self._pythons, gpus[number] if gpus else ""),
            None if gpus else self._workers,  # these see all
        )

        def run(cell: Cell, workers: Workers) -> Record | None:
            return _one(cell, workers, desk, turns.stopping)

        with contextlib.closing(several(turns, min(at_once, len(cells)), run, devices=count)) as ending:
            yield from ending


def _one(cell: Cell, workers: Workers, desk: Desk, stopping: threading.Event | None = None) -> Record | None:
    """Run one cell in its worker; a failure becomes a record, unless the workers are being stopped. None: another
    process runs it, or no time is left."""
    if (begun := desk.begin(cell)) is None:
        return None
    with begun:
        try:
            return begun.run_in(workers[cell.adapter])
        except Unwritable:
            raise
        except (UsageError, WorkerFailure) as error:
            if stopping is not None and stopping.is_set():
                raise
            return begun.fail(str(error), getattr(error, "trace", ""))
