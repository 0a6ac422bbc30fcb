"""A mean over runs with Student's t interval, the gap of two models over the same seeds, and the median of timings."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isclose, nan, sqrt
from typing import TypeVar

import numpy as np
import scipy

Key = TypeVar("Key", bound=Hashable)  # what pairs two runs: the seed, or a seed for each stream


@dataclass(frozen=True)
class Interval:
    """From `low` to `high`, both included, in the unit of the values."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def within(self, limits: Interval) -> Interval:
        """The part of it that lies within limits which hold the true value anyway: it covers that value as often."""
        low, high = (min(max(end, limits.low), limits.high) for end in (self.low, self.high))
        return Interval(low, high)


PERCENT = Interval(0.0, 100.0)  # where a share lies
POINTS = Interval(-100.0, 100.0)  # where the difference of two shares lies


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
        """Half the interval's width: mean +- margin, where it is `symmetric`."""
        return (self.high - self.low) / 2

    @property
    def symmetric(self) -> bool:
        """Whether the interval reaches as far below the mean as above it: it ends at no limit."""
        return isclose(self.high - self.mean, self.mean - self.low, rel_tol=1e-9, abs_tol=1e-12)


@dataclass(frozen=True)
class MedianInterval:
    """The middle of skewed values, timings above all, with an interval for the median of what they are drawn from."""

    n: int
    low: float
    median: float
    high: float
    coverage: float  # how often such an interval holds the median; below 0.95 it is the range of too few values


def estimate(
    values: Sequence[float] | np.ndarray, confidence: float = 0.95, *, within: Interval | None = None
) -> Estimate:
    """Mean, standard deviation and the t interval mean +- t(n-1) * sd / sqrt(n).

    Exact for normal values; see the package for samples that are empty, single, constant or hold NaN.

    within: limits of the values, `PERCENT` of shares; the interval ends there. That changes nothing of how often it
    holds the mean of what the values are drawn from, which cannot lie beyond either; a logit interval does: it has no
    answer for a share of 0 or 1, and with the two or three seeds of a quick run no normal values to be exact for.
    """
    check_confidence(confidence)
    sample = np.asarray(values, dtype=np.float64).ravel()
    n = sample.size
    if n == 0 or not np.isfinite(sample).all():
        return Estimate(n, nan, nan, nan, nan)
    if sample.min() == sample.max():  # the mean of equal floats can be off by a rounding
        value = float(sample[0])
        return Estimate(n, value, nan, nan, nan) if n == 1 else Estimate(n, value, 0.0, value, value)
    mean, sd = float(sample.mean()), float(sample.std(ddof=1))
    margin = float(scipy.special.stdtrit(n - 1, (1 + confidence) / 2)) * sd / sqrt(n)
    interval = Interval(mean - margin, mean + margin)
    interval = interval if within is None else interval.within(within)
    return Estimate(n, mean, sd, interval.low, interval.high)


def paired_difference(
    first: Mapping[Key, float],
    second: Mapping[Key, float],
    confidence: float = 0.95,
    *,
    within: Interval | None = None,
) -> Estimate:
    """second - first, paired by key (the seed): the estimate of the differences. within: as of `estimate`.

    Only keys in both count, and `n` says how many those are. Pairing removes what a seed does to both
    sides alike, so the interval is narrower than that of two independent means.
    """
    gaps = [second[key] - value for key, value in first.items() if key in second]
    return estimate(gaps, confidence, within=within)


def median_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> MedianInterval:
    """The median, and the narrowest pair of order statistics that holds it with at least `confidence`.

    Exact for independent values of any distribution (H. A. David, H. N. Nagaraja, "Order Statistics", 7.1): that both
    of the k-th from either end lie on one side of the median has the probability of fewer than k heads in n throws,
    twice. Fewer than six values never reach 0.95: the interval is their range then, and `coverage` says what that is
    worth. All NaN for an empty sample or one that holds NaN.
    """
    check_confidence(confidence)
    sample = np.sort(np.asarray(values, dtype=np.float64).ravel())
    n = sample.size
    if not n or np.isnan(sample).any():
        return MedianInterval(n, nan, nan, nan, nan)
    outer = 1
    while _median_coverage(outer + 1, n) >= confidence:
        outer += 1
    low, high = float(sample[outer - 1]), float(sample[n - outer])
    return MedianInterval(n, low, float(np.median(sample)), high, _median_coverage(outer, n))


@cache
def _median_coverage(outer: int, n: int) -> float:
    """How often the `outer`-th values from both ends enclose the median of what n values are drawn from."""
    return 1 - 2 * float(scipy.special.bdtr(outer - 1, n, 0.5)) if 2 * outer <= n else 0.0


def check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence} is not between 0 and 1")


def too_few(sample: np.ndarray, what: str = "runs") -> str:
    """Why these values [n] say nothing about spread, in one line; empty where they do."""
    failed = int(np.sum(~np.isfinite(sample)))
    if failed:
        return f"{failed} of {sample.size} {what} failed"
    if sample.size < 2:
        return f"{sample.size} {what if sample.size != 1 else what.removesuffix('s')}: at least two are needed"
    return ""
