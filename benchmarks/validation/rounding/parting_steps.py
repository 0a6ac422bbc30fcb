"""What a worker does for parting.py: one training, from weights that are off by a little, looked at along the way."""

from __future__ import annotations

from typing import Any

import numpy as np

from isotune import data, protocols
from isotune.data.augmentation import Augmenter
from isotune.models.building import Builder
from isotune.protocols import Mode
from isotune.runs import scores, training
from isotune.seeds import Seeds
from isotune.weights import head_weights
from isotune.workers.worker import Worker

RECIPE, DATASET = "quick-fine-tune", "digits"


def train(
    worker: Worker, model: str, numeric_mode: str, off: float, at: list[int], images: int
) -> dict[str, list[Any]]:
    """{"losses": of the test images after so many steps; "predictions": classes [steps][images]}.

    off: every weight is multiplied by 1 + off * (a normal deviate).
    """
    recipe, dataset = protocols.load(RECIPE), data.prepare(DATASET)
    built = worker.kept(Builder).build(
        model, checkpoint="offline", conventions="identical", recipe=recipe.conventions, classes=len(dataset.classes),
        mode=Mode.parse(numeric_mode), size=recipe.input.size,
    )  # fmt: skip
    head = head_weights(built.initial["head.kernel"].shape[0], len(dataset.classes), "uniform-fan-in", 0)
    stream = np.random.default_rng(1)
    weights = {name: np.asarray(array) for name, array in {**built.initial, **head}.items()}
    if off:
        weights = {
            name: (array * (1 + off * stream.standard_normal(array.shape))).astype(array.dtype)
            for name, array in weights.items()
        }
    built.reset()
    built.model.load(weights)
    axes = built.conventions
    where = {"resize": axes.resize, "decode": axes.decode}
    test, truth = data.inputs(dataset, "test", recipe.images, recipe.input, **where)
    test, truth = test[:images], truth[:images]
    augmenter = Augmenter(dataset, recipe.images, recipe.input, recipe.augmentation, **where)
    losses: list[float] = []
    predictions: list[list[int]] = []

    def look(what: str, done: int, total: int) -> None:
        if done in at:
            logits = training.logits_in_batches(built.model, test, recipe.evaluation.batch_size, lambda *_: None)
            losses.append(scores.cross_entropy(logits, truth) or float("nan"))
            predictions.append(logits.argmax(axis=1).tolist())
        worker.progress(what, done, total)

    look("training", 0, max(at))
    training.train(built.model, recipe.stage, augmenter, augmenter.labels, Seeds.all(0), look)
    return {"losses": losses, "predictions": predictions}
