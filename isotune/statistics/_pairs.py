"""All pairs of a table of models: which differences hold once it is remembered how many were looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import scipy

from isotune.statistics._estimates import Estimate, Key, paired_difference, too_few
from isotune.statistics._outperformance import Outperformance, outperformance

ALPHA = 0.05
MOST_TOGETHER = 1_000_000  # numbers of one permutation test of several pairs
ROUNDING = 1e-9  # of the largest accuracy: 0.86 - 0.85 and 0.85 - 0.84 are one difference


@dataclass(frozen=True)
class Pair:
    """second - first over their common seeds. p-values are two-sided; None: `reason` says why."""

    first: str
    second: str
    n: int  # common seeds
    unpaired: int  # seeds that only one of them ran
    difference: Estimate  # with the t interval, not corrected for the number of pairs; NaN where it cannot be computed
    p_t: float | None  # paired t test
    p_permutation: float | None  # signs of the differences, exact up to 13 seeds
    p_t_holm: float | None  # corrected for all pairs of the table
    p_permutation_holm: float | None
    outperformance: Outperformance  # P(second > first)
    reason: str  # empty where both tests answer

    @property
    def distinguishable(self) -> bool:
        """The difference holds at 5 % after Holm's correction: by t, or where t has no answer by permutation."""
        p = self.p_permutation_holm if self.p_t_holm is None else self.p_t_holm
        return p is not None and p < ALPHA


def compare_all(
    accuracies: Mapping[str, Mapping[Key, float]],
    pairs: Iterable[tuple[str, str]] | None = None,
    *,
    resamples: int = 9999,
    seed: int = 0,
) -> tuple[Pair, ...]:
    """Every two of these models compared over their common seeds, in the order given, corrected by Holm (1979).

    - t: `scipy.stats.ttest_1samp` of the differences, exact for normal ones. Where all are equal (but for float64's
      rounding) it has no scale: 0 everywhere (the models agree) is p = 1; another number is left to the permutation
      test, whose p needs no scale.
    - permutation: `scipy.stats.permutation_test` swapping the two runs of a seed, exact where 2^n <= `resamples`,
      else Monte-Carlo. It supposes no shape, but can reach no less than p = 2/2^n: six seeds before anything holds at
      5 %, more after correction. So t decides and the permutation test is given beside it.
    - Holm: over all pairs of the table, those that cannot be tested included (as p = 1), so that a run that failed
      never makes another pair look better.

    accuracies: by model, then by seed, any unit; NaN is a run that failed, and its pairs are not tested.
    pairs: which two to compare, chosen before their differences were seen; None: every two.
    resamples, seed: of the permutation test and the bootstrap; the same give the same.
    """
    asked = list(combinations(accuracies, 2) if pairs is None else pairs)
    runs = [_common(accuracies[first], accuracies[second]) for first, second in asked]
    uncorrected = [
        _compare(first, accuracies[first], second, accuracies[second], both, resamples, seed)
        for (first, second), both in zip(asked, runs, strict=True)
    ]
    p_permutation = _permutations(runs, resamples, seed)
    by_t, by_permutation = holm([pair.p_t for pair in uncorrected]), holm(p_permutation)
    return tuple(
        replace(pair, p_permutation=p, p_t_holm=t, p_permutation_holm=permutation)
        for pair, p, t, permutation in zip(uncorrected, p_permutation, by_t, by_permutation, strict=True)
    )


def _common(a: Mapping[Key, float], b: Mapping[Key, float]) -> np.ndarray:
    """[2, common seeds]: b's runs and a's."""
    common = [key for key in a if key in b]
    return np.array([[b[key] for key in common], [a[key] for key in common]], dtype=np.float64)


def _gaps(runs: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # of infinities, which are failed runs too
        gaps: np.ndarray = runs[0] - runs[1]
    return gaps


def _compare(
    first: str,
    a: Mapping[Key, float],
    second: str,
    b: Mapping[Key, float],
    runs: np.ndarray,
    resamples: int,
    seed: int,
) -> Pair:
    """Without the permutation test, and not corrected."""
    gaps = _gaps(runs)
    difference = paired_difference(a, b)
    reason = too_few(gaps, "common seeds")
    p_t = None
    if not reason:
        p_t = _t(gaps, float(np.abs(runs).max()))
        if p_t is None:
            reason = f"all {len(gaps)} differences are equal: t has no scale"
    return Pair(
        first,
        second,
        len(gaps),
        len(a.keys() ^ b.keys()),
        difference,
        p_t,
        None,
        None,
        None,
        outperformance(b, a, resamples=resamples, seed=seed),
        reason,
    )


def _t(gaps: np.ndarray, size: float) -> float | None:
    if np.ptp(gaps) > ROUNDING * size:
        return float(scipy.stats.ttest_1samp(gaps, 0).pvalue)
    return 1.0 if abs(gaps[0]) <= ROUNDING * size else None


def _permutations(several: Sequence[np.ndarray], resamples: int, seed: int) -> list[float | None]:
    """p of each pair's runs; None where there are too few. Exact ones of as many seeds are computed together: SciPy's
    call costs more than its arithmetic, and a large report has thousands of pairs."""
    p_values: list[float | None] = [None] * len(several)
    together: dict[int, list[int]] = {}
    for number, runs in enumerate(several):
        if too_few(_gaps(runs), "common seeds"):
            continue
        if 2 ** runs.shape[1] <= resamples:
            together.setdefault(runs.shape[1], []).append(number)
        else:  # drawn, each from the seed
            (p_values[number],) = _permutation(runs[:, None], resamples, seed)
    for seeds, numbers in together.items():
        size = max(1, MOST_TOGETHER // (seeds * 2**seeds))
        for begin in range(0, len(numbers), size):
            some = numbers[begin : begin + size]
            stacked = np.stack([several[number] for number in some], axis=1)
            for number, p in zip(some, _permutation(stacked, resamples, seed), strict=True):
                p_values[number] = p
    return p_values


def _permutation(runs: np.ndarray, resamples: int, seed: int) -> list[float]:
    """runs: [2, pairs, seeds]."""
    largest = np.abs(runs).max(axis=(0, 2))[:, None]
    first, second = runs / np.where(largest > 0, largest, 1.0)

    def mean_gap(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
        """Rounded, so that what is equal but for the order of its sum is a tie."""
        return np.asarray(np.round(np.mean(first - second, axis=axis), 12))

    tested = scipy.stats.permutation_test(
        (first, second),
        mean_gap,
        permutation_type="samples",
        vectorized=True,
        n_resamples=resamples,
        axis=-1,
        random_state=np.random.default_rng(seed),
    )
    return [float(p) for p in np.atleast_1d(tested.pvalue)]


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected for their number; None, one that could not be told, counts as 1 and stays None.

    The k-th smallest of m times m - k + 1, never below a smaller one's, at most 1 (Holm 1979).

    What statsmodels' `multipletests` gives (the tests hold it to that), which collects garbage on each call: a second
    with 100,000 records in memory, for each table of a report.
    """
    p = np.array([1.0 if value is None else value for value in values])
    order = np.argsort(p)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1)), 1.0)
    return [None if value is None else float(q) for value, q in zip(values, corrected, strict=True)]
