"""The desk: where an executor gets cells to run, and hands in what became of them.

An executor runs cells somewhere; which cells, who else runs them and what is kept of them is not its business. It asks
the desk for every cell when it could begin it, and hands in a record or the reason why there is none:

    def run(self, cells, desk):
        for cell in cells:
            if (begun := desk.begin(cell)) is None:  # another process has it, or no time is left
                yield cell, None
                continue
            with begun:
                try:
                    record = begun.run_in(WorkerProcess(cell.adapter))
                except (UsageError, WorkerFailure) as error:
                    record = begun.fail(str(error))
            yield cell, record

What was computed where the store cannot be seen is handed in by `keep`. An executor whose jobs see it may as well begin
cells there: a desk is made of what can be sent to them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

import numpy as np

from isotune.errors import WorkerFailure
from isotune.models import layouts
from isotune.progress import Progress, untold
from isotune.protocols import Layout
from isotune.runs import requests
from isotune.runs.claims import Claims, is_held
from isotune.runs.drafts import Draft
from isotune.runs.records import Cell, Record, predictions_digest
from isotune.runs.store import Store
from isotune.workers.environment import codes, outdated, versions
from isotune.workers.process import WorkerProcess


class Executor(Protocol):
    """Runs cells, in any place and any number at once."""

    def run(self, cells: Sequence[Cell], desk: Desk) -> Iterator[tuple[Cell, Record | None]]:
        """Every cell once, as it ends, with the record that the desk gave; None: it was left to another process, or to
        later.

        A cell that fails, its worker or its machine, is handed in as failed, and the others go on. Raised are
        Unwritable, since nothing can be kept any more, and UsageError before the first cell, where the executor cannot
        be used at all. Closed early, it ends what it started, within seconds.
        """
        ...


@dataclass
class Desk:
    """What of a run an executor sees.

    before: of cells that have results already, when these had started; a later one is another process's.
    until: a time of `time.monotonic` after which no cell is begun, and a fine-tuning that takes much longer is left off
    with a draft. fresh: drafts that are there are not gone on from. limit: seconds after which one is to be given up.
    memory: bytes that a worker of these cells was seen to take, with their models and protocols; 0: not of all of them.
    foreign: adapters whose versions are not those installed here. progress: told how far a cell is. note: told a line
    that the user should read.
    """

    store: Store
    claims: Claims
    before: Mapping[str, Collection[datetime]] = field(default_factory=dict)
    until: float = math.inf
    fresh: bool = False
    limit: float | None = None
    memory: int = 0
    foreign: Collection[str] = ()
    progress: Progress = untold
    note: Callable[[str], object] = lambda line: None

    def begin(self, cell: Cell) -> Begun | None:
        """The cell, to be run by the caller alone. None: no time is left, another process runs it or has ended it.

        Unwritable: the store cannot be written.
        """
        if time.monotonic() > self.until:
            return None
        try:
            if not self.claims.take(cell.key, str(cell)):
                return None
            begun = Begun(self, cell)  # with the number of its result, so that whoever comes before the look has it
        except OSError as error:
            raise self.store.unusable(error) from None
        if self.result(cell) is not None:  # another's, who ended it between two looks
            begun.give_back()
            return None
        return begun

    def result(self, cell: Cell) -> Record | None:
        """A result that came since the run began, by whomever; with it the cell is settled."""
        new = self.new(cell)
        return next((each for each in new if each.status == "failed" or counts(each, self.foreign)), None)

    def new(self, cell: Cell) -> list[Record]:
        """All results that came since the run began, under whatever versions; the last one first."""
        before = self.before.get(cell.key, ())
        return [each for each in self.store.results(cell) if each.started not in before]


class Begun:
    """A cell that is this process's to run; a context that gives it back in the end, whatever became of it.

    started: when. number: that its result will have (`Store.next_number`). ticket: JSON by which a worker sees, before
    it writes, whether the cell is still its caller's.
    """

    def __init__(self, desk: Desk, cell: Cell) -> None:
        self._desk, self.cell = desk, cell
        self.started, self.ticket = datetime.now(UTC), desk.claims.ticket(cell.key)
        self.number = desk.store.next_number(cell)

    def __enter__(self) -> Begun:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def give_back(self) -> None:
        """Anybody may run it now, unless it is done."""
        self._desk.claims.give_back(self.cell.key)

    @property
    def draft(self) -> Draft:
        """That in the store, which whoever runs the cell elsewhere brings there and back."""
        return Draft(self._desk.store.folder, self.cell, claim=self.ticket)

    def run_in(self, worker: WorkerProcess) -> Record | None:
        """Run it in a worker on this machine, which writes what it gives. None: another process has taken it over, or
        its time is over, and its draft is kept.

        UsageError, WorkerFailure: it failed, and nothing is kept of it yet.
        """
        desk, name = self._desk, str(self.cell)
        with worker.ended_after(desk.limit):
            kept = worker.ask(
                requests.run,
                lambda what, done, total: desk.progress(f"{name}: {what}", done, total),
                cell=self.cell.model_dump(mode="json"),
                store=str(desk.store.folder.resolve()),
                claim=self.ticket,
                number=self.number,
                fresh=desk.fresh,
                seconds=None if desk.until == math.inf else desk.until - time.monotonic(),
            )
        if not kept:
            return None
        if (record := desk.store.read(self.cell)) is None:
            raise WorkerFailure(f"the worker of {self.cell.adapter} left no record in {desk.store.folder}")
        return record

    def keep(self, record: Record, predictions: np.ndarray | None) -> Record | None:
        """Put what came back from elsewhere into the store. None: it is dropped, since another process has taken the
        cell over.

        predictions: int64 [test images].

        WorkerFailure: it is another cell's, or the predictions are not those of which the record has the digest.
        """
        if record.cell.key != self.cell.key:
            raise WorkerFailure(f"the record of another cell came back, {record.cell}")
        if record.status == "done" and (
            predictions is None or predictions_digest(predictions) != record.predictions_digest
        ):
            raise WorkerFailure("the predictions that came back are not those that were computed")
        if not is_held(self.ticket):
            return None
        if record.cell != self.cell:  # a file or a folder stands elsewhere there
            record = record.model_copy(update={"cell": self.cell})
        written = self._desk.store.write(record, predictions, number=self.number)
        self.draft.remove()
        return record if written else None

    def fail(self, reason: str, log: str = "") -> Record | None:
        """Keep that it failed. reason: one line. log: what its worker said last. None: another process has taken the
        cell over; a result that was written nevertheless is given."""
        if not is_held(self.ticket):
            return None
        if (written := self._desk.result(self.cell)) is not None:  # and the worker ended before it could say so
            return written
        adapter = self.cell.adapter
        known = {} if adapter in self._desk.foreign else versions(adapter) | codes(adapter)
        record = Record(
            cell=self.cell, status="failed", error=reason, environment=known, started=self.started,
            finished=datetime.now(UTC),
        )  # fmt: skip
        return record if self._desk.store.write(record, log=log, number=self.number) else self._desk.result(self.cell)


def counts(record: Record, foreign: Collection[str] = ()) -> bool:
    """Whether a result was computed as it would be now. foreign: adapters of which that is not known, and taken to be
    so: other environments' interpreters run them."""
    return record.cell.adapter in foreign or is_of_now(record.environment, record.cell.adapter, record.cell.layout)


def is_of_now(environment: Mapping[str, str], adapter: str, layout: Layout | None) -> bool:
    """Whether what was computed in this environment, for a cell in this layout, would be computed so now: versions and
    code are the same, and the layout that the library's user gets."""
    then = environment.get("layout")
    return not outdated(environment, adapter) and then in (None, layouts.resolved(layout, adapter))
