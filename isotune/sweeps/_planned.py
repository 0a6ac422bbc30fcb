"""A plan: a sweep's cells against what the store has of them; and what was asked of a store, for its status.

    STORE/.plans/DIGEST.json     sealed: the cells of a run, by the folders of their results

A run leaves its plan there, so that the status of a store can say what is left without the sweep file. It is told, not
obeyed: what is done is what has a record.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from isotune import sealing
from isotune.printable import counted
from isotune.runs import earlier
from isotune.runs.desk import is_of_now
from isotune.runs.records import Cell
from isotune.sealing import Damaged
from isotune.sweeps._estimate import Estimate, estimate, traits
from isotune.sweeps._survey import Brief, survey

FOLDER = ".plans"
_KEPT = 20  # plans of a store
_VERSION = 1


@dataclass(frozen=True)
class Comparison:
    """A published number, and the keys of the cells that would be held against it. line: what with what, in words."""

    line: str
    cells: frozenset[str]


@dataclass(frozen=True)
class Plan:
    """What of a sweep is done. Keys of cells, as its lists have them, lead to its results' folders: `homes`."""

    cells: Sequence[Cell]
    homes: Mapping[str, str]
    records: Mapping[str, Sequence[Brief]]  # by home
    retry: bool = False  # whether cells that failed are run again
    jobs: int = 1  # workers at the same time
    comparisons: Sequence[Comparison] = ()  # with published numbers that are handed in

    @cached_property
    def done(self) -> list[Cell]:
        """Those with a result that counts: done, under the versions that are installed."""
        current = currency()
        return [cell for cell in self.cells if any(each.status == "done" and current(each) for each in self.of(cell))]

    @cached_property
    def failed(self) -> list[Cell]:
        """Those whose last result is a failure under the versions that are installed."""
        done, current = {cell.key for cell in self.done}, currency()
        rest = (cell for cell in self.cells if cell.key not in done)
        return [cell for cell in rest if any(each.status == "failed" and current(each) for each in self.of(cell)[:1])]

    @cached_property
    def to_run(self) -> list[Cell]:
        """Those that a run would begin."""
        settled = {cell.key for cell in (*self.done, *(() if self.retry else self.failed))}
        return [cell for cell in self.cells if cell.key not in settled]

    @cached_property
    def estimate(self) -> Estimate:
        """Of those that are to be run."""
        return estimate(map(traits, self.to_run), [each for results in self.records.values() for each in results])

    def lines(self) -> Iterator[str]:
        """In words."""
        axes = {
            "model": {cell.model for cell in self.cells}, "checkpoint": {cell.checkpoint for cell in self.cells},
            "data set": {cell.dataset_digest for cell in self.cells},
            "protocol": {cell.protocol.name for cell in self.cells},
            "set-up": {cell.conventions for cell in self.cells}, "mode": {cell.spelling for cell in self.cells},
            "seed": {str(cell.seeds) for cell in self.cells},
        }  # fmt: skip
        said = ", ".join(counted(len(values), axis) for axis, values in axes.items())
        yield f"{counted(len(self.cells), 'cell')}: {said}"
        failed = f", {len(self.failed):,} failed" if self.failed else ""
        again = " (--retry-failed runs those again)" if self.failed and not self.retry else ""
        yield f"{len(self.done):,} done{failed}{again}, {len(self.to_run):,} to run"
        yield f"time: {self.estimate.line(self.jobs)}"
        if self.estimate.memory:
            yield f"memory: {self.estimate.memory / 2**30:.1f} GiB in a worker at most, as seen so far"
        done = {cell.key for cell in self.done}
        for each in self.comparisons:
            yield f"{each.line}; {len(each.cells & done):,} of {counted(len(each.cells), 'cell')} done"

    def json(self) -> dict[str, Any]:
        """Counts, the estimate, and what is to be run."""
        to_run = [{"key": cell.key, "seeds": str(cell.seeds), **traits(cell)} for cell in self.to_run]
        counts = {"cells": len(self.cells), "done": len(self.done), "failed": len(self.failed)}
        held = [{"line": each.line, "cells": sorted(each.cells)} for each in self.comparisons]
        return {
            "version": 1, **counts, "estimate": asdict(self.estimate), "to_run": to_run, "comparisons": held
        }  # fmt: skip

    def of(self, cell: Cell) -> Sequence[Brief]:
        """Its results, the last one first."""
        return self.records.get(self.homes.get(cell.key, cell.key), ())


