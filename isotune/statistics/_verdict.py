"""Is a published number reproduced? Two one-sided tests against a margin that is fixed beforehand.

What can differ is of three kinds: nothing but arithmetic (an evaluation on the same test images), the test images (a
draw of them, or other ones: `Draw`), and what a training draws at random (its seeds). `verdict` knows them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import hypot, isfinite
from typing import Literal

import numpy as np
import scipy

from isotune.statistics._draws import Draw
from isotune.statistics._estimates import POINTS, Interval, estimate, too_few
from isotune.statistics._power import DIFFERENT_TAIL, REPRODUCED_TAIL, fewest, power
from isotune.statistics._standard_error import StandardError, binomial_skew

Outcome = Literal["reproduced", "different", "inconclusive"]
POINT = 1.0  # percentage points: the least margin
# Percentage points that the same network may differ by on the same images: decoders, batch sizes and kernels moved
# published accuracies by 0.002 to 0.018 (torchvision #4559, #5941); mmpretrain allows 0.01 for its own conversions.
ARITHMETIC = 0.05
MOST_IMAGES = 100_000_000
_POWER = 0.9
_SLACK = 1e-9  # of sums of numbers with a few decimals


@dataclass(frozen=True)
class Published:
    """A published accuracy, percent, and what was published of its uncertainty; with `at_least` a bound: the accuracy
    is claimed to be as high or higher, and nothing is said of how much.

    Only with both n and sd is the published number itself uncertain (Welch); otherwise it is taken as exact, and
    what one run of theirs may be off by must be in the margin.
    Errors: ValueError for a mean that is not finite, n < 1, or a negative or not finite sd, spread or rounding.
    """

    mean: float
    n: int | None = None  # runs that the mean is of
    sd: float | None = None  # over those runs, n - 1 in the denominator, percentage points
    spread: float | None = None  # as published, whatever its kind (a range, a +-): percentage points; None: sd
    rounding: float = 0.0  # unit of the last digit printed: 0.1 for "76.1"
    at_least: bool = False

    def __post_init__(self) -> None:
        sizes = [size for size in (self.sd, self.spread, self.rounding) if size is not None]
        if not isfinite(self.mean) or not all(isfinite(size) and size >= 0 for size in sizes):
            raise ValueError(f"not a valid published number: {self}")
        if self.n is not None and self.n < 1:
            raise ValueError(f"a published mean needs at least one run, not {self.n}")

    @property
    def margin(self) -> float:
        """The default margin: one percentage point or the published spread, whichever is larger, and half a unit
        of the last digit, by which rounding can have moved the number."""
        spread = self.sd if self.spread is None else self.spread
        return max(POINT, spread or 0.0) + self.rounding / 2

    def margin_of(self, *, exact: bool, images: int | None) -> float:
        """The default margin of a comparison. exact: on the same images nothing is drawn at random, so that only what
        arithmetic may change is allowed, one image of them or `ARITHMETIC`, and the rounding. A bound has none."""
        if self.at_least:
            return 0.0
        return max(ARITHMETIC, 100 / images if images else 0.0) + self.rounding / 2 if exact else self.margin

    @property
    def variance_of_mean(self) -> float:
        """Of the published mean; 0 where n or sd is unknown, or one run tells no spread."""
        return self.sd**2 / self.n if self.sd is not None and self.n is not None and self.n > 1 else 0.0


@dataclass(frozen=True)
class Verdict:
    """What n runs say about a published number. Percentage points; None: the runs cannot say, see `reason`."""

    outcome: Outcome
    reason: str  # one line
    n: int  # runs of ours, failed ones included
    margin: float
    effect: float | None  # our mean - theirs
    interval90: Interval | None  # of the effect; reproduced: it lies within the margin
    interval95: Interval | None  # different: it lies beyond the margin
    p_lower: float | None  # one-sided, of "the effect is at or below -margin"
    p_upper: float | None  # one-sided, of "the effect is at or above +margin"
    sd: float | None  # of our runs, as observed
    published: Published = field(repr=False)
    images: int | None = field(repr=False)
    draw: Draw | None = field(default=None, repr=False)
    trained: bool = True  # False: nothing is drawn at random but, perhaps, the images

    @property
    def p(self) -> float | None:
        """TOST's: the larger of the two; reproduced at 5 %."""
        return None if self.p_lower is None or self.p_upper is None else max(self.p_lower, self.p_upper)

    @property
    def nonzero(self) -> bool:
        """The 95 % interval excludes 0: there is a difference, of whatever size."""
        return self.interval95 is not None and 0 not in self.interval95

    @cached_property
    def seeds_needed(self) -> int | None:
        """Runs of ours still needed for a 90 % chance of a conclusion, if effect and sd stay as they are.

        0 when there is one. None when it cannot be told (no spread known, failed runs), or when 10,000 runs are not
        enough: the effect is too close to the margin, or the published mean is of too few runs. From a single run
        it is planned with the published sd. An observed sd of few runs is itself uncertain, and so is this number.

        A verdict on the runs so added is a second look at the same runs: its 5 % are about 9 %, and with a look after
        every run 21 % (reports/calibration.md). Whoever needs the 5 % plans with `seeds_for` and looks once.
        """
        if self.outcome != "inconclusive":
            return 0
        sd = self.published.sd if self.n == 1 else self.sd
        if not self.trained or self.effect is None or sd is None or abs(self.effect) == self.margin:
            return None
        effect, mean = self.effect, self.effect + self.published.mean
        drawn = sum(self.draw.variances(mean, self.published.mean)) if self.draw else 0.0

        def error(n: int) -> StandardError:
            of_seeds = _error(mean, sd, n, self.images, self.published)
            return replace(of_seeds, ours=of_seeds.ours + drawn)

        if error(2).se == 0:
            return None
        needed = fewest(lambda n: _chance(self, effect, error(n)), _POWER)
        return None if needed is None else max(needed - self.n, 1)

    @cached_property
    def images_needed(self) -> int | None:
        """Test images, ours in all, for a 90 % chance of a conclusion, if the effect stays as it is; 0 when there is
        one. Of a training that is beside enough seeds, the spread over which is taken as known. None where images are
        not what is short, or no number of ours is enough: what theirs leave open is too much, or the effect is too
        close to the margin."""
        if self.outcome != "inconclusive":
            return 0
        if self.draw is None or self.effect is None or (self.trained and self.sd is None):
            return None
        effect, mean, theirs = self.effect, self.effect + self.published.mean, self.draw.theirs
        of_seeds = _error(mean, self.sd or 0.0, self.n, None, self.published) if self.trained else None

        def error(images: int) -> StandardError:
            ours, other = Draw(images, theirs).variances(mean, self.published.mean)
            known = of_seeds.ours + of_seeds.theirs if of_seeds else 0.0
            return StandardError(ours + known, other, images, theirs or 0)

        needed = fewest(lambda images: _chance(self, effect, error(images)), _POWER, MOST_IMAGES)
        return needed if needed is not None and needed > self.draw.images else None


