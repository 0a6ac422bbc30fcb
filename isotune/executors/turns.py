"""Cells at the same time: which one is next, and in which worker it runs.

A worker belongs to no thread: whoever is free takes a cell of a library whose worker is free, first of the library of
which most cells wait, so that each framework is imported once and no worker is left with the rest. Another worker of
the same library is started where all that wait are of libraries at work, and it pays.

A worker computes on one device, and so does a thread, so that no device has more cells than another.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Sequence

from isotune.runs.records import Cell, Record
from isotune.workers.process import Workers

ANOTHER_SECONDS = 10.0  # importing a framework and building models beside others' work


class Turns:
    """Cells that wait, and workers, shared by threads.

    make: workers that hold none yet, on the device of this number. given: others, on the first device, used first and
    not ended by `end`.
    """

    def __init__(self, cells: Sequence[Cell], make: Callable[[int], Workers], given: Workers | None = None) -> None:
        self._waiting: dict[str, deque[Cell]] = {}  # by adapter, those of which none waits left out
        for cell in cells:
            self._waiting.setdefault(cell.adapter, deque()).append(cell)
        self.stopping = threading.Event()
        self._make, self._given = make, given
        self._made: list[Workers] = []
        self._free: dict[tuple[str, int], list[Workers]] = defaultdict(list)  # by adapter and device
        self._took: Counter[str] = Counter()  # cells that have ended, by adapter
        self._seconds: dict[str, float] = defaultdict(float)  # that they took
        self._at_work: Counter[str] = Counter()
        self._changed = threading.Condition()
        if given is not None:
            for adapter in filter(given.__contains__, self._waiting):
                self._free[adapter, 0].append(given)

    def __len__(self) -> int:
        """Cells that wait."""
        return sum(map(len, self._waiting.values()))

    def take(self, device: int = 0) -> tuple[Cell, Workers] | None:
        """The next cell and the workers of which its library's is free, on a device; None: there is none any more. It
        may wait."""
        with self._changed:
            while self._waiting and not self.stopping.is_set():
                if (adapter := self._next(device)) is not None:
                    cell = self._waiting[adapter].popleft()
                    if not self._waiting[adapter]:
                        del self._waiting[adapter]
                    self._at_work[adapter] += 1
                    free = self._free[adapter, device]
                    return cell, free.pop() if free else self._another(device)
                self._changed.wait()
            return None

    def give_back(self, cell: Cell, workers: Workers, seconds: float, device: int = 0) -> None:
        """The cell has ended."""
        with self._changed:
            self._took[cell.adapter] += 1
            self._seconds[cell.adapter] += seconds
            self._at_work[cell.adapter] -= 1
            self._free[cell.adapter, device].append(workers)
            self._changed.notify_all()

    def end(self, *, given: bool) -> None:
        """Take no cell any more, and end the workers; given: those that were given too."""
        with self._changed:
            self.stopping.set()
            for workers in (*self._made, *([self._given] if given and self._given else ())):
                workers.end()
            self._changed.notify_all()

    def close(self) -> None:
        """Give back what the own workers hold; nobody asks them any more."""
        for workers in self._made:
            workers.stop()

    def _next(self, device: int) -> str | None:
        """The library whose turn it is on a device."""
        waiting = sorted(self._waiting, key=lambda adapter: -len(self._waiting[adapter]))
        free = (adapter for adapter in waiting if self._free[adapter, device])
        idle = (adapter for adapter in waiting if not self._at_work[adapter])
        more = (adapter for adapter in waiting if self._pays(adapter))
        return next((adapter for choice in (free, idle, more) for adapter in choice), None)

    def _pays(self, adapter: str) -> bool:
        """Whether the cells that wait are worth another worker; unknown before the first has ended, and then they
        are."""
        took = self._took[adapter]
        return not took or len(self._waiting[adapter]) * self._seconds[adapter] / took > ANOTHER_SECONDS

    def _another(self, device: int) -> Workers:
        self._made.append(self._make(device))
        return self._made[-1]


def several(
    turns: Turns, jobs: int, run: Callable[[Cell, Workers], Record | None], *, devices: int = 1
) -> Generator[tuple[Cell, Record | None], None, None]:
    """All cells with their records as they end, so many at a time, those in turn on so many devices. run: gives a
    cell's record, whatever goes wrong in it; None: the cell is left."""
    ended: queue.Queue[tuple[Cell, Record | None] | BaseException] = queue.Queue()
    count = len(turns)

    def work(device: int) -> None:
        try:
            while (taken := turns.take(device)) is not None:
                began = time.monotonic()
                record = run(*taken)
                turns.give_back(*taken, time.monotonic() - began, device)
                ended.put((taken[0], record))
        except BaseException as error:
            ended.put(error)

    pool = [threading.Thread(target=work, args=[job % devices], daemon=True) for job in range(jobs)]
    for thread in pool:
        thread.start()
    try:
        while count:
            one = ended.get()
            if isinstance(one, BaseException):
                raise one
            count -= 1
            yield one
    finally:
        turns.end(given=bool(count))
        for thread in pool:
            thread.join(timeout=10)
        turns.close()
