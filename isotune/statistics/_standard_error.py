"""How far our mean minus a published one may be off: standard error, critical values, p-values."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import scipy


@dataclass(frozen=True)
class StandardError:
    """Of the difference of two means. Percentage points.

    With theirs known as a constant it is a one-sample t. Otherwise se^2 = s^2/n + s'^2/n' (Welch 1947), and the
    critical value is the mean of the two t quantiles, weighted by those variances (Cochran and Cox 1950; SAS's
    COCHRAN). Welch's approximate degrees of freedom, the usual choice, let an error of 5 % become 6 % against three
    published runs, and 8 % against two; Cochran and Cox's stays at or below 5 %.

    `skew` is that of our mean. t supposes none, and a mean of few binomial shares near 100 % has some: a left-skewed
    sample that happens to lie high shows too little spread, and a one-sided 5 % becomes 7 % (3 runs, 99.5 % of 1,000
    images). So t's critical value is taken through Hall's transformation (1992, JRSS B 54, 221-228),
    g(T) = T + a T^2 / 3 + a^2 T^3 / 27 + a / 6 with a the skewness, which removes that, on the side where it is the
    larger; on the other t stays, as true skewness can be less than the binomial's.
    """

    ours: float  # variance of our mean
    theirs: float  # of theirs; 0: a constant
    n: int
    n_theirs: int
    skew: float = 0.0

    @property
    def se(self) -> float:
        return sqrt(self.ours + self.theirs)

    @property
    def df(self) -> float:
        """Welch's: of the distribution of se^2, whatever the critical values."""
        if not self.theirs:
            return self.n - 1
        parts = self.ours**2 / (self.n - 1) + self.theirs**2 / (self.n_theirs - 1)
        return (self.ours + self.theirs) ** 2 / parts

    def reach(self, tail: float) -> tuple[float, float]:
        """How many standard errors an interval reaches below and above the difference; `tail` on each side."""
        t = self._quantile(tail)
        return max(t, _untransformed(t, self._skew)), max(t, _untransformed(t, -self._skew))

    def p(self, distance: float, *, above: bool) -> float:
        """One-sided p-value of a difference that lies `distance` above a bound (or below it); no error: 0 or 1."""
        if self.se == 0:
            return float(distance <= 0)
        t = distance / self.se
        return max(self._tail(t), self._tail(_transformed(t, self._skew if above else -self._skew)))

    @property
    def _skew(self) -> float:
        """Of the difference. Theirs would take some of it away, by an unknown number of images; it is left out."""
        return self.skew * (self.ours / (self.ours + self.theirs)) ** 1.5 if self.ours else 0.0

    def _quantile(self, tail: float) -> float:
        t = -float(scipy.special.stdtrit(self.n - 1, tail))
        if not self.theirs:
            return t
        other = -float(scipy.special.stdtrit(self.n_theirs - 1, tail))
        return (self.ours * t + self.theirs * other) / (self.ours + self.theirs)

    def _tail(self, t: float) -> float:
        """The tail that `_quantile` gives t for."""
        if t < 0:
            return 1 - self._tail(-t)
        freedoms = {self.n - 1, self.n_theirs - 1 if self.theirs else self.n - 1}
        tails = [float(scipy.special.stdtr(df, -t)) for df in freedoms]
        low, high = min(tails), max(tails)
        if low == high or self._quantile(high) >= t:  # one t, or the weight of the other is nothing
            return high
        if self._quantile(low) <= t:
            return low
        return float(scipy.optimize.brentq(lambda tail: self._quantile(tail) - t, low, high, xtol=1e-300, rtol=1e-12))


def binomial_skew(share: float, trials: int) -> float:
    """Skewness of a binomial share; one that is 0 or 1 is taken half a trial inside."""
    inside = min(max(share, 0.5 / trials), 1 - 0.5 / trials)
    return (1 - 2 * inside) / sqrt(trials * inside * (1 - inside))


def _transformed(t: float, skew: float) -> float:
    return t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / 6


def _untransformed(t: float, skew: float) -> float:
    return t if abs(skew) < 1e-6 else float(3 / skew * (np.cbrt(1 + skew * (t - skew / 6)) - 1))
