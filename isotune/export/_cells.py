"""What every format tells of a cell: what was asked, what came of it, under what it was computed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from isotune.models import told
from isotune.runs.records import Record, moment
from isotune.seeds import STREAMS


def asked(record: Record) -> dict[str, str | int]:
    """What tells it from others: names without paths, the seed of each stream."""
    cell = record.cell
    return {
        "model": told.model(cell.model),
        "architecture": record.architecture or "",
        "checkpoint": told.checkpoint(cell.checkpoint),
        "dataset": told.dataset(cell.dataset),
        "protocol": cell.protocol.name,
        "step": cell.protocol.own_classifier.step if cell.protocol.own_classifier else "",
        "conventions": cell.conventions,
        "mode": cell.mode,
        **{f"seed_{stream}": cell.seeds.of(stream) for stream in STREAMS},
    }


def name(record: Record) -> str:
    """In one line."""
    told_cell = record.cell.model_copy(
        update={
            "model": told.model(record.cell.model),
            "dataset": told.dataset(record.cell.dataset),
        }
    )
    return str(told_cell)


def scores(record: Record) -> dict[str, float]:
    """Shares of 1, nats, seconds, images/s, bytes; without what is not known."""
    metrics, times, memory = record.metrics, record.timings, record.memory
    values: dict[str, float | None] = {}
    if metrics:
        values |= {
            "accuracy": metrics.accuracy, "top5": metrics.top5, "mean_per_class": metrics.mean_per_class,
            "loss": metrics.loss, "calibration_error": metrics.calibration_error,
            "train_images": metrics.train_images, "test_images": metrics.test_images,
            "last_accuracy": metrics.last_accuracy, "centre_accuracy": metrics.centre_accuracy, **by_name(record),
        }  # fmt: skip
    if times:
        values |= {
            "seconds": times.total,
            "training_seconds": times.training,
            "training_images_per_second": rate(record),
        }
    if memory:
        values |= {"peak_memory": memory.resident, "device_memory": memory.device}
    return {key: float(value) for key, value in values.items() if value is not None}


def by_name(record: Record) -> dict[str, float]:
    """Of a protocol that selects: `accuracy.best`, `mean_per_class.last` and so on, shares of 1, and after which step
    it was best; that which counts stands as `accuracy` too."""
    chosen = record.metrics.selected if record.metrics else None
    if chosen is None:
        return {}
    values = {f"accuracy.{name}": share for name, share in chosen.accuracy.items()}
    values |= {f"mean_per_class.{name}": share for name, share in chosen.mean_per_class.items()}
    return values if chosen.best_step is None else values | {"best_step": chosen.best_step}


def curve(record: Record) -> Iterator[tuple[int, float]]:
    """(step, the protocol's metric of the images evaluated while training) of each evaluation that is finite."""
    chosen = record.metrics.selected if record.metrics else None
    for step, value in chosen.curve if chosen else ():
        if value is not None:
            yield step, value


def rate(record: Record) -> float | None:
    """Images/s of the training steps, or of a probe's fits."""
    times = record.timings
    if times is None or not times.training or not times.training_images:
        return None
    return times.training_images / times.training


def losses(record: Record) -> Iterator[tuple[int, float]]:
    """(epoch, mean training loss in nats) of each epoch whose loss is finite."""
    for epoch, loss in enumerate(record.metrics.train_loss if record.metrics else ()):
        if loss is not None:
            yield epoch, loss


def digests(record: Record) -> dict[str, str]:
    """SHA-256 of what went in, the user's files among it, and came out, and the cell's key."""
    values = {
        "key": record.cell.key,
        "network_digest": record.cell.network_digest,
        "weights_digest": record.cell.weights_digest,
        "dataset_digest": record.cell.dataset_digest,
        "checkpoint_digest": record.checkpoint_digest,
        "predictions_digest": record.predictions_digest,
    }
    return {key: value for key, value in values.items() if value}


def began(record: Record) -> datetime:
    return moment(record.started)


def ended(record: Record) -> datetime:
    return record.ended
