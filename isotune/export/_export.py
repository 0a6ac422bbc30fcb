"""Records and speeds to one of the formats."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from isotune.errors import UsageError, nearest
from isotune.export._events import write_events
from isotune.export._results import parse_benchmarks, write_results
from isotune.export._tables import write_csv, write_parquet
from isotune.export._tracking import write_tracking
from isotune.export._writing import put
from isotune.report import Speed
from isotune.runs.records import Record

FORMATS = {
    "csv": "runs.csv and speeds.csv",
    "parquet": "runs.parquet and speeds.parquet",
    "tensorboard": "a folder of event files for each run",
    "mlflow": "mlflow.db, a tracking database",
    "eval-results": ".eval_results/*.yaml of each model, for its repository on the Hugging Face Hub",
}
_WITH_SPEEDS = ("csv", "parquet")


def export(
    records: Iterable[Record],
    speeds: Iterable[Speed],
    to: str,
    folder: Path,
    *,
    benchmarks: Iterable[str] = (),
    replace: bool = False,
) -> list[Path]:
    """Write records and speeds in a format of `FORMATS` into a folder; the files.

    benchmarks: of evaluation results, "DATASET=OWNER/NAME:TASK" for each data set. replace: also what is there by the
    same names. Speeds have a place in tables alone; the other formats are of runs.
    UsageError: there is no such format, nothing to write, or a file is there; MissingExtra: its library is not
    installed.
    """
    if to not in FORMATS:
        raise UsageError(f"format {to!r}: {nearest(to, FORMATS)}")
    known, named, timed = list(records), parse_benchmarks(benchmarks), list(speeds)
    if named and to != "eval-results":
        raise UsageError(f"benchmark: only evaluation results name one, and {to} does not; leave it out")
    if not known and not (timed and to in _WITH_SPEEDS):
        raise UsageError(f"there is nothing for {to}: no run is there; run first: isotune run")

    def write(draft: Path) -> None:
        if to == "csv":
            write_csv(known, timed, draft)
        elif to == "parquet":
            write_parquet(known, timed, draft)
        elif to == "tensorboard":
            write_events(known, draft)
        elif to == "mlflow":
            write_tracking(known, draft, folder)
        else:
            write_results(known, draft, named)

    return put(folder, write, replace=replace)
