"""Records and speeds as tables: of pandas, in CSV, in Parquet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune.errors import MissingExtra
from isotune.export import _cells as cells
from isotune.models import told
from isotune.protocols import REPORTS
from isotune.report import Speed
from isotune.report.analysis.speeds import milliseconds
from isotune.runs.records import Record
from isotune.seeds import STREAMS

if TYPE_CHECKING:
    import pandas as pd


def frame(records: Iterable[Record]) -> pd.DataFrame:
    """A row for each record. Accuracies are shares of 1, losses nats, times seconds, rates images/s, memory bytes; what
    is not known is missing (NaN, None)."""
    import pandas as pd

    rows = [[value(record) for value in _COLUMNS.values()] for record in records]
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def speed_frame(speeds: Iterable[Speed]) -> pd.DataFrame:
    """A row for each measurement: milliseconds of a batch, the median of the rounds that nothing disturbed with its
    95 % interval, and images/s of it."""
    import pandas as pd

    rows = []
    for speed in speeds:
        timing = milliseconds([speed])
        if timing is None:
            continue
        rows.append({
            "question": speed.question, "model": told.model(speed.model), "architecture": speed.architecture,
            "conventions": speed.conventions, "mode": speed.mode, "image_size": speed.image_size,
            "batch_size": speed.batch_size, "rounds": len(speed.seconds), "rounds_left_out": timing.left_out,
            "milliseconds": timing.median, "milliseconds_low": timing.low, "milliseconds_high": timing.high,
            "images_per_second": 1000 * speed.batch_size / timing.median, "first_step": speed.first_step,
            "peak_memory": speed.resident, "device_memory": speed.device, "disturbed": timing.cause,
        })  # fmt: skip
    return pd.DataFrame(rows)


def write_csv(records: Sequence[Record], speeds: Sequence[Speed], folder: Path) -> None:
    """`runs.csv` and `speeds.csv`, UTF-8, times in ISO 8601."""
    for name, table in _tables(records, speeds).items():
        file, iso = folder / f"{name}.csv", "%Y-%m-%dT%H:%M:%S.%f%z"
        # all texts in quotes: one that holds a carriage return alone would end its row otherwise
        table.to_csv(file, index=False, date_format=iso, quoting=csv.QUOTE_NONNUMERIC)


def write_parquet(records: Sequence[Record], speeds: Sequence[Speed], folder: Path) -> None:
    """`runs.parquet` and `speeds.parquet`. MissingExtra: there is no pyarrow."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingExtra("pyarrow", "isotune[parquet]") from None
    for name, table in _tables(records, speeds).items():
        table.to_parquet(folder / f"{name}.parquet", index=False, engine="pyarrow")


def _tables(records: Sequence[Record], speeds: Sequence[Speed]) -> dict[str, pd.DataFrame]:
    """Those that have rows. Of the runs every setting under which one was computed is a column `environment.NAME`."""
    import pandas as pd

    tables = {}
    if records:
        runs = frame(records)
        for column, of in (("model", told.model), ("checkpoint", told.checkpoint), ("dataset", told.dataset)):
            runs[column] = runs[column].map(of)
        for column in ("started", "finished"):
            runs[column] = pd.to_datetime(runs[column], utc=True, format="ISO8601")
        known = pd.DataFrame([cells.digests(record) for record in records]).drop(columns="key")
        settings = pd.DataFrame([record.environment for record in records]).add_prefix("environment.")
        tables["runs"] = pd.concat([runs, known, settings[sorted(settings.columns)]], axis=1)
    if speeds:
        tables["speeds"] = speed_frame(speeds)
    return tables


def _seed(stream: str, record: Record) -> int:
    return record.cell.seeds.of(stream)


def _named(name: str, record: Record) -> float | None:
    return cells.by_name(record).get(name)


_COLUMNS: dict[str, Callable[[Record], Any]] = {
    "model": lambda record: record.cell.model,
    "architecture": lambda record: record.architecture or None,
    "checkpoint": lambda record: record.cell.checkpoint,
    "dataset": lambda record: record.cell.dataset,
    "protocol": lambda record: record.cell.protocol.name,
    "conventions": lambda record: record.cell.conventions,
    "mode": lambda record: record.cell.mode,
    **{f"seed_{stream}": partial(_seed, stream) for stream in STREAMS},
    "status": lambda record: record.status,
    "error": lambda record: record.error,
    "accuracy": lambda record: record.metrics and record.metrics.accuracy,
    "top5": lambda record: record.metrics and record.metrics.top5,
    "mean_per_class": lambda record: record.metrics and record.metrics.mean_per_class,
    "reports": lambda record: record.cell.protocol.selection and record.cell.protocol.selection.reports,
    **{f"accuracy.{name}": partial(_named, f"accuracy.{name}") for name in REPORTS},
    **{f"mean_per_class.{name}": partial(_named, f"mean_per_class.{name}") for name in REPORTS},
    "best_step": partial(_named, "best_step"),
    "last_accuracy": lambda record: record.metrics and record.metrics.last_accuracy,
    "centre_accuracy": lambda record: record.metrics and record.metrics.centre_accuracy,
    "loss": lambda record: record.metrics and record.metrics.loss,
    "calibration_error": lambda record: record.metrics and record.metrics.calibration_error,
    "train_images": lambda record: record.metrics and record.metrics.train_images,
    "test_images": lambda record: record.metrics and record.metrics.test_images,
    "seconds": lambda record: record.timings and record.timings.total,
    "training_seconds": lambda record: record.timings and record.timings.training,
    "training_images_per_second": cells.rate,
    "alone": lambda record: record.timings and record.timings.alone,
    "peak_memory": lambda record: record.memory and record.memory.resident,
    "device_memory": lambda record: record.memory and record.memory.device,
    "started": lambda record: record.started,
    "finished": lambda record: record.finished,
    "key": lambda record: record.cell.key,
}
