"""The statistics agree with their definitions, hold their level, and are defined at the edges."""

from __future__ import annotations

from itertools import pairwise
from math import comb, isnan, sqrt
from statistics import mean, stdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotune import statistics

accuracies = st.floats(0, 1, allow_subnormal=False)
samples = st.lists(accuracies, min_size=2, max_size=12)


@given(samples)
def test_estimate_is_mean_and_sample_deviation(values: list[float]) -> None:
    result = statistics.estimate(values)
    assert result.n == len(values)
    assert result.mean == pytest.approx(mean(values), abs=1e-12)
    assert result.sd == pytest.approx(stdev(values), rel=1e-6, abs=1e-12)
    assert result.low <= result.mean <= result.high


@pytest.mark.parametrize(("n", "t"), [(2, 12.7062), (3, 4.3027), (5, 2.7764), (10, 2.2622), (30, 2.0452)])
def test_interval_uses_the_tabulated_t_values(n: int, t: float) -> None:
    values = np.random.default_rng(n).normal(size=n)
    result = statistics.estimate(values)
    assert result.margin == pytest.approx(t * values.std(ddof=1) / sqrt(n), rel=1e-4)


@pytest.mark.parametrize("n", [2, 3, 5, 10])
def test_t_interval_covers_the_mean_95_times_in_100(n: int) -> None:
    runs = 4000
    draws = np.random.default_rng(7).normal(0.85, 0.01, size=(runs, n))
    covered = sum(result.low <= 0.85 <= result.high for result in map(statistics.estimate, draws))
    # four standard errors of a binomial share: a right interval fails here once in 16,000 seeds
    assert covered / runs == pytest.approx(0.95, abs=4 * sqrt(0.95 * 0.05 / runs))


@given(samples, st.floats(0.5, 0.98))
def test_more_confidence_is_never_narrower(values: list[float], confidence: float) -> None:
    assert statistics.estimate(values, confidence).margin <= statistics.estimate(values, confidence + 0.01).margin


def test_one_seed_has_a_mean_but_no_interval() -> None:
    result = statistics.estimate([0.85])
    assert (result.n, result.mean) == (1, 0.85)
    assert isnan(result.sd)
    assert isnan(result.margin)


@given(accuracies, st.integers(2, 20))
def test_equal_values_have_an_interval_of_no_width(value: float, n: int) -> None:
    result = statistics.estimate([value] * n)
    assert (result.mean, result.sd, result.low, result.high) == (value, 0, value, value)


@pytest.mark.parametrize("values", [[], [0.8, float("nan")], [float("inf"), 0.1]])
def test_empty_or_not_finite_samples_are_nan_throughout(values: list[float]) -> None:
    result = statistics.estimate(values)
    assert result.n == len(values)
    assert all(isnan(value) for value in (result.mean, result.sd, result.low, result.high))


@pytest.mark.parametrize("confidence", [0, 1, 95])
def test_confidence_outside_0_to_1_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="not between 0 and 1"):
        statistics.estimate([0.1, 0.2], confidence)


def test_pairing_removes_what_a_seed_does_to_both() -> None:
    first = {seed: 0.8 + 0.02 * seed for seed in range(5)}
    second = {seed: value - 0.0625 for seed, value in first.items()}
    result = statistics.paired_difference(first, second)
    assert result.mean == pytest.approx(-0.0625)
    assert result.margin < 1e-12 < statistics.estimate(list(first.values())).margin


@given(st.dictionaries(st.integers(0, 9), accuracies), st.dictionaries(st.integers(0, 9), accuracies))
def test_pairs_are_the_seeds_in_both_and_the_sign_turns(first: dict[int, float], second: dict[int, float]) -> None:
    forth, back = statistics.paired_difference(first, second), statistics.paired_difference(second, first)
    assert forth.n == back.n == len(first.keys() & second.keys())
    assert forth.mean == pytest.approx(-back.mean, abs=1e-12, nan_ok=True)


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_solves_its_quadratic(correct: int, images: int) -> None:
    correct = min(correct, images)
    z = 1.959963984540054  # both ends satisfy (p - end)^2 = z^2 end (1 - end) / n
    share = correct / images
    low, high = statistics.wilson(share, images)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1
    for end in (low, high):
        assert (share - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / images, abs=1e-9)


