"""100,000 cells: a plan, a status and a report of them, their memory, and what one more record costs.

The synthetic records of `speed/report_scale.py` lie in a store. The last 500 are written as a run writes them, each
settled on the disk; the others are put there without waiting for it. The commands run in processes of their own, and
the first plan reads what was just written: start-up, making cells and keys, and reading are all in it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1] / "speed"))  # in a process of its own, too

from figures import figure
from report_scale import records

from isotune import cache, sweeps
from isotune.runs.store import Store

TIMED = 100  # records whose writing is timed, at each size
SMALL, LARGE = 100, 100_000


def measure(place: Path, *, quick: bool) -> dict[str, Any]:
    count = LARGE // 100 if quick else LARGE
    store = Store(place / "records")
    few, many = _filled(store, count)
    asked = {
        "plan": [__file__, str(store.folder), str(count)],
        "status": ["-m", "isotune.cli", "status", str(store.folder)],
        "report": ["-m", "isotune.cli", "report", str(store.folder), "--out", str(place / "report")],
    }
    took = {name: _measured(command) for name, command in asked.items()}
    limits = {"plan": 10.0, "status": 10.0, "report": 20.0}
    return {
        "title": f"{count:,} cells",
        "figures": [
            *(figure(f"{name} of {count:,} cells", each.seconds, "s", most=limits[name])
              for name, each in took.items()),
            *(figure(f"its memory, {name}", each.peak / 1e9, "GB", most=1 if name != "report" else None)
              for name, each in took.items()),
            figure(f"to add a record to {SMALL}", few * 1000, "ms"),
            figure(f"to add a record to {count:,}, of that to {SMALL}", many / few, "times", most=1.25),
        ],
        "lines": [
            "| command | seconds | CPU seconds | peak memory, MB |", "| --- | ---: | ---: | ---: |",
            *(f"| {name} | {each.seconds:.1f} | {each.cpu:.1f} | {each.peak / 1e6:,.0f} |"
              for name, each in took.items()),
            "",
            f"Median of {TIMED} records each, settled on the disk: {few * 1000:.1f} ms in a store of {SMALL},"
            f" {many * 1000:.1f} ms in one of {count:,}.",
        ],
    }  # fmt: skip


def _filled(store: Store, count: int) -> tuple[float, float]:
    """Seconds a record, the median, at the small size and at the large one."""
    taken: dict[int, list[float]] = {SMALL: [], count: []}
    for number, record in enumerate(records(count)):
        timed = next((size for size in taken if size - TIMED <= number < size), None)
        if timed is None:
            with _unsettled():
                store.write(record)
            continue
        began = time.perf_counter()
        store.write(record)
        taken[timed].append(time.perf_counter() - began)
    few, many = (sorted(each)[len(each) // 2] for each in taken.values())
    return few, many


@contextmanager
def _unsettled() -> Iterator[None]:
    """Without waiting for the disk: 100,000 records would take minutes."""
    settle, settle_one = cache.settle, cache.settle_one
    cache.settle = cache.settle_one = lambda path: None
    try:
        yield
    finally:
        cache.settle, cache.settle_one = settle, settle_one


@dataclass(frozen=True)
class _Taken:
    seconds: float
    cpu: float
    peak: float  # bytes, resident


def _measured(command: Sequence[str]) -> _Taken:
    began = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(sys.executable, [sys.executable, *command], os.environ, file_actions=silent)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return _Taken(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def _planned(store: Path, count: int) -> None:
    """In a process of its own: a plan of as many cells as there are records."""
    print(*sweeps.plan([record.cell for record in records(count)], store).lines(), sep="\n")


if __name__ == "__main__":  # as this module asks itself
    _planned(Path(sys.argv[1]), int(sys.argv[2]))
