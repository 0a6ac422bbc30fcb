"""Two sets of timings, beyond a margin."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import comb, isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotune.statistics import Ratio, compare_rounds, median_interval

timings = st.lists(st.integers(1, 1000).map(lambda value: value / 10), min_size=1, max_size=9, unique=True)


@pytest.mark.parametrize(("n", "m"), [(1, 2), (3, 3), (4, 5)])
def test_p_is_exact(n: int, m: int) -> None:
    """Of all orders of n and m values the most extreme are two, and p is never below their share."""
    p = [
        compare_rounds(list(chosen), [value for value in range(1, n + m + 1) if value not in chosen], 0.0).p
        for chosen in combinations(range(1, n + m + 1), n)
    ]
    assert len(p) == comb(n + m, n)
    assert min(p) == pytest.approx(2 / comb(n + m, n))
    for level in (0.02, 0.05, 0.2):  # of equal things, no more than so many are said to differ
        assert np.mean(np.array(p) <= level + 1e-9) <= level + 1e-9


@settings(max_examples=60)
@given(timings, timings, st.sampled_from([0.0, 0.1, 0.3]))
def test_the_two_directions_mirror_each_other(first: list[float], second: list[float], margin: float) -> None:
    one, other = compare_rounds(first, second, margin), compare_rounds(second, first, margin)
    assert one.p == pytest.approx(other.p, rel=1e-6)
    assert (one.low, one.ratio, one.high) == pytest.approx((1 / other.high, 1 / other.ratio, 1 / other.low))
    assert one.low <= one.ratio <= one.high
    assert one.ratio == pytest.approx(median_interval(second).median / median_interval(first).median)


@settings(max_examples=40)
@given(timings, timings)
def test_a_larger_margin_never_makes_a_difference_surer(first: list[float], second: list[float]) -> None:
    p = [compare_rounds(first, second, margin).p for margin in (0.0, 0.1, 0.2, 0.4)]
    assert all(larger >= smaller - 1e-9 for smaller, larger in pairwise(p))


def test_what_is_within_the_margin_does_not_count() -> None:
    rounds = np.linspace(1, 1.02, 9)
    assert compare_rounds(rounds, 0.93 * rounds, 0.1).p == 1
    assert compare_rounds(rounds, 0.85 * rounds, 0.1).p < 0.001
    assert compare_rounds(rounds, rounds / 0.85, 0.1).p < 0.001
    assert compare_rounds(rounds, 0.85 * rounds, 0.1) == Ratio(
        pytest.approx(0.85), pytest.approx(0.85 * 1.0025 / 1.0175), pytest.approx(0.85 * 1.0175 / 1.0025),
        pytest.approx(2 / comb(18, 9)),
    )  # fmt: skip


def test_what_is_no_timing_says_nothing() -> None:
    for bad in ([], [nan, 1.0], [0.0, 1.0]):
        assert isnan(compare_rounds(bad, [1.0, 2.0], 0.1).p)
        assert isnan(compare_rounds([1.0, 2.0], bad, 0.1).ratio)
