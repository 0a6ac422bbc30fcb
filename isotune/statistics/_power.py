"""How often a verdict would come, and how many seeds it takes.

The verdict's two claims, with D the margin, x the estimated difference, s its estimated standard error on v degrees
of freedom:

    reproduced   |x| < D - t(v, 0.95) s            (TOST, Schuirmann 1987)
    different    |x| > D + t(v, 0.975) s

x is normal around the true difference, and s^2 chi-squared and independent of x, so that given s the chance is a normal
probability; its mean over s (Owen 1965, Phillips 1990) is integrated by Gauss and Legendre's rule. statsmodels has the
power of tests of one bound (`TTestPower`), which the tests hold this to, not of TOST for a mean.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite, sqrt

import numpy as np
import scipy

from isotune.statistics._standard_error import StandardError

REPRODUCED_TAIL, DIFFERENT_TAIL = 0.05, 0.025  # beyond each end of the interval: 90 % and 95 %
MOST_SEEDS = 10_000


def power_of(margin: float, sd: float, n: int, effect: float = 0.0, *, arms: int = 1) -> float:
    """Chance (0..1) of the verdict that the true difference deserves: reproduced inside the margin, else different.

    margin, sd, effect: in one unit; sd: of a run, the same in all arms; effect: the true difference.
    n: runs in each arm. arms: 1 against a constant, 2 against n runs of something else (pooled t, the field's way to
    plan; `verdict` itself does not pool). Errors: ValueError for a margin or sd that is not positive, fewer than two
    runs, other arms than 1 and 2.
    """
    if not (margin > 0 and sd > 0 and n >= 2 and arms in (1, 2) and isfinite(effect)):
        raise ValueError(f"power is not defined for margin {margin}, sd {sd}, {n} runs, {arms} arms, effect {effect}")
    return power(margin, effect, StandardError(sd**2 * arms / n, 0.0, arms * (n - 1) + 1, 0))


def seeds_for(margin: float, sd: float, effect: float = 0.0, *, power: float = 0.9, arms: int = 1) -> int | None:
    """The fewest runs in each arm for this power (see `power_of`); None where 10,000 are not enough."""
    return fewest(lambda n: power_of(margin, sd, n, effect, arms=arms), power)


def fewest(chance: Callable[[int], float], wanted: float, most: int = MOST_SEEDS) -> int | None:
    """The smallest n >= 2 at which a chance reaches `wanted`, up to `most`; from 0.1 on it must grow with n."""
    high = 2
    while chance(high) < wanted:
        if high == most:
            return None
        high = min(2 * high, most)
    low = max(high // 2, 1)  # not enough, or too few to ask
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if chance(middle) >= wanted else (middle, high)
    return high


def power(margin: float, effect: float, error: StandardError) -> float:
    """`power_of` for any standard error above 0; by Welch's degrees of freedom, so approximate where there are two."""
    inside = abs(effect) < margin
    below, above = error.reach(REPRODUCED_TAIL if inside else DIFFERENT_TAIL)  # of x, in s
    near, far = (margin - effect) / error.se, (-margin - effect) / error.se  # the bounds, in true standard errors
    spread = scipy.stats.chi(error.df)  # of s sqrt(df) / se

    def chance(q: np.ndarray) -> np.ndarray:
        s = q / sqrt(error.df)
        if inside:
            claimed = scipy.special.ndtr(near - above * s) - scipy.special.ndtr(far + below * s)
        else:
            claimed = scipy.special.ndtr(-near - below * s) + scipy.special.ndtr(far - above * s)
        return np.asarray(claimed * spread.pdf(q))

    # beyond this s no x is inside
    widest = (near - far) / (below + above) * sqrt(error.df) if inside else inf
    low, high = spread.ppf(1e-12), min(spread.isf(1e-12), widest)
    return float(scipy.integrate.fixed_quad(chance, low, high, n=96)[0]) if high > low else 0.0
