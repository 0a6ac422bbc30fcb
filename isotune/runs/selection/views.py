"""The images of an evaluation: one crop of each, or three whose probabilities are averaged.

Three are cut as in Szegedy et al. 2015 (isotune.data.resizing), whose softmax probabilities are averaged over the crops
(section 7), as Krizhevsky et al. 2012 (section 4.1) have it of ten. What is given back are logits, the logarithms of
the averaged probabilities, so that loss and calibration error are those of the average.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from isotune.data import Place
from isotune.progress import Progress
from isotune.runs import training

if TYPE_CHECKING:
    from isotune.adapters.base import Model

PLACES: dict[Literal["centre", "three-crop"], tuple[Place, ...]] = {
    "centre": ("centre",),
    "three-crop": ("start", "centre", "end"),
}
_MIDDLE = PLACES["three-crop"].index("centre")


@dataclass(frozen=True)
class Views:
    """images: of each crop, uint8 [N, size, size, 3]. labels: int64 [n]. numbers: of those that are evaluated, int64
    [n]; None: all."""

    images: tuple[np.ndarray, ...]
    labels: np.ndarray
    batch_size: int
    numbers: np.ndarray | None = None

    def logits(self, model: Model, progress: Progress) -> np.ndarray:
        """[n, classes], in inference mode."""
        return self.passed(model, progress).logits

    def passed(self, model: Model, progress: Progress) -> Passed:
        """What each crop gave, in inference mode."""
        each, seconds = [], []
        for crop in self.images:
            began = time.perf_counter()
            each.append(training.logits_in_batches(model, crop, self.batch_size, progress, self.numbers))
            seconds.append(time.perf_counter() - began)
        if len(each) == 1:
            return Passed(each[0], None, tuple(seconds))
        return Passed(averaged(each), each[_MIDDLE], tuple(seconds))


@dataclass(frozen=True)
class Passed:
    """logits: [n, classes]. centre: those of the centre crop alone, likewise; None: they are all. seconds: that each
    crop took, in the order of `PLACES`; the first has what is compiled or loaded then."""

    logits: np.ndarray
    centre: np.ndarray | None
    seconds: tuple[float, ...]


def views(
    inputs: Callable[[Place], tuple[np.ndarray, np.ndarray]],
    crops: Literal["centre", "three-crop"],
    batch_size: int,
    numbers: np.ndarray | None = None,
) -> Views:
    """inputs: images with a crop at a place, and their labels. numbers: of those that are evaluated; None: all."""
    made = [inputs(place) for place in PLACES[crops]]
    labels = made[0][1]
    return Views(
        tuple(images for images, _ in made), labels if numbers is None else labels[numbers], batch_size, numbers
    )


def averaged(logits: list[np.ndarray]) -> np.ndarray:
    """float64 [N, classes]: logarithms of the mean of the probabilities that logits, each [N, classes], stand for."""
    shares = np.stack([_log_softmax(each.astype(np.float64)) for each in logits])
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.logaddexp.reduce(shares, axis=0) - np.log(len(logits))
    return mean


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        shifted = logits - logits.max(axis=1, keepdims=True)
        shares: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shares
