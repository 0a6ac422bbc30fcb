"""What the test images say: one accuracy's sampling error, and whether two sets of predictions differ."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
import scipy

from isotune.statistics._estimates import check_confidence


@dataclass(frozen=True)
class McNemar:
    """Test images that exactly one of two classifiers gets right, and the exact two-sided p-value."""

    only_first: int
    only_second: int
    p: float


def wilson(accuracy: float, images: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of one accuracy (0..1) measured on `images` test images.

    Unlike mean +- z * sqrt(p(1-p)/n) it keeps inside [0, 1] and holds its level at accuracies near 0 and 1
    (Wilson 1927; Brown, Cai and DasGupta 2001). NaN gives (NaN, NaN).

    Errors: ValueError for an accuracy outside [0, 1] or no images.
    """
    check_confidence(confidence)
    if np.isnan(accuracy):
        return nan, nan
    if images < 1 or not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy must be within 0..1 and images at least 1, not {accuracy} and {images}")
    interval = scipy.stats.binomtest(round(accuracy * images), images).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def predictions_changed(first: np.ndarray, second: np.ndarray) -> float:
    """Share (0..1) of the test images to which two classifiers give different classes; NaN without images.

    Called churn elsewhere (Milani Fard et al. 2016).

    first, second: predicted classes, [N] in the same order of images. Errors: ValueError for unequal shapes.
    """
    first, second = _same_shape(first, second)
    return float(np.mean(first != second)) if first.size else nan


def mcnemar(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> McNemar:
    """Exact McNemar test: are two classifiers equally often right on the same test images?

    Only images that one of them gets right and the other wrong can tell; under the hypothesis each of those
    falls to either side with probability 1/2, so p is a two-sided binomial test (McNemar 1947). Without
    such images p is 1.

    It is about these two fitted models, not about their recipes: other seeds give other models.

    first, second, labels: classes, [N] in the same order of images. Errors: ValueError for unequal shapes.
    """
    first, labels = _same_shape(first, labels)
    second, _ = _same_shape(second, labels)
    right_first, right_second = first == labels, second == labels
    only_first = int(np.sum(right_first & ~right_second))
    only_second = int(np.sum(right_second & ~right_first))
    split = only_first + only_second
    return McNemar(only_first, only_second, float(scipy.stats.binomtest(only_first, split).pvalue) if split else 1.0)


def _same_shape(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"both must be [N], one class for each image, not {first.shape} and {second.shape}")
    return first, second
