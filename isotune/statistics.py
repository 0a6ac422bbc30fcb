"""What a handful of runs says: means with their uncertainty, paired gaps, changed predictions.

Pure functions over plain numbers. Two kinds of uncertainty must not be confused, and each has its function:

- across seeds (`estimate`, `paired_difference`): would the recipe give this again with other random draws?
  Student's t interval of the mean; it narrows with more seeds.
- across test images (`wilson`): would other images of the same kind give this? It narrows with more images,
  and no number of seeds helps. Models that share their test images share most of it, so that it weighs
  less on the gap between two of them.

Answers are defined where a formula is not: an empty sample is all NaN; one value has a mean, but NaN for its
standard deviation and interval (one seed says nothing about spread); values that are all equal have an
interval of no width, which says that the seeds change nothing, not that nothing is uncertain; a NaN among
the values makes the whole answer NaN instead of vanishing from it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np
from scipy import special, stats


@dataclass(frozen=True)
class Estimate:
    """A mean with its spread and interval, in the unit of the values."""

    n: int
    mean: float
    sd: float  # n - 1 in the denominator
    low: float
    high: float

    @property
    def margin(self) -> float:
        """Half the interval's width: mean +- margin."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Quartiles:
    """The middle of skewed values, timings above all: outliers do not move it."""

    n: int
    q1: float
    median: float
    q3: float


@dataclass(frozen=True)
class McNemar:
    """Test images that exactly one of two classifiers gets right, and the exact two-sided p-value."""

    only_first: int
    only_second: int
    p: float


def estimate(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> Estimate:
    """Mean, standard deviation and the t interval mean +- t(n-1) * sd / sqrt(n).

    Exact for normal values; see the module for samples that are empty, single, constant or hold NaN.
    """
    _check_confidence(confidence)
    sample = np.asarray(values, dtype=np.float64).ravel()
    n = sample.size
    if n == 0 or not np.isfinite(sample).all():
        return Estimate(n, nan, nan, nan, nan)
    if sample.min() == sample.max():  # the mean of equal floats can be off by a rounding
        value = float(sample[0])
        return Estimate(n, value, nan, nan, nan) if n == 1 else Estimate(n, value, 0.0, value, value)
    mean, sd = float(sample.mean()), float(sample.std(ddof=1))
    margin = float(special.stdtrit(n - 1, (1 + confidence) / 2)) * sd / sqrt(n)
    return Estimate(n, mean, sd, mean - margin, mean + margin)


def paired_difference(
    first: Mapping[Hashable, float], second: Mapping[Hashable, float], confidence: float = 0.95
) -> Estimate:
    """second - first, paired by key (the seed): the estimate of the differences.

    Only keys in both count, and `n` says how many those are. Pairing removes what a seed does to both
    sides alike, so the interval is narrower than that of two independent means.
    """
    return estimate([second[key] - value for key, value in first.items() if key in second], confidence)


def wilson(accuracy: float, images: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of one accuracy (0..1) measured on so many test images.

    Unlike mean +- z * sqrt(p(1-p)/n) it keeps inside [0, 1] and holds its level at accuracies near 0 and 1
    (Wilson 1927; Brown, Cai and DasGupta 2001). NaN gives (NaN, NaN).

    Errors: ValueError for an accuracy outside [0, 1] or no images.
    """
    _check_confidence(confidence)
    if np.isnan(accuracy):
        return nan, nan
    if images < 1 or not 0 <= accuracy <= 1:
        raise ValueError(f"an accuracy in 0..1 on at least one image is needed, not {accuracy} on {images}")
    interval = stats.binomtest(round(accuracy * images), images).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def predictions_changed(first: np.ndarray, second: np.ndarray) -> float:
    """Share (0..1) of the test images to which two classifiers give different classes; NaN without images.

    first, second: predicted classes, [N] in the same order of images. Errors: ValueError for unequal shapes.
    """
    first, second = _same_shape(first, second)
    return float(np.mean(first != second)) if first.size else nan


def mcnemar(first: np.ndarray, second: np.ndarray, labels: np.ndarray) -> McNemar:
    """Exact McNemar test: are two classifiers equally often right on the same test images?

    Only images that one of them gets right and the other wrong can tell; under the hypothesis each of those
    falls to either side with probability 1/2, so p is a two-sided binomial test (McNemar 1947). Without
    such images p is 1.

    first, second, labels: classes, [N] in the same order of images. Errors: ValueError for unequal shapes.
    """
    first, labels = _same_shape(first, labels)
    second, _ = _same_shape(second, labels)
    right_first, right_second = first == labels, second == labels
    only_first = int(np.sum(right_first & ~right_second))
    only_second = int(np.sum(right_second & ~right_first))
    split = only_first + only_second
    return McNemar(only_first, only_second, float(stats.binomtest(only_first, split).pvalue) if split else 1.0)


def quartiles(values: Sequence[float] | np.ndarray) -> Quartiles:
    """Median and quartiles (linear interpolation); NaN for an empty sample or one that holds NaN."""
    sample = np.asarray(values, dtype=np.float64).ravel()
    if not sample.size:
        return Quartiles(0, nan, nan, nan)
    return Quartiles(sample.size, *(float(value) for value in np.quantile(sample, (0.25, 0.5, 0.75))))


def _same_shape(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"one class for each of the same images is needed, not {first.shape} and {second.shape}")
    return first, second


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")
