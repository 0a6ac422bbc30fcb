"""TensorBoard's event files: a folder for each run, in it its scores, its training losses and what was asked.

Written with TensorBoard's own summaries and records, so that nothing here knows the format. The file's name is made of
the run's, so that a run that is exported again takes its own place, and no viewer reads it twice.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from isotune.errors import MissingExtra
from isotune.export import _cells as cells
from isotune.export._writing import file_names_of
from isotune.runs.records import Record

_KEY = 8  # digits of a cell's key: runs that go by one name are told apart


def write_events(records: Sequence[Record], folder: Path) -> None:
    """`RUN/events.out.tfevents.SECONDS.isotune`. Accuracies are shares of 1 (tag `test/accuracy`), `train/loss` has a
    step for each epoch. MissingExtra: there is no TensorBoard."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError:
        raise MissingExtra("tensorboard", "isotune[tensorboard]") from None
    folders = file_names_of(_name(record) for record in records)
    for record in records:
        place = folder / folders[_name(record)]
        place.mkdir()
        began, ended = cells.began(record).timestamp(), cells.ended(record).timestamp()
        content = io.BytesIO()
        writer = RecordWriter(content)
        writer.write(Event(wall_time=began, file_version="brain.Event:2").SerializeToString())
        for step, summary in _summaries(record, began, ended):
            writer.write(Event(wall_time=ended, step=step, summary=summary).SerializeToString())
        (place / f"events.out.tfevents.{int(began)}.isotune").write_bytes(content.getvalue())


def _name(record: Record) -> str:
    return f"{cells.name(record)} {record.cell.key[:_KEY]}"


def _summaries(record: Record, began: float, ended: float) -> Iterator[tuple[int, Any]]:
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    yield 0, hparams_pb(cells.asked(record), trial_id=record.cell.key, start_time_secs=began)
    for epoch, loss in cells.losses(record):
        yield epoch, scalar_pb("train/loss", loss)
    for step, value in cells.curve(record):
        yield step, scalar_pb("while_training/metric", value)
    for score, value in cells.scores(record).items():
        yield 0, scalar_pb(f"{'test' if score.partition('.')[0] in _OF_TESTS else 'cost'}/{score}", value)
    status = Status.STATUS_SUCCESS if record.status == "done" else Status.STATUS_FAILURE
    yield 0, _session_end(HParamsPluginData(session_end_info=SessionEndInfo(status=status, end_time_secs=ended)))


def _session_end(data: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata

    summary = Summary()
    summary.value.add(
        tag=metadata.SESSION_END_INFO_TAG, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR
    )
    return summary


_OF_TESTS = {
    "accuracy", "top5", "mean_per_class", "loss", "calibration_error", "train_images", "test_images", "last_accuracy",
    "centre_accuracy", "best_step",
}  # fmt: skip
