"""Whether one set of timings is slower than another by more than a margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import scipy

from isotune.statistics._estimates import median_interval


@dataclass(frozen=True)
class Ratio:
    """second / first of two medians, between the ends that their 95 % intervals allow. p: that they differ by no more
    than the margin, two-sided. All NaN: a set is empty, or holds what is not above 0."""

    ratio: float
    low: float
    high: float
    p: float


def compare_rounds(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray, margin: float) -> Ratio:
    """Two sets of timings, or of rates, beyond a margin.

    p is that of Mann and Whitney's test (1947) of the second set against the first as it would be at the edge of the
    margin, on the side where that is nearer, doubled for the two sides: exact where no two values tie
    (`scipy.stats.mannwhitneyu`). It supposes no shape; of six values against six it can reach 0.0022, of three 0.1.

    Timings of one process are not independent of each other: what a whole process is slower by is no noise of its
    rounds, and a margin of 0 does not know that.

    first, second: values above 0, in one unit. margin: 0 to below 1; 0.1: below 0.9 of it, or above 1 / 0.9.
    """
    one, two = (np.asarray(values, dtype=np.float64).ravel() for values in (first, second))
    if not (one.size and two.size and (one > 0).all() and (two > 0).all()):
        return Ratio(nan, nan, nan, nan)
    before, after = median_interval(one), median_interval(two)
    edge = 1 - margin
    p = min(_p(two, one * edge, "less"), _p(two, one / edge, "greater"))
    return Ratio(after.median / before.median, after.low / before.high, after.high / before.low, min(1.0, 2 * p))


def _p(values: np.ndarray, others: np.ndarray, side: str) -> float:
    both = np.concatenate([values, others])
    method = "exact" if np.unique(both).size == both.size else "asymptotic"
    return float(scipy.stats.mannwhitneyu(values, others, alternative=side, method=method).pvalue)
