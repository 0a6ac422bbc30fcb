"""The driver of a run: which cells are to be run, and what has become of them.

    cells -> driver: done before? -> executor (`isotune.executors`) -> records, as they end

It leaves a record in the store for every cell, failed ones included, and yields records as cells end, so nothing is
lost when a later one fails. Where the cells run is the executor's business (`desk`).

A cell is claimed while it runs (`claims`). What another process has claimed is left to it: this one goes on with the
rest, and in the end takes the others' records, or their cells where they died.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Literal

from isotune.printable import counted
from isotune.progress import Progress, untold
from isotune.runs.claims import Claims
from isotune.runs.desk import Desk, Executor, counts
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
from isotune.workers.environment import outdated

_LOOKING = 0.5  # seconds between two looks at what other processes run


class Driver:
    """One run into a store, by an executor.

    note: is told, in a line, of cells that are done and are run again: with `fresh`, or under other versions.
    failed: what becomes of cells that failed before: run "again", "kept" as they are, or the "only" ones that are run.
    until: a time of `time.monotonic` after which no cell is begun, and a fine-tuning that takes longer is left off;
        `left` are those that were not begun, or not ended.
    limit: seconds after which a cell is given up, and its worker ended; it has failed then.
    memory: bytes that a worker of these cells was seen to take; 0: not of all of them.
    foreign: adapters that run under versions of which nothing is known here: another environment's interpreter.
    """

    def __init__(
        self,
        store: Store,
        executor: Executor,
        *,
        fresh: bool = False,
        progress: Progress | None = None,
        note: Callable[[str], object] | None = None,
        failed: Literal["again", "kept", "only"] = "again",
        until: float = math.inf,
        limit: float | None = None,
        memory: int = 0,
        foreign: Collection[str] = (),
    ) -> None:
        self.store, self.executor, self.fresh = store, executor, fresh
        self.failed, self.until, self._limit, self._foreign = failed, until, limit, foreign
        self._memory = memory
        self._progress, self._note = progress or untold, note or (lambda line: None)
        self.kept: set[str] = set()  # keys of the cells that were done before, or elsewhere, and not run again
        self.left: list[Cell] = []  # cells without a record: no time was left, or they had not failed
        self._before: dict[str, set[datetime]] = {}  # when the results of a cell had started that were there already

    def run(self, cells: Iterable[Cell]) -> Generator[Record, None, None]:
        """A record of every cell as it ends, those of earlier runs first. Unwritable: the store cannot be written; what
        was done until then is in it. UsageError: the executor cannot be used."""
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
        with Claims(self.store.folder) as claims:
            desk = Desk(
                self.store, claims, before=self._before, until=self.until, fresh=self.fresh,
                limit=self._limit, memory=self._memory, foreign=self._foreign,
                progress=self._progress, note=self._note,
            )  # fmt: skip
            while waiting:
                elsewhere: list[Cell] = []
                with contextlib.closing(_closable(self.executor.run(waiting, desk))) as ending:
                    for cell, record in ending:
                        if record is not None:
                            yield record
                        elif time.monotonic() > self.until:
                            self.left.append(cell)
                        else:
                            elsewhere.append(cell)
                waiting = yield from self._of_others(elsewhere, desk)

    def _answer(self, results: Sequence[Record]) -> Record | None:
        """The result that makes running a cell unnecessary."""
        if self.fresh:
            return None
        done = next((each for each in results if each.status == "done" and counts(each, self._foreign)), None)
        if done is not None or self.failed != "kept":
            return done
        return next((each for each in results[:1] if each.status == "failed" and counts(each, self._foreign)), None)

    def _of_others(self, cells: list[Cell], desk: Desk) -> Generator[Record, None, list[Cell]]:
        """Records of cells that other processes run, as these end them; gives the cells that are free again."""
        free: list[Cell] = []
        told = False
        while cells and not free:
            ended = {cell.key: record for cell in cells if (record := desk.result(cell)) is not None}
            for key, record in ended.items():
                self.kept.add(key)
                yield record
            cells = [cell for cell in cells if cell.key not in ended]
            if time.monotonic() >= self.until:
                break
            keys = desk.claims.free(cell.key for cell in cells)
            free = [cell for cell in cells if cell.key in keys]
            if cells and not free:
                if not told:
                    self._note(
                        f"{counted(len(cells), 'cell')} {'are' if len(cells) > 1 else 'is'} run by another process"
                    )
                    told = True
                time.sleep(_LOOKING)
        if not free:
            self.left += cells
            return []
        return cells

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
        if counts(record, self._foreign):
            return "under these versions"
        changes = [f"{name} {then}, now {now}" for name, then, now in outdated(record.environment, record.cell.adapter)]
        return f"under other versions ({', '.join(changes)})" if changes else "in another layout"


def done(store: Store, cell: Cell) -> Record | None:
    """The record that makes running the cell unnecessary: done, under the versions installed now."""
    return next((each for each in store.results(cell) if each.status == "done" and counts(each)), None)


def _closable(
    ending: Iterator[tuple[Cell, Record | None]],
) -> Generator[tuple[Cell, Record | None], None, None]:
    """An executor's iterator as a generator, which it mostly is."""
    yield from ending
