"""Sides to compare: runs of a few models, each seed with an accuracy of a hundred images or so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from record_factories import NOW

from isotune import changes, protocols
from isotune.changes import Side
from isotune.protocols import OwnClassifier
from isotune.report import Speed
from isotune.runs.records import Cell, Metrics, Record, Timings, predictions_digest
from isotune.seeds import Seeds
from isotune.workers.disturbance import Disturbance

QUICK = protocols.load("quick")
TRAINED = protocols.load("quick-fine-tune")
OWN = protocols.load("own-classifier").model_copy(update={"own_classifier": OwnClassifier(input="protocol")})
MODEL = "torchvision:mobilenet_v2"
MACHINE = {"cpu": "Example CPU", "cores": "2", "device": "cpu", "torch": "2.8.0", "numpy": "2.4.0"}
QUIET, BUSY = Disturbance(others=0.0), Disturbance(others=0.5)


def record(
    accuracy: float | None = 0.9,
    *,
    seed: int = 0,
    images: int = 1000,
    model: str = MODEL,
    protocol: protocols.Protocol = TRAINED,
    environment: Mapping[str, str] = MACHINE,
    predictions: np.ndarray | None = None,
    timings: Timings | None = None,
    minutes: float = 0,
    architecture: str = "",
    same_as: str | None = None,
    **cell: Any,
) -> Record:
    """accuracy: a share of 1, of whole images; None: the run failed. predictions: whose digest it has."""
    asked = {"checkpoint": "offline", "dataset": "digits", "dataset_digest": "d" * 64, "protocol": protocol}
    done = accuracy is not None
    finished = NOW + timedelta(minutes=minutes)
    digest = predictions_digest(predictions) if predictions is not None else f"{model} {seed} {accuracy}"
    return Record(
        cell=Cell(**({"model": model, "seeds": Seeds.all(seed), **asked} | cell)),
        status="done" if done else "failed",
        error=None if done else "out of memory",
        architecture=architecture,
        metrics=Metrics(accuracy=accuracy, test_images=images, train_images=100) if accuracy is not None else None,
        predictions_digest=digest if done else None,
        timings=timings,
        environment=dict(environment),
        same_as=same_as,
        started=finished,
        finished=finished,
    )


def runs(accuracies: Sequence[float | None], **rest: Any) -> list[Record]:
    """One model's, a seed each."""
    return [record(accuracy, seed=seed, **rest) for seed, accuracy in enumerate(accuracies)]


def side(records: Sequence[Record] = (), speeds: Sequence[Speed] = (), **rest: Any) -> Side:
    return changes.of_records("records", records, speeds, **rest)


def speed(
    rate: float = 200.0, *, busy: Sequence[bool] = (), rounds: int = 9, noise: float = 0.02, **rest: Any
) -> Speed:
    """A training step at batch 32; busy: rounds that something disturbed."""
    factors = np.random.default_rng(int(rate)).normal(1, noise, rounds)
    values: dict[str, Any] = {
        "question": "training-step", "model": MODEL, "image_size": 96, "batch_size": 32, "environment": MACHINE,
        "seconds": [32 / rate * factor for factor in factors],
        "disturbances": [BUSY if each else QUIET for each in busy],
    }  # fmt: skip
    return Speed(**(values | rest))
