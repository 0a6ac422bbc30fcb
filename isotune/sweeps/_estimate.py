"""What cells will take, from records that are there.

A cell is expected to take what those took that are most like it, by the first of these that was ever run: the same with
other seeds; the same model and protocol; the same library and protocol. For any other there is no estimate, and it is
said how many those are. Records of this kind of machine are taken where there are any.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from isotune.runs.records import Cell
from isotune.sweeps._survey import Brief
from isotune.workers.environment import machine

# Of a cell and of a brief record, what makes one like the other, from all to little.
_ALIKE: dict[str, Callable[[dict[str, str]], tuple[str, ...]]] = {
    "the same with other seeds": lambda one: tuple(one.values()),
    "the same model and protocol": lambda one: (one["model"], one["protocol"], one["mode"]),
    "the same library and protocol": lambda one: (one["model"].partition(":")[0], one["protocol"], one["mode"]),
}
_OF_ONE_SIZE = "the same model and protocol"  # in memory
_RANGE = (10, 90)  # percentiles


@dataclass(frozen=True)
class Estimate:
    """Of cells that are to be run.

    seconds: of computing, one after another; low, high: were each as quick, as slow as one in ten of those like it.
    memory: bytes of a worker's peak, at most, as seen. enough: the same of what has their models and protocols; 0: not
    all of these were run. sources: of how many cells the estimate stands on what.
    unknown: cells like which none was run; they are in no sum. elsewhere: no record was of this kind of machine.
    """

    cells: int
    seconds: float
    low: float
    high: float
    memory: int
    enough: int
    sources: dict[str, int]
    unknown: int
    records: int
    elsewhere: bool

    def line(self, jobs: int = 1) -> str:
        """In words, for so many workers at a time."""
        if not self.cells:
            return "nothing is left to be run"
        if not self.records or self.unknown == self.cells:
            return "how long it takes is not known: nothing like it was run into this store"
        several = f" with {jobs} workers, if none waits for another," if jobs > 1 else ""
        known = self.cells - self.unknown
        line = f"about {roughly(self.seconds / jobs)}{several} ({roughly(self.low / jobs)} to"
        line += f" {roughly(self.high / jobs)}) for {known:,} of {self.cells:,} cells"
        line += f", from {self.records:,} record{'' if self.records == 1 else 's'}"
        line += " of other machines" if self.elsewhere else ""
        best = ", ".join(f"{count:,} from {source}" for source, count in self.sources.items())
        line += f" ({best})"
        if self.unknown:
            line += f"; {self.unknown:,} are like none that was run, and not counted"
        return line


def estimate(cells: Iterable[dict[str, str]], records: Sequence[Brief]) -> Estimate:
    """cells: as `traits` gives them."""
    done = [each for each in records if each.status == "done"]
    here = f"{machine()['cpu']} x {machine()['cores']}"
    near = [each for each in done if each.machine == here]
    used = near or done
    tables: list[dict[tuple[str, ...], list[float]]] = []
    peaks: dict[tuple[str, ...], int] = defaultdict(int)
    for alike in _ALIKE.values():
        seconds = defaultdict(list)
        for each in used:
            seconds[alike(traits(each))].append(each.seconds)
        tables.append(seconds)
    for each in used:
        kind_ = _ALIKE[_OF_ONE_SIZE](traits(each))
        peaks[kind_] = max(peaks[kind_], each.memory)
    known: dict[tuple[int, tuple[str, ...]], np.ndarray] = {}
    sums, sources, count, unknown = np.zeros(3), Counter[str](), 0, 0
    kinds = Counter(tuple(cell.items()) for cell in cells)
    for kind, number in kinds.items():
        count += number
        for level, (source, alike) in enumerate(_ALIKE.items()):
            key = alike(dict(kind))
            if key in tables[level]:
                if (level, key) not in known:
                    known[level, key] = np.percentile(tables[level][key], (50, *_RANGE))
                sums += number * known[level, key]
                sources[source] += number
                break
        else:
            unknown += number
    adapters = {dict(kind)["model"].partition(":")[0] for kind in kinds}
    memory = max((each.memory for each in used if each.adapter in adapters), default=0)
    own = [peaks.get(_ALIKE[_OF_ONE_SIZE](dict(kind)), 0) for kind in kinds]
    return Estimate(
        cells=count, seconds=float(sums[0]), low=float(sums[1]), high=float(sums[2]), memory=memory,
        enough=max(own) if all(own) and own else 0,
        sources={source: sources[source] for source in _ALIKE if sources[source]}, unknown=unknown,
        records=len(used), elsewhere=bool(done) and not near,
    )  # fmt: skip


def traits(of: Cell | Brief) -> dict[str, str]:
    """What a cell's time depends on, its seeds left out."""
    if isinstance(of, Cell):
        protocol, mode = of.protocol.name, of.spelling
    else:
        protocol, mode = of.protocol, of.mode
    said: dict[str, Any] = {
        "model": of.model, "checkpoint": of.checkpoint, "dataset": of.dataset, "protocol": protocol,
        "conventions": of.conventions, "mode": mode,
    }  # fmt: skip
    return said


def roughly(seconds: float) -> str:
    """ "45 s", "12 min", "3 h 20 min", "4 days 2 h"."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"
