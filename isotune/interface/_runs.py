"""What runs gave: records and speeds, as a table, as a leaderboard."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from isotune import defaults, export
from isotune.errors import UsageError
from isotune.interface import arguments
from isotune.report import HandedIn, Judged, Leaderboard, Speed, judged, line, read_benchmark
from isotune.runs.records import Cell, Record, latest
from isotune.runs.store import Store
from isotune.verification import kept

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class Runs:
    """Records of cells, each one run of one model, and the speeds that the benchmark suite measured.

    It is a sequence of records (`isotune.runs.records.Record`, fields as in `isotune report --schema`): `len(runs)`,
    `runs[0].metrics.accuracy`, `for record in runs`. A notebook shows its leaderboard.

    records: of any models, data sets, protocols; of a cell that was run several times the last one counts, and the
    others are in `earlier`. speeds: see `isotune.report.Speed`. store: where predictions lie.
    damaged: a line for each record of the store that could not be read.
    kept: keys of the cells that `isotune.run` found done before, or another process did, and did not run again.
    left: cells that were not begun, as the time was up or as only failed ones were asked for.
    unread: of a large sweep, whose records are not given and `isotune.load_runs` has, how many cells are "done" and
        "failed", and how many were so before: "done before", "failed before".
    handed_in: published numbers of the user's, and which cells each is about.
    """

    def __init__(
        self,
        records: Iterable[Record],
        speeds: Iterable[Speed] = (),
        store: str | os.PathLike[str] | None = None,
        damaged: Iterable[str] = (),
        *,
        kept: Iterable[str] = (),
        left: Iterable[Cell] = (),
        unread: Mapping[str, int] | None = None,
        handed_in: Iterable[HandedIn] = (),
    ) -> None:
        given = list(records)
        counted = {id(record) for record in latest(given)}
        self.records = tuple(record for record in given if id(record) in counted)
        self.earlier = tuple(record for record in given if id(record) not in counted)
        self.speeds, self.damaged, self.kept = tuple(speeds), tuple(damaged), frozenset(kept)
        self.left, self.unread, self.handed_in = tuple(left), Counter(unread or {}), tuple(handed_in)
        self.store = None if store is None else Path(store)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, place: int) -> Record:
        return self.records[place]

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __repr__(self) -> str:
        speeds = f", {len(self.speeds)} speeds" if self.speeds else ""
        where = f" in {self.store}" if self.store else ""
        return f"<Runs: {len(self.done)} done, {len(self.failed)} failed{speeds}{where}>"

    @property
    def done(self) -> list[Record]:
        """Those that gave an accuracy."""
        return [record for record in self.records if record.status == "done"]

    @property
    def failed(self) -> list[Record]:
        """Those that failed; `record.error` says why, in one line."""
        return [record for record in self.records if record.status == "failed"]

    def where(self, choose: Callable[[Record], bool]) -> Runs:
        """The runs whose record is chosen: `runs.where(lambda record: record.cell.dataset == "digits")`."""
        if not callable(choose):
            raise arguments.wrong("choose", "a function of a record", choose)
        chosen = filter(choose, (*self.records, *self.earlier))
        return Runs(chosen, self.speeds, self.store, self.damaged, handed_in=self.handed_in)

    def predictions(self, record: Record) -> np.ndarray:
        """The classes that a run predicted, int64 [test images]. UsageError: they are not kept, or damaged."""
        if not isinstance(record, Record):
            raise arguments.wrong("record", "one of these records", record)
        if self.store is None:
            raise UsageError(
                "these runs came without predictions; load them from their store: isotune.load_runs(STORE)"
            )
        return Store(self.store).predictions(record)

    def frame(self) -> pd.DataFrame:
        """A pandas table with a row for each run.

        Accuracies are shares of 1, losses nats, times seconds, rates images/s, memory bytes; what is not known is
        missing (NaN, None). Seeds stand in a column a stream: seed_head, seed_order, seed_augmentation, seed_mixing ...
        """
        return export.frame(self.records)

    def speed_frame(self) -> pd.DataFrame:
        """A pandas table with a row for each speed that the suite measured: milliseconds of a batch with their 95 %
        interval, images/s, bytes."""
        return export.speed_frame(self.speeds)

    def export(
        self, to: str, folder: str | os.PathLike[str], *, benchmarks: Iterable[str] = (), replace: bool = False
    ) -> list[Path]:
        """Write the runs in another tool's format into a folder; the files.

        to: "csv" or "parquet" (one row a run, and a table of the speeds), "tensorboard" (event files), "mlflow" (a
            tracking database, SQLite), "eval-results" (`.eval_results/*.yaml` of the Hugging Face Hub).
        benchmarks: of "eval-results", which benchmark of the Hub each data set is: "digits=OWNER/NAME:TASK".
        replace: also files of the same names that are there.
        Errors: UsageError: no such format, nothing to write, a file is there; MissingExtra: the tool's library is not
        installed.

        >>> isotune.load_runs(".isotune/records").export("csv", "my-tables")
        """
        if not isinstance(to, str):
            raise arguments.wrong("to", f"a format: {', '.join(export.FORMATS)}", to)
        named = [benchmarks] if isinstance(benchmarks, str) else list(benchmarks)
        place = arguments.path(folder, "folder")
        return export.export(self.records, self.speeds, to, place, benchmarks=named, replace=replace)

    def leaderboard(self, *, command: str | None = None) -> Leaderboard:
        """The report on these runs. command: what made them, for its evidence. UsageError: there is none."""
        if not isinstance(command, str | None):
            raise arguments.wrong("command", "a text", command)
        every = (*self.records, *self.earlier)
        return Leaderboard(
            every, self.speeds, command=command, predictions=self._predictions, damaged=self.damaged,
            handed_in=self.handed_in,
        )  # fmt: skip

    def judged(self) -> list[Judged]:
        """The published numbers that were handed in (`expect`), each judged on its runs, a set-up at a time:
        `.verdict.outcome`, `.verdict.effect` (points, ours minus theirs), `.verdict.interval90`."""
        return judged(self.records, self.handed_in, self._predictions)

    def judged_lines(self) -> list[str]:
        """Of each: what was claimed, measured and concluded, in one line."""
        return [line(each) for each in self.judged()]

    @property
    def _predictions(self) -> Callable[[Record], np.ndarray] | None:
        return None if self.store is None else Store(self.store).predictions

    def preprocessing_lines(self) -> list[str]:
        """Of evaluations of a checkpoint's own classifier: what each step of preprocessing costs, a line a step,
        counted image by image (points of accuracy, share of predictions that changed, McNemar's test)."""
        evaluated = [record for record in self.records if record.cell.protocol.own_classifier]
        if not evaluated or self.store is None:
            return []
        from isotune.runs.preprocessing_costs import costs, lines

        return list(lines(costs(evaluated, Store(self.store))))

    def _repr_html_(self) -> str | None:
        return self.leaderboard()._repr_html_() if self.records or self.speeds else None


def load_runs(
    source: str | os.PathLike[str] = defaults.STORE, *, store: str | os.PathLike[str] = defaults.STORE
) -> Runs:
    """Runs that were made before.

    source: a folder of records, or the JSON of `pytest benchmarks/ --benchmark-json=FILE`. store: of a JSON, the folder
    where the predictions of its runs lie.
    Errors: UsageError: there is no such place, a record or the JSON is damaged, or it holds no runs.

    >>> runs = isotune.load_runs(".isotune/records")
    >>> runs.frame().groupby(["model", "conventions"]).accuracy.mean()
    """
    place, beside = arguments.path(source, "source"), arguments.path(store, "store")
    if place.is_dir():
        store_of, (handed, damaged) = Store(place), kept(place)
        records = store_of.all()
        runs = Runs(records, store=place, damaged=[*store_of.damaged, *damaged], handed_in=handed)
    elif place.is_file():
        runs = Runs(*read_benchmark(place), store=beside)
    else:
        raise UsageError(
            f"there is no {place}; give a folder of records ('isotune run' makes {defaults.STORE}) or a JSON"
        )
    if not runs.records and not runs.speeds:
        raise UsageError(f"{place} holds no records; 'isotune run' makes some")
    return runs
