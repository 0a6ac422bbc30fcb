"""Bootstrap intervals beside t, and the split of the variance over seeds into test set and training."""

from __future__ import annotations

from math import isnan, nan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from isotune.statistics import BCA_FROM, Interval, estimate, split_variance, summarise


def test_bca_is_scipys_at_hesterbergs_level() -> None:
    values = np.random.default_rng(3).normal(75, 0.3, size=12)
    level = 1 - 2 * stats.norm.sf(sqrt(12 / 11) * stats.t.isf(0.025, 11))
    assert level == pytest.approx(0.97847, abs=1e-4)
    expected = stats.bootstrap(
        (values,), np.mean, confidence_level=level, method="BCa", random_state=np.random.default_rng(0)
    ).confidence_interval
    found = summarise(values)
    assert found.estimate == estimate(values)
    assert found.reason == ""
    assert found.bca is not None
    assert (found.bca.low, found.bca.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_bca_leans_to_the_long_tail() -> None:
    values = [80.0] * 3 + [80.1] * 4 + [80.2] * 4 + [77.0]
    found = summarise(values)
    assert found.bca is not None
    assert found.estimate.mean - found.bca.low > 1.5 * (found.bca.high - found.estimate.mean)


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
    found = summarise(values)
    assert (found.bca, found.reason) == (None, reason)
    assert isnan(found.estimate.low)


def test_equal_runs_have_intervals_of_no_width() -> None:
    assert summarise([0.1 + 0.2] * 10).bca == Interval(0.1 + 0.2, 0.1 + 0.2)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 100) | st.integers(0, 1), min_size=BCA_FROM, max_size=20), st.integers(0, 3))
def test_bca_holds_the_mean_whatever_the_ties(right: list[int], seed: int) -> None:
    found = summarise([float(count) for count in right], resamples=499, seed=seed)
    assert found.bca is not None
    assert min(right) <= found.bca.low <= found.estimate.mean + 1e-9
    assert found.estimate.mean - 1e-9 <= found.bca.high <= max(right)
    assert found == summarise([float(count) for count in right], resamples=499, seed=seed)


def test_the_split_by_hand() -> None:
    # two runs, four images: q = 1, 1/2, 1/2, 0; accuracies 3/4 and 1/4
    found = split_variance(np.array([[1, 1, 1, 0], [1, 0, 0, 0]]))
    assert (found.seeds, found.images, found.reason) == (2, 4, "")
    assert found.observed == pytest.approx(0.125)
    assert found.test_set == pytest.approx(2 * (1 / 4) * 2 / 16)  # two images, q(1-q) = 1/4, k/(k-1) = 2
    assert found.training == pytest.approx(0.0625)
    assert found.training_sd == pytest.approx(0.25)


@given(
    st.integers(2, 6).flatmap(
        lambda seeds: st.lists(st.lists(st.booleans(), min_size=seeds, max_size=seeds), min_size=1, max_size=12)
    )
)
def test_training_variance_is_the_covariance_between_images(images: list[list[bool]]) -> None:
    correct = np.array(images, dtype=float).T  # [seeds, images]
    found = split_variance(correct)
    covariance = np.atleast_2d(np.cov(correct, rowvar=False))
    between = (covariance.sum() - np.trace(covariance)) / correct.shape[1] ** 2
    assert found.observed == pytest.approx(correct.mean(axis=1).var(ddof=1), abs=1e-15)
    assert found.training == pytest.approx(between, abs=1e-12)
    assert found.test_set is not None
    assert found.training_sd is not None
    assert found.training_sd >= 0


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
    found = split_variance(correct)
    assert found.reason == reason
    assert (found.observed, found.test_set, found.training, found.training_sd) == (None,) * 4


def test_runs_that_agree_on_every_image_have_no_variance() -> None:
    found = split_variance(np.tile([True, False, True], (5, 1)))
    assert (found.observed, found.test_set, found.training) == (0, 0, 0)


def test_what_is_no_table_of_right_and_wrong_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not \(3,\)"):
        split_variance(np.ones(3))
    with pytest.raises(ValueError, match="right"):
        split_variance(np.array([[0.5, 1], [1, 1]]))
