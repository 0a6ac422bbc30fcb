"""How often one model beats another: the probability of outperforming, over runs paired by seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
import scipy

from isotune.statistics._estimates import Interval, Key, check_confidence, too_few

GAMMA = 0.75
# 29: Noether 1987, both errors 5 %
PAIRS_FROM = ceil((2 * NormalDist().inv_cdf(0.95) / (sqrt(6) * (0.5 - GAMMA))) ** 2)


@dataclass(frozen=True)
class Outperformance:
    """P(first > second) over paired runs. None and "cannot say": `reason` says why."""

    n: int  # pairs
    probability: float | None  # ties count half
    interval: Interval | None
    conclusion: Literal["meaningful", "significant", "not significant", "cannot say"]
    reason: str


def outperformance(
    first: Mapping[Key, float],
    second: Mapping[Key, float],
    *,
    gamma: float = GAMMA,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> Outperformance:
    """P(first > second): the share of seeds at which `first` is better, with its interval (Bouthillier et al. 2021,
    arXiv 2103.03098).

    - not significant: the interval reaches down to 0.5 (`second` may still be better: swap them to ask);
    - significant: it does not, but ends at `gamma` or below: better, but not often enough to matter;
    - meaningful: it begins above 0.5 and ends above `gamma`.

    A tie counts half on either side (Mann and Whitney's convention), so that equal models have 0.5 and the two
    directions add up to 1; the paper leaves ties open.

    From `PAIRS_FROM` = 29 pairs, the number the paper asks for (Noether's), the interval is the paper's: the percentile
    bootstrap. With fewer it is too short, and it has no width at all when one side always wins, which of two equal
    models happens to one side in a quarter of all sets of three. There it is Clopper and Pearson's exact one (1934),
    which with few pairs is too wide rather than too short.

    first, second: accuracy by seed, any unit; only common seeds count, and NaN among them is a run that failed.
    resamples, seed: of the bootstrap; the same give the same.
    """
    check_confidence(confidence)
    gaps = np.array([value - second[key] for key, value in first.items() if key in second], dtype=np.float64)
    reason = too_few(gaps, "common seeds")
    if reason:
        return Outperformance(gaps.size, None, None, "cannot say", reason)
    wins = (np.sign(gaps) + 1) / 2
    share = float(wins.mean())
    if gaps.size < PAIRS_FROM or np.ptp(wins) == 0:
        interval = _exact(float(wins.sum()), gaps.size, confidence)
    else:
        bootstrapped = scipy.stats.bootstrap(
            (wins,),
            np.mean,
            method="percentile",
            confidence_level=confidence,
            n_resamples=resamples,
            vectorized=True,
            random_state=np.random.default_rng(seed),
        ).confidence_interval
        interval = Interval(float(bootstrapped.low), float(bootstrapped.high))
    if interval.low <= 0.5:
        return Outperformance(gaps.size, share, interval, "not significant", "the interval includes 0.5 or less")
    if interval.high <= gamma:
        return Outperformance(gaps.size, share, interval, "significant", f"better, but in no more than {gamma:.0%}")
    return Outperformance(gaps.size, share, interval, "meaningful", "")


def _exact(wins: float, n: int, confidence: float) -> Interval:
    from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

    low, high = proportion_confint(wins, n, alpha=1 - confidence, method="beta")
    return Interval(float(low), float(high))
