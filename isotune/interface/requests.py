"""Called in a worker, for `isotune.open_model`: one model is built and asked; arrays come and go as .npy files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from isotune import names
from isotune.models.building import Builder, Built
from isotune.protocols import Mode
from isotune.weights import HEAD, Weights, head_weights
from isotune.workers.worker import Worker

DRAWN_CLASSES = 10  # of a classifier where the checkpoint has none


class _Opened:
    """The model of this worker."""

    def __init__(self, worker: Worker) -> None:
        self.builder = worker.kept(Builder)
        self.built: Built | None = None

    @property
    def model(self) -> Any:
        assert self.built is not None, "no model was opened"
        return self.built.model


def open_model(
    worker: Worker,
    model: str,
    checkpoint: str,
    conventions: str,
    mode: dict[str, Any],
    size: int,
    classes: int | None,
    seed: int,
) -> dict[str, Any]:
    """Build the model; what is known of it. classes: None keeps the checkpoint's classifier, if it has one."""
    opened = worker.kept(_Opened)
    weights = opened.builder.checkpoint(model, checkpoint, size).weights
    own = classes is None and not (isinstance(weights, Weights) and weights.outputs is None)
    opened.built = built = opened.builder.build(
        model, checkpoint=checkpoint, conventions=conventions, recipe={}, size=size,
        classes=None if own else classes or DRAWN_CLASSES, mode=Mode.model_validate(mode),
    )  # fmt: skip
    if not own:
        features = built.initial[f"{HEAD}.kernel"].shape[0]
        built.reset(head_weights(features, classes or DRAWN_CLASSES, built.conventions.head_initialisation, seed))
    return {
        "model": str(names.parse(model)),
        "architecture": built.architecture,
        "conventions": built.conventions.model_dump(mode="json"),
        "layers": [asdict(layer) for layer in built.model.layers()],
        "environment": opened.builder.environment(built),
        "own_classifier": own,
        "classes": kernel.shape[-1] if (kernel := built.initial.get(f"{HEAD}.kernel")) is not None else None,
    }


def arrays(worker: Worker, what: str, folder: str, **options: Any) -> list[str]:
    """Write what the model gives of the images in a folder, one array a file, `0.npy` and so on; their names.

    what: features, logits, network_input, activations, gradients or weights.
    """
    model, place = worker.kept(_Opened).model, Path(folder)
    images, labels = (
        np.load(file) if (file := place / name).exists() else np.empty(0) for name in ("images.npy", "labels.npy")
    )
    given: Iterable[tuple[str, np.ndarray]]
    match what:
        case "features" | "logits" | "network_input":
            given = [(what, _in_batches(model, what, images, options["batch_size"], worker))]
        case "activations":
            given = model.activations(images, **options)
        case "gradients":
            given = model.gradients(images, labels, **options).items()
        case "weights":
            given = model.weights().items()
    told = []
    for number, (name, array) in enumerate(given):
        np.save(place / f"{number}.npy", np.asarray(array), allow_pickle=False)
        told.append(name)
    return told


def load(worker: Worker, file: str) -> None:
    """Set tensors of the model."""
    worker.kept(_Opened).model.load(Weights.read(Path(file)))


def _in_batches(model: Any, what: str, images: np.ndarray, batch_size: int, worker: Worker) -> np.ndarray:
    compute = getattr(model, what)
    parts = []
    for start in range(0, len(images), batch_size):
        parts.append(np.asarray(compute(np.ascontiguousarray(images[start : start + batch_size]))))
        worker.progress(what, min(start + batch_size, len(images)), len(images))
    return np.concatenate(parts)