def verdict(
    values: Sequence[float] | np.ndarray,
    published: Published,
    margin: float | None = None,
    *,
    images: int | None = None,
    draw: Draw | None = None,
    trained: bool = True,
) -> Verdict:
    """Reproduced, different or inconclusive: the mean over runs against a published accuracy.

    - reproduced: TOST (Schuirmann 1987), both one-sided t tests at 5 %, i.e. the 90 % interval of the effect
      lies within -margin..+margin.
    - different: the 95 % interval of the effect lies beyond the margin, wholly above or wholly below.
    - inconclusive: neither, with the runs still needed.

    So both conclusions are about the margin, and both are calibrated: of recipes that truly differ by the margin or
    more at most 5 % are called reproduced, of those that differ by it or less at most 2.5 % are called different.
    (The common rule "the interval excludes 0 and |effect| > margin" is not: a recipe that differs by just the margin,
    thus as good as equivalent, is called different half of the time. See reports/calibration.md. What that rule
    shows in addition, that there is some difference, is `nonzero`.)

    Against a mean of n >= 2 runs with an sd both spreads count, from the summary statistics; otherwise it is
    one-sample (`StandardError`). It is about these test images, unless a `draw` says that theirs were others.

    A bound (`Published.at_least`) is reproduced when the 90 % interval lies at or above it, a one-sided test at 5 %,
    and different when the 95 % interval lies below it.

    values: accuracies of our runs, percent; NaN is a run that failed, and then there is no conclusion.
    margin: percentage points, fixed before the runs were seen; None: `published.margin`, and where nothing is drawn at
        random, what arithmetic can change (`Published.margin_of`).
    images: test images, without which neither the skewness of accuracies near 0 or 100 % is known (`StandardError`) nor
    the step between two accuracies: a reading on such steps has a variance of step^2/12 that its repetition need not
    show (GUM, JCGM 100:2008, F.2.2.1); it is added to the sample variance, so that a few equal readings do not pass
    for certainty. With None, runs that are all equal are exact. With images, the intervals told end where an accuracy
    of 0 or 100 % would; the outcome is decided before that, by t alone.
    draw: how far other test images may give another accuracy; it is put together with the spread over seeds as Zou and
        Donner do (2008, Statistics in Medicine 27, 1693-1702): distances from the estimate to the ends of the two
        intervals, squared and added.
    trained: False of an evaluation that trains nothing, which gives the same again; all values are equal then, and one
        is enough.
    Errors: ValueError for a margin that is not positive, fewer than one image, accuracies outside 0..100 of images, or
        several accuracies of one evaluation.
    """
    if margin is None:
        margin = published.margin_of(exact=not trained and draw is None, images=images)
    sample = np.asarray(values, dtype=np.float64).ravel()
    if not (margin > 0 or (published.at_least and margin == 0)) or not isfinite(margin):
        raise ValueError(f"the margin must be above 0, not {margin}")
    if not trained and (sample.size == 0 or np.ptp(sample) > 0):
        raise ValueError(f"an evaluation gives one accuracy, not {sample}")
    if images is not None and (images < 1 or np.any((sample < 0) | (sample > 100))):
        raise ValueError(f"values must be within 0..100 % and images at least 1, not {sample} and {images}")
    ours = estimate(sample)
    reason = too_few(sample) if trained or not np.isfinite(sample).all() else ""
    effect = ours.mean - published.mean
    if reason:
        known = effect if isfinite(effect) else None
        return Verdict("inconclusive", reason, ours.n, margin, known, *(None,) * 5, published, images, draw, trained)
    error = _error(ours.mean, ours.sd, ours.n, images, published) if trained else None

    def interval(tail: float) -> Interval:
        of_seeds = [each * error.se for each in error.reach(tail)] if error else (0.0, 0.0)
        of_images = draw.reach(ours.mean, published.mean, tail) if draw else (0.0, 0.0)
        below, above = map(hypot, of_seeds, of_images)
        return Interval(effect - below, effect + above)

    interval90, interval95 = interval(REPRODUCED_TAIL), interval(DIFFERENT_TAIL)
    if published.at_least:
        outcome, reason = _of_a_bound(interval90, interval95)
    elif error is None and draw is None:  # exact: the margin is what may be
        inside = abs(effect) <= margin + _SLACK
        outcome, reason = ("reproduced", "within the margin") if inside else ("different", "beyond the margin")
    else:
        outcome, reason = _conclude(interval90, interval95, margin)
    p_lower = p_upper = None
    if draw is None:
        error = error or StandardError(0.0, 0.0, max(ours.n, 2), 0)
        p_lower, p_upper = error.p(effect + margin, above=True), error.p(margin - effect, above=False)
    if images is not None:  # accuracies, and neither theirs nor ours can lie beyond 0 or 100 %
        uncertain = published.variance_of_mean or (draw and draw.theirs)
        limits = POINTS if uncertain else Interval(-published.mean, 100 - published.mean)
        interval90, interval95 = interval90.within(limits), interval95.within(limits)
    if not trained and draw is None:
        reason += "; nothing is drawn at random, so one evaluation is exact"
    elif ours.sd == 0 and trained:
        reason += f"; all {ours.n} runs gave the same value"
    evidence = (interval90, interval95, p_lower, p_upper, ours.sd if trained else None)
    return Verdict(outcome, reason, ours.n, margin, effect, *evidence, published, images, draw, trained)