def plan(
    cells: Sequence[Cell], store: Path, *, retry: bool = False, jobs: int = 1, comparisons: Sequence[Comparison] = ()
) -> Plan:
    """The cells against a store, which need not be there yet."""
    records = survey(store)
    homes = {cell.key: cell.key for cell in cells if cell.key in records}
    if len(homes) < len(records):  # some lie where an earlier version put them, or are no cells of this sweep
        for cell in cells:
            if cell.key not in homes:
                former = (key for key in earlier.keys(cell.model_dump(mode="json")) if key in records)
                if (home := next(former, None)) is not None:
                    homes[cell.key] = home
    return Plan(cells, homes, records, retry, jobs, comparisons)


def remember(plan: Plan, store: Path, source: str) -> None:
    """Leave the plan with the store, and forget the oldest. source: what asked for it, in a word. A store that cannot
    be written is told elsewhere."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for cell in plan.cells:
        home = plan.homes.get(cell.key, cell.key)
        groups[tuple(traits(cell).values())].append(cell.key if home == cell.key else f"{cell.key} {home}")
    rows = [[*kind, homes] for kind, homes in groups.items()]
    digest = hashlib.sha256("".join(sorted(cell.key for cell in plan.cells)).encode()).hexdigest()[:32]
    with contextlib.suppress(OSError):
        folder = store / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        content = {"version": _VERSION, "source": source, "at": datetime.now(UTC).isoformat(), "cells": rows}
        former = [path.stat().st_mtime_ns for path in _by_age(folder)[:1]]
        sealing.write_json(file := folder / f"{digest}.json", content)
        if former and file.stat().st_mtime_ns < former[0]:  # a clock was put back
            os.utime(file, ns=(former[0] + 1,) * 2)
        for old in _by_age(folder)[_KEPT:]:
            old.unlink(missing_ok=True)


def remembered(store: Path, records: Container[str]) -> tuple[str, datetime, dict[str, dict[str, str]]] | None:
    """What was last asked of a store: by what, when, and the traits of each cell by the folder of its results, of those
    that there are. None: nobody knows."""
    for path in _by_age(store / FOLDER):
        try:
            content = sealing.read_json(path)
            if content["version"] == _VERSION:
                return content["source"], datetime.fromisoformat(content["at"]), _cells(content["cells"], records)
        except (Damaged, FileNotFoundError, KeyError, ValueError, TypeError):
            continue
    return None


def _cells(rows: Sequence[Sequence[Any]], records: Container[str]) -> dict[str, dict[str, str]]:
    cells: dict[str, dict[str, str]] = {}
    for *kind, homes in rows:
        named = dict(zip(("model", "checkpoint", "dataset", "protocol", "conventions", "mode"), kind, strict=True))
        for key, _, former in (home.partition(" ") for home in homes):
            cells[former if former and key not in records else key] = named
    return cells


def _by_age(folder: Path) -> list[Path]:
    aged = []
    for path in folder.glob("*.json"):
        with contextlib.suppress(FileNotFoundError):
            aged.append((path.stat().st_mtime_ns, path))
    return [path for _, path in sorted(aged, reverse=True)]


def currency() -> Callable[[Brief], bool]:
    """Whether a record was computed as it would be now, as the driver asks it; each environment is looked at once."""
    known: dict[tuple[object, ...], bool] = {}

    def ask(brief: Brief) -> bool:
        key = (brief.adapter, brief.layout, brief.environment)
        if key not in known:
            known[key] = is_of_now(dict(brief.environment), brief.adapter, brief.layout)
        return known[key]

    return ask
