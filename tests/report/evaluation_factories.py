"""Evaluations of checkpoints' own classifiers, whose predictions are in a store and whose images are in the cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from report_factories import record

from isotune import data
from isotune.protocols import Input, OwnClassifier, Protocol
from isotune.runs.records import Record, predictions_digest
from isotune.runs.store import Store

IMAGES = 300
CLASSES = 3
OWN = Protocol(
    name="own-classifier", title="As published", source="here", own_classifier=OwnClassifier(input="protocol"),
    input=Input(size=32, resize=36, interpolation="bilinear"),
)  # fmt: skip


@dataclass
class Kept:
    """A data set of 300 small pictures of three classes, and a store."""

    dataset: data.Dataset
    store: Store

    def evaluated(
        self, wrong: int, model: str = "timm:a", conventions: str = "identical", *, step: str = "", start: int = 0,
        recipe: Protocol = OWN, same_as: str | None = None, seed: int = 0, **other: object,
    ) -> Record:  # fmt: skip
        """A record that is wrong on so many images from `start` on. step: the name of one whose input is another."""
        labels = self.dataset.test.labels
        place = np.arange(IMAGES)
        answers = np.where((place >= start) & (place < start + wrong), (labels + 1) % CLASSES, labels)
        if step:
            own = recipe.own_classifier.model_copy(update={"step": step})
            changed = recipe.input.model_copy(update={"resize": "squash"})
            recipe = recipe.model_copy(update={"own_classifier": own, "input": changed})
        made = record(
            model, float(np.mean(answers == labels)), conventions=conventions, dataset=self.dataset.name, seed=seed,
            protocol=recipe, images=IMAGES, digest=predictions_digest(answers), checkpoint="pretrained",
            architecture="a", **other,
        )  # fmt: skip
        cell = made.cell.model_copy(update={"dataset_digest": self.dataset.digest})
        metrics = made.metrics.model_copy(update={"train_images": 0, "mean_per_class": made.metrics.accuracy})
        made = made.model_copy(update={"cell": cell, "metrics": metrics, "same_as": same_as})
        self.store.write(made, answers)
        return self.store.read(cell)