def _conclude(interval90: Interval, interval95: Interval, margin: float) -> tuple[Outcome, str]:
    nonzero = 0 not in interval95
    if -margin < interval90.low and interval90.high < margin:
        return "reproduced", "within the margin" + (", though not equal" if nonzero else "")
    if interval95.low > margin or interval95.high < -margin:
        return "different", "beyond the margin"
    return "inconclusive", f"{'not equal, but ' if nonzero else ''}the interval reaches across the margin"


def _of_a_bound(interval90: Interval, interval95: Interval) -> tuple[Outcome, str]:
    if interval90.low >= -_SLACK:
        return "reproduced", "at or above the bound"
    if interval95.high < -_SLACK:
        return "different", "below the bound"
    return "inconclusive", "the interval reaches across the bound"


def _error(mean: float, sd: float, n: int, images: int | None, published: Published) -> StandardError:
    """Of a mean of n runs with this sd, minus the published one."""
    step = 100 / images if images else 0.0
    skew = binomial_skew(mean / 100, n * images) if images else 0.0
    return StandardError((sd**2 + step**2 / 12) / n, published.variance_of_mean, n, published.n or 0, skew)


def _chance(judged: Verdict, effect: float, error: StandardError) -> float:
    """Of a conclusion, were the true difference `effect`."""
    if not judged.published.at_least:
        return power(judged.margin, effect, error)
    t, _ = error.reach(REPRODUCED_TAIL if effect > 0 else DIFFERENT_TAIL)
    return float(scipy.special.ndtr(abs(effect) / error.se - t)) if error.se else 1.0
