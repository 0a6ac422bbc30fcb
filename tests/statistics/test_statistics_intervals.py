"""Bootstrap intervals beside t, and the split of the variance over seeds into test set and training."""

from __future__ import annotations

from math import isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from isotune.report import wording as f
from isotune.statistics import (
    BCA_FROM,
    PERCENT,
    POINTS,
    Interval,
    Published,
    Run,
    estimate,
    paired_difference,
    split_variance,
    summarise,
    variance_by_source,
    verdict,
)


def test_bca_is_scipys_at_hesterbergs_level() -> None:
    values = np.random.default_rng(3).normal(75, 0.3, size=12)
    level = 1 - 2 * stats.norm.sf(sqrt(12 / 11) * stats.t.isf(0.025, 11))
    assert level == pytest.approx(0.97847, abs=1e-4)
    expected = stats.bootstrap(
        (values,), np.mean, confidence_level=level, method="BCa", random_state=np.random.default_rng(0)
    ).confidence_interval
    summary = summarise(values)
    assert summary.estimate == estimate(values)
    assert summary.reason == ""
    assert summary.bca is not None
    assert (summary.bca.low, summary.bca.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_bca_leans_to_the_long_tail() -> None:
    values = [80.0] * 3 + [80.1] * 4 + [80.2] * 4 + [77.0]
    summary = summarise(values)
    assert summary.bca is not None
    assert summary.estimate.mean - summary.bca.low > 1.5 * (summary.bca.high - summary.estimate.mean)


def test_bca_is_not_offered_where_it_does_not_cover() -> None:
    values = np.random.default_rng(0).normal(size=BCA_FROM)
    assert summarise(values).bca is not None
    short = summarise(values[1:])
    assert short.bca is None
    assert short.reason == f"the bootstrap needs {BCA_FROM} runs, not {BCA_FROM - 1}"
    assert short.estimate.low < short.estimate.mean < short.estimate.high


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "0 runs: at least two are needed"),
        ([80.0], "1 run: at least two are needed"),
        ([80.0] * 9 + [nan], "1 of 10 runs failed"),
    ],
)
def test_a_summary_that_cannot_be_given_says_why(values: list[float], reason: str) -> None:
    summary = summarise(values)
    assert (summary.bca, summary.reason) == (None, reason)
    assert isnan(summary.estimate.low)


def test_equal_runs_have_intervals_of_no_width() -> None:
    assert summarise([0.1 + 0.2] * 10).bca == Interval(0.1 + 0.2, 0.1 + 0.2)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 100) | st.integers(0, 1), min_size=BCA_FROM, max_size=20), st.integers(0, 3))
def test_bca_holds_the_mean_whatever_the_ties(right: list[int], seed: int) -> None:
    summary = summarise([float(count) for count in right], resamples=499, seed=seed)
    assert summary.bca is not None
    assert min(right) <= summary.bca.low <= summary.estimate.mean + 1e-9
    assert summary.estimate.mean - 1e-9 <= summary.bca.high <= max(right)
    assert summary == summarise([float(count) for count in right], resamples=499, seed=seed)


def test_the_split_by_hand() -> None:
    # two runs, four images: q = 1, 1/2, 1/2, 0; accuracies 3/4 and 1/4
    split = split_variance(np.array([[1, 1, 1, 0], [1, 0, 0, 0]]))
    assert (split.seeds, split.images, split.reason) == (2, 4, "")
    assert split.observed == pytest.approx(0.125)
    assert split.test_set == pytest.approx(2 * (1 / 4) * 2 / 16)  # two images, q(1-q) = 1/4, k/(k-1) = 2
    assert split.training == pytest.approx(0.0625)
    assert split.training_sd == pytest.approx(0.25)


@given(
    st.integers(2, 6).flatmap(
        lambda seeds: st.lists(st.lists(st.booleans(), min_size=seeds, max_size=seeds), min_size=1, max_size=12)
    )
)
def test_training_variance_is_the_covariance_between_images(images: list[list[bool]]) -> None:
    correct = np.array(images, dtype=float).T  # [seeds, images]
    split = split_variance(correct)
    covariance = np.atleast_2d(np.cov(correct, rowvar=False))
    between = (covariance.sum() - np.trace(covariance)) / correct.shape[1] ** 2
    assert split.observed == pytest.approx(correct.mean(axis=1).var(ddof=1), abs=1e-15)
    assert split.training == pytest.approx(between, abs=1e-12)
    assert split.test_set is not None
    assert split.training_sd is not None
    assert split.training_sd >= 0


@pytest.mark.parametrize(
    ("correct", "reason"),
    [
        (np.zeros((0, 5)), "0 runs: at least two are needed"),
        (np.ones((1, 5)), "1 run: at least two are needed"),
        (np.ones((4, 0)), "no images"),
        (np.array([[1, 0], [nan, nan], [1, 1]]), "1 of 3 runs failed"),
    ],
)
def test_a_split_that_cannot_be_made_says_why(correct: np.ndarray, reason: str) -> None:
    split = split_variance(correct)
    assert split.reason == reason
    assert (split.observed, split.test_set, split.training, split.training_sd) == (None,) * 4


def test_runs_that_agree_on_every_image_have_no_variance() -> None:
    split = split_variance(np.tile([True, False, True], (5, 1)))
    assert (split.observed, split.test_set, split.training) == (0, 0, 0)


def test_what_is_no_table_of_right_and_wrong_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not \(3,\)"):
        split_variance(np.ones(3))
    with pytest.raises(ValueError, match="right"):
        split_variance(np.array([[0.5, 1], [1, 1]]))


@given(
    st.lists(st.floats(0, 100), min_size=2, max_size=6),
    st.lists(st.floats(0, 100), min_size=6, max_size=6),
)
def test_intervals_of_shares_stay_between_0_and_100_percent(values: list[float], others: list[float]) -> None:
    told = estimate(values, within=PERCENT)
    plain = estimate(values)
    assert 0 <= told.low <= told.mean <= told.high <= 100
    assert told.mean == plain.mean
    assert told.sd == plain.sd
    # what lies between the limits is in one exactly where it is in the other: the coverage is the same
    assert all(
        (share in Interval(told.low, told.high)) == (share in Interval(plain.low, plain.high)) for share in others
    )
    gap = paired_difference(dict(enumerate(values)), dict(enumerate(others)), within=POINTS)
    assert -100 <= gap.low <= gap.mean <= gap.high <= 100
    runs = [Run({"head": seed, "order": order}, 0, others[2 * seed + order]) for seed in range(3) for order in range(2)]
    for part in variance_by_source(runs, within=PERCENT).components:
        assert part.interval.high <= 2500
    reached = verdict(values, Published(others[0]), images=100)
    for interval in (reached.interval90, reached.interval95):
        assert interval is not None
        assert -others[0] <= interval.low <= interval.high <= 100 - others[0]


def test_an_interval_that_ends_at_a_limit_is_written_out() -> None:
    told = estimate([85.0, 100.0], within=PERCENT)
    assert (round(told.low, 9), told.high, told.symmetric) == (0, 100, False)
    assert f.accuracy(told, 1) == "92.5 (0.0 to 100.0)"
    assert f.accuracy(estimate([85.0, 85.2], within=PERCENT), 1) == "85.1 ± 1.3"
    gap = paired_difference({0: 100.0, 1: 10.0}, {0: 0.0, 1: 10.0}, within=POINTS)
    assert f.gap(gap, 1) == "-50.0 (-100.0 to +100.0)"
