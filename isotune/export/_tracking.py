"""MLflow's tracking database: an experiment for each data set and protocol, a run for each cell.

SQLite, which MLflow takes where nothing is said (its folders of files are no longer developed), through its own client.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from isotune.errors import MissingExtra
from isotune.export import _cells as cells
from isotune.runs.records import Record

DATABASE = "mlflow.db"
_MOST = 1000  # numbers in one request
_SAYS_NOTHING = "MLFLOW_DISABLE_TELEMETRY"  # or it tells its makers that it is used


def write_tracking(records: Sequence[Record], folder: Path, home: Path) -> None:
    """`mlflow.db`. home: the folder that it will lie in, which its runs name as their artifacts' place.

    Parameters are what was asked, metrics the scores (`accuracy` a share of 1, `train_loss` with a step for each
    epoch), tags the versions and flags (`environment.NAME`) and the digests. MissingExtra: there is no MLflow, or no
    SQLAlchemy.
    """
    os.environ.setdefault(_SAYS_NOTHING, "true")
    try:
        import alembic  # noqa: F401
        import sqlalchemy  # noqa: F401
        from mlflow import MlflowClient
    except ImportError as error:
        raise MissingExtra(str(error.name or "mlflow").partition(".")[0], "isotune[mlflow]") from None
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)  # a line for each of its database's migrations
    client = MlflowClient(tracking_uri=f"sqlite:///{(folder / DATABASE).absolute()}")
    experiments: dict[str, str] = {}
    for record in records:
        title = _experiment(record)
        if title not in experiments:
            place = (home / "artifacts").absolute().as_uri()
            experiments[title] = client.create_experiment(title, artifact_location=place)
        _log(client, experiments[title], record)


def _experiment(record: Record) -> str:
    asked = cells.asked(record)
    return f"{asked['dataset']}, {asked['protocol']}"


def _log(client: Any, experiment: str, record: Record) -> None:
    from mlflow.entities import Metric, Param, RunTag

    began, ended = _milliseconds(cells.began(record)), _milliseconds(cells.ended(record))
    run = client.create_run(experiment, start_time=began, run_name=cells.name(record)).info.run_id
    metrics = [Metric(key, value, ended, 0) for key, value in cells.scores(record).items()]
    metrics += [Metric("train_loss", loss, ended, epoch) for epoch, loss in cells.losses(record)]
    metrics += [Metric("while_training", value, ended, step) for step, value in cells.curve(record)]
    params = [Param(key, str(value)) for key, value in cells.asked(record).items() if value != ""]
    tags = [RunTag(f"environment.{key}", value) for key, value in record.environment.items()]
    tags += [RunTag(key, value) for key, value in cells.digests(record).items()]
    if record.error:
        tags.append(RunTag("error", record.error))
    client.log_batch(run, metrics[:_MOST], params, tags)
    for begin in range(_MOST, len(metrics), _MOST):
        client.log_batch(run, metrics[begin : begin + _MOST])
    client.set_terminated(run, "FINISHED" if record.status == "done" else "FAILED", ended)


def _milliseconds(time: datetime) -> int:
    return round(1000 * time.timestamp())
