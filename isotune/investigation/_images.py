"""The images that the ladder is walked with."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from isotune import data
from isotune.protocols import Protocol
from isotune.runs.own_classifier import classes

Array = np.ndarray


class Batch:
    """A few of the protocol's training images (test images, where the data set has no others), spread over all."""

    def __init__(self, dataset: data.Dataset, recipe: Protocol, count: int, *, own_classifier: bool = False) -> None:
        """own_classifier: labels are outputs of the checkpoint's own."""
        self._dataset, self._recipe, self._count, self._own_classifier = dataset, recipe, count, own_classifier

    @property
    def encoded(self) -> bool:
        return data.encoded(self._dataset)

    def pixels(self, decode: Any, resize: Any) -> Array:
        """The protocol's view of them under two axes, uint8 [count, size, size, 3]."""
        recipe = self._recipe
        view, _ = data.inputs(
            self._dataset, self._split, recipe.images, recipe.input, resize=resize, decode=decode
        )  # fmt: skip
        return np.ascontiguousarray(view[self._chosen(len(view))])

    def labels(self) -> Array:
        """int64 [count]: of the data set's classes, or of the outputs of the checkpoint's own classifier."""
        labels: Array = getattr(self._dataset, self._split).labels
        part = data.subset(labels, getattr(self._recipe.images, self._split))
        chosen: Array = labels[part[self._chosen(len(part))]]
        if not self._own_classifier:
            return chosen
        outputs: Array = classes.planned(self._dataset, self._recipe)[chosen]
        return outputs

    @property
    def _split(self) -> Literal["train", "test"]:
        return "train" if len(self._dataset.train) else "test"

    def _chosen(self, count: int) -> Array:
        return np.linspace(0, count - 1, min(self._count, count)).round().astype(np.int64)
