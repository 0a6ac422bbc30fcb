"""Synthetic records and speeds for the tests of reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from isotune.protocols import SGD, Images, Input, Probe, Protocol, Schedule, Stage
from isotune.report import Speed
from isotune.runs.records import Cell, Memory, Metrics, Record, Timings, predictions_digest
from isotune.seeds import Seeds

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
QUICK = Protocol(
    name="quick",
    title="Linear probe",
    source="Kornblith et al. 2019, section 4",
    images=Images(train=2000, test=1000),
    input=Input(size=96),
    probe=Probe(l2=(1e-3,)),
)
FINE_TUNE = Protocol(
    name="fine-tune-sgd",
    title="All layers",
    source="here",
    input=Input(size=96),
    stage=(Stage(epochs=1, batch_size=32, optimizer=SGD(name="sgd"), schedule=Schedule(learning_rate=0.01)),),
)
ENVIRONMENT = {"cpu": "Example CPU @ 2.0 GHz", "threads": "2", "numpy": "2.4.6"}


def predictions(wrong: int, images: int = 1000) -> np.ndarray:
    """int64 [images]: the first `wrong` are class 1, which is wrong; the rest class 0, which is right."""
    return (np.arange(images) < wrong).astype(np.int64)


def record(
    model: str = "torchvision:mobilenet_v2",
    accuracy: float = 0.85,
    *,
    conventions: str = "identical",
    seed: int = 0,
    dataset: str = "fashion-mnist",
    protocol: Protocol = QUICK,
    checkpoint: str = "offline",
    architecture: str = "mobilenet_v2",
    images: int = 1000,
    error: str | None = None,
    minutes: float = 0.0,
    timings: dict[str, Any] | None = None,
    digest: str | None = None,
    **cell: Any,
) -> Record:
    """A record whose predictions are `predictions(wrong)` with `wrong` from the accuracy."""
    begun = START + timedelta(minutes=minutes)
    wrong = round((1 - accuracy) * images)
    rates = timings or {"features": 10.0, "features_images": 3000, "training": 2.0, "training_images": 400}
    return Record(
        cell=Cell(
            model=model,
            checkpoint=checkpoint,
            dataset=dataset,
            dataset_digest="d" * 64,
            protocol=protocol,
            conventions=conventions,
            seeds=Seeds.all(seed),
            **cell,
        ),
        status="failed" if error else "done",
        error=error,
        architecture=architecture,
        checkpoint_digest="c0ffee" * 10,
        metrics=None if error else Metrics(accuracy=accuracy, test_images=images, train_images=2000),
        predictions_digest=None if error else (digest or predictions_digest(predictions(wrong, images))),
        timings=None if error else Timings(total=12.0, first_step=1.25, **rates),
        memory=None if error else Memory(resident=600 * 2**20, baseline=450 * 2**20),
        environment=ENVIRONMENT | {"library": model.partition(":")[0]},
        started=begun,
        finished=begun + timedelta(seconds=30),
    )


LIBRARIES = {"torchvision:mobilenet_v2": 180.0, "timm:mobilenetv2_100": 195.0, "keras:MobileNetV2": 240.0}
SEEDS = (0.853, 0.849, 0.851, 0.848, 0.849)


def default_run(dataset: str = "fashion-mnist", cost: float = 0.061) -> list[Record]:
    """As the issue expects it: equal under identical conventions, Keras's defaults cost `cost`."""
    return [
        record(
            model,
            accuracy - (cost if model.startswith("keras") and conventions == "native" else 0),
            conventions=conventions,
            seed=seed,
            dataset=dataset,
        )
        for model in LIBRARIES
        for conventions in ("identical", "native")
        for seed, accuracy in enumerate(SEEDS)
    ]


def speed(model: str = "torchvision:mobilenet_v2", rate: float = 180.0, **other: Any) -> Speed:
    batch = other.setdefault("batch_size", 32)
    noise = np.random.default_rng(3).normal(1, 0.04, 9).tolist()
    values: dict[str, Any] = {
        "question": "training-step",
        "architecture": "mobilenet_v2",
        "image_size": 96,
        "seconds": [batch / rate * factor for factor in noise],
        "first_step": 2.5,
        "resident": 700 * 2**20,
        "environment": ENVIRONMENT,
    }
    return Speed(model=model, **(values | other))


def default_speeds() -> list[Speed]:
    return [
        made
        for model, rate in LIBRARIES.items()
        for made in (
            speed(model, rate),
            speed(model, 3 * rate, question="inference-throughput"),
            speed(model, rate / 2, question="inference-latency", batch_size=1),
        )
    ]
