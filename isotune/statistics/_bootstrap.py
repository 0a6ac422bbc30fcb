"""A mean with two intervals: Student's t, and the bootstrap's, which does not suppose a shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy

from isotune.statistics._estimates import Estimate, Interval, estimate, too_few

BCA_FROM = 8  # runs; with fewer the bootstrap's intervals cover the mean less than 93 times in 100


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation and t interval; beside it the BCa bootstrap interval, or why there is none."""

    estimate: Estimate
    bca: Interval | None
    reason: str  # empty where there is a BCa interval


def summarise(
    values: Sequence[float] | np.ndarray, confidence: float = 0.95, *, resamples: int = 9999, seed: int = 0
) -> Summary:
    """Mean over runs with its t and BCa bootstrap intervals.

    BCa is `scipy.stats.bootstrap` (Efron 1987) of the mean, at a level that makes up for small samples: the
    bootstrap's spread is too small by sqrt((n-1)/n) and its quantiles are the normal's, not t's, so that the level
    asked of it has a tail of Phi(-sqrt(n/(n-1)) t(n-1)) (Hesterberg 2015, arXiv 1411.5279; his R package does the
    same to BCa). As it comes, BCa's 95 % interval covers the mean of normal values in 72 % of cases with 3 runs, 90 %
    with 10 and 93 % only with 30; widened so, 93.5 % with 8 and 95 % with 20. With fewer than `BCA_FROM` runs
    nothing rescues it, there is none, and the t interval, exact for normal values, is the answer.

    values: one a run, any unit; NaN is a run that failed. resamples, seed: of the bootstrap; the same give the same.
    Runs that are all equal have an interval of no width, as in `estimate`.
    """
    sample = np.asarray(values, dtype=np.float64).ravel()
    told = estimate(sample, confidence)
    reason = too_few(sample)
    if not reason and sample.size < BCA_FROM:
        reason = f"the bootstrap needs {BCA_FROM} runs, not {sample.size}"
    if reason:
        return Summary(told, None, reason)
    if told.sd == 0:
        return Summary(told, Interval(told.low, told.high), "")
    bca = scipy.stats.bootstrap(
        (sample,),
        np.mean,
        method="BCa",
        confidence_level=_expanded(confidence, sample.size),
        n_resamples=resamples,
        vectorized=True,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return Summary(told, Interval(float(bca.low), float(bca.high)), "")


def _expanded(confidence: float, n: int) -> float:
    """The level at which the bootstrap of symmetric values gives about their t interval."""
    t = scipy.special.stdtrit(n - 1, (1 + confidence) / 2)
    return float(1 - 2 * scipy.special.ndtr(-sqrt(n / (n - 1)) * t))