def test_wilson_of_the_default_runs() -> None:
    assert statistics.wilson(0.85, 1000) == pytest.approx((0.8265, 0.8708), abs=1e-4)
    assert all(map(isnan, statistics.wilson(float("nan"), 10)))


@given(accuracies, st.integers(1, 2000))
def test_wilson_narrows_with_more_images(accuracy: float, images: int) -> None:
    share = round(accuracy * images) / images
    widths = [high - low for low, high in (statistics.wilson(share, images * factor) for factor in (1, 4, 16))]
    assert all(wider > narrower for wider, narrower in pairwise(widths))


@pytest.mark.parametrize(("accuracy", "images"), [(1.5, 10), (-0.1, 10), (0.5, 0)])
def test_wilson_refuses_what_is_no_accuracy(accuracy: float, images: int) -> None:
    with pytest.raises(ValueError, match="images at least 1, not"):
        statistics.wilson(accuracy, images)


classes = st.lists(st.tuples(*[st.integers(0, 2)] * 3), max_size=40)


@given(classes)
def test_mcnemar_is_the_two_sided_binomial_tail(triples: list[tuple[int, int, int]]) -> None:
    first, second, labels = (np.array([triple[i] for triple in triples], dtype=int) for i in range(3))
    result = statistics.mcnemar(first, second, labels)
    assert result.only_first == sum(a == y != b for a, b, y in triples)
    assert result.only_second == sum(b == y != a for a, b, y in triples)
    split = result.only_first + result.only_second
    tail = sum(comb(split, k) for k in range(min(result.only_first, result.only_second) + 1)) / 2**split
    assert result.p == pytest.approx(min(1, 2 * tail))


@given(classes)
def test_share_changed_counts_images(triples: list[tuple[int, int, int]]) -> None:
    first, second, _ = (np.array([triple[i] for triple in triples], dtype=int) for i in range(3))
    share = statistics.predictions_changed(first, second)
    if triples:
        assert share * len(triples) == pytest.approx(sum(a != b for a, b, _ in triples))
        assert statistics.predictions_changed(first, first) == 0
    else:
        assert isnan(share)


def test_predictions_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3,\) and \(2,\)"):
        statistics.predictions_changed(np.zeros(3), np.zeros(2))
    with pytest.raises(ValueError, match=r"one class for each image, not \(2,\) and \(3,\)"):
        statistics.mcnemar(np.zeros(3), np.zeros(2), np.zeros(3))


def test_an_outlier_does_not_move_the_median_and_few_values_have_their_range() -> None:
    calm = statistics.median_interval([10, 11, 12, 13, 14, 15, 16, 17, 18])
    assert (calm.low, calm.median, calm.high) == (11, 14, 17)  # the 2nd of 9: 1 - 2 (1 + 9) / 2**9
    assert calm.coverage == pytest.approx(1 - 20 / 512)
    assert statistics.median_interval([10, 11, 12, 13, 14, 15, 16, 17, 1800]) == calm
    few = statistics.median_interval([3, 1, 2])
    assert (few.low, few.median, few.high, few.coverage) == (1, 2, 3, 0.75)
    assert statistics.median_interval([7]).coverage == 0
    assert isnan(statistics.median_interval([]).median)
    assert isnan(statistics.median_interval([1, float("nan")]).low)


@settings(max_examples=20, deadline=None)
@given(st.integers(6, 40), st.integers(0, 2**32 - 1))
def test_the_interval_of_a_median_covers_whatever_the_distribution(count: int, seed: int) -> None:
    stream = np.random.default_rng(seed)
    slow = stream.random((2000, count)) < 0.2  # one in five rounds takes up to ten times as long
    samples = stream.lognormal(0, 0.3, (2000, count)) * np.where(slow, stream.uniform(2, 10, (2000, count)), 1)
    stream = np.random.default_rng(0)
    many = stream.lognormal(0, 0.3, 10**6) * np.where(stream.random(10**6) < 0.2, stream.uniform(2, 10, 10**6), 1)
    true = float(np.median(many))
    intervals = [statistics.median_interval(sample) for sample in samples]
    covered = np.mean([each.low <= true <= each.high for each in intervals])
    assert covered > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 2000)
    assert covered == pytest.approx(intervals[0].coverage, abs=4 * np.sqrt(0.05 / 2000))
