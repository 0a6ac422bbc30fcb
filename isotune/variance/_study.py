"""Carrying a study out: crossed runs first, then every repeat in worker processes of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from isotune.executors import Local
from isotune.progress import Progress
from isotune.runs.driver import Driver, done
from isotune.runs.records import Record
from isotune.runs.store import Store
from isotune.variance._design import Study


def store(folder: Path, repeat: int) -> Store:
    return Store(folder / f"repeat-{repeat}")


def run(
    study: Study,
    folder: Path,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
    note: Callable[[str], object] | None = None,
    ended: Callable[[str], object] | None = None,
) -> Iterator[Record]:
    """Records of all runs as they end; what is done already is not run again.

    jobs: workers at the same time. note: as of `Driver`. ended: told a line of each record. The executor ends
    its workers, so that no process runs the first seeds twice.
    """
    for repeat in range(study.design.repeats + 1):
        driver = Driver(store(folder, repeat), Local(jobs=jobs), progress=progress, note=note)
        for record in driver.run(study.cells(repeat)):
            if ended:
                ended(driver.line(record))
            yield record


def records(study: Study, folder: Path) -> Iterator[tuple[int, Record]]:
    """(repeat, record) of every run that has one, failed ones included."""
    for repeat in range(study.design.repeats + 1):
        kept = (store(folder, repeat).read(cell) for cell in study.cells(repeat))
        yield from ((repeat, record) for record in kept if record is not None)


@dataclass(frozen=True)
class Outlook:
    """What a study still takes."""

    runs: int
    done: int
    seconds: float | None  # of the runs that are missing, one after another; None: no record of one of the models


def outlook(study: Study, folder: Path, elsewhere: Iterable[Store] = ()) -> Outlook:
    """What is done, and how long the rest may take: the median of each model's records in the study and `elsewhere`,
    start-up of processes not counted."""
    places = [store(folder, repeat) for repeat in range(study.design.repeats + 1)]
    took: dict[str, list[float]] = {cell.model: [] for cell in study.firsts}
    for place in (*places, *elsewhere):
        for cell in study.cells(0):
            if (record := place.read(cell)) is not None and record.status == "done":
                took[cell.model].append((record.finished - record.started).total_seconds())
    missing = [
        cell.model for repeat, place in enumerate(places) for cell in study.cells(repeat) if done(place, cell) is None
    ]
    known = all(took[model] for model in missing)
    runs = study.design.runs * len(study.firsts)
    return Outlook(runs, runs - len(missing), sum(median(took[model]) for model in missing) if known else None)
