"""Comparisons of models: paired tests, their correction for many pairs, and the probability of outperforming."""

from __future__ import annotations

from itertools import product
from math import inf, isnan, nan
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from isotune.statistics import Interval, Pair, compare_all, holm, outperformance, paired_difference

accuracies = st.integers(0, 1000).map(lambda right: right / 1000)
tables = st.dictionaries(
    st.sampled_from("abcd"), st.dictionaries(st.integers(0, 7), accuracies, max_size=8), min_size=2, max_size=4
)


def by_seed(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def only(first: dict[int, float], second: dict[int, float]) -> Pair:
    (pair,) = compare_all({"a": first, "b": second})
    return pair


def test_the_paired_t_test_is_scipys() -> None:
    first, second = by_seed(0.81, 0.84, 0.80, 0.83), by_seed(0.84, 0.85, 0.81, 0.86)
    pair = only(first, second)
    assert pair.p_t == pytest.approx(stats.ttest_rel(list(second.values()), list(first.values())).pvalue)
    assert pair.difference == paired_difference(first, second)
    assert (pair.first, pair.second, pair.n, pair.unpaired, pair.reason) == ("a", "b", 4, 0, "")
    assert pair.outperformance.probability == 1  # of the second


@settings(max_examples=30)
@given(st.lists(st.tuples(accuracies, accuracies), min_size=2, max_size=8))
def test_the_permutation_test_counts_all_signs(pairs: list[tuple[float, float]]) -> None:
    gaps = np.array([round(1000 * (b - a)) for a, b in pairs])
    sums = [
        sum(gap * sign for gap, sign in zip(gaps, signs, strict=True)) for signs in product((-1, 1), repeat=len(gaps))
    ]
    extreme = np.mean([abs(total) >= abs(gaps.sum()) for total in sums])
    pair = only(by_seed(*(a for a, _ in pairs)), by_seed(*(b for _, b in pairs)))
    assert pair.p_permutation == pytest.approx(extreme)


def test_many_seeds_are_permuted_at_random_and_reproducibly() -> None:
    random = np.random.default_rng(0)
    first, second = (by_seed(*random.normal(size=20)) for _ in range(2))
    p = [only(first, second).p_permutation for _ in range(2)]
    assert p[0] == p[1]
    assert p[0] == pytest.approx(only(first, second).p_t, abs=0.03)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_statsmodels(values: list[float]) -> None:
    with patch("gc.collect"):  # why it is not used itself: it calls this each time
        expected = multipletests(values, method="holm")[1]
    assert holm(values) == pytest.approx(list(expected))


def test_a_pair_that_cannot_be_tested_still_counts() -> None:
    assert holm([0.02, None, 0.01]) == [0.04, None, 0.03]
    assert holm([]) == []
    assert holm([None]) == [None]


def test_what_holds_alone_need_not_hold_among_many() -> None:
    random = np.random.default_rng(5)
    near = by_seed(*random.normal(0.8, 0.01, size=6))
    table = {"a": near, "b": {seed: value + 0.008 + 0.005 * (seed % 3) for seed, value in near.items()}}
    (alone,) = compare_all(table)
    assert alone.distinguishable
    weak = {seed: value + (0.001, 0.009, 0.002, 0.014, 0.001, 0.011)[seed] for seed, value in near.items()}
    pair = only(near, weak)
    assert pair.p_t is not None
    assert 0.01 < pair.p_t < 0.05
    assert pair.distinguishable
    others = {name: by_seed(*random.normal(0.8, 0.01, size=6)) for name in "cdef"}
    (among, *_) = compare_all({"a": near, "b": weak} | others)
    assert (among.first, among.second, among.p_t) == ("a", "b", pair.p_t)
    assert among.p_t_holm is not None
    assert among.p_t_holm > 0.05
    assert not among.distinguishable


@settings(max_examples=50)
@given(tables)
def test_every_pair_has_an_answer_and_none_is_nan(table: dict[str, dict[int, float]]) -> None:
    compared = compare_all(table, resamples=99)
    names = list(table)
    assert [(pair.first, pair.second) for pair in compared] == [
        (a, b) for i, a in enumerate(names) for b in names[i + 1 :]
    ]
    for pair in compared:
        a, b = table[pair.first], table[pair.second]
        assert pair.n == len(a.keys() & b.keys())
        assert pair.unpaired == len(a.keys() ^ b.keys())
        for p, corrected in ((pair.p_t, pair.p_t_holm), (pair.p_permutation, pair.p_permutation_holm)):
            assert (p is None) == (corrected is None)
            assert p is None or 0 <= p <= corrected <= 1
        assert bool(pair.reason) == (pair.p_t is None)
        assert (pair.n < 2) == (pair.p_permutation is None)


def test_models_that_agree_are_not_told_apart() -> None:
    pair = only(by_seed(0.94, 0.94, 0.93), by_seed(0.94, 0.94, 0.93))
    assert (pair.p_t, pair.p_permutation, pair.distinguishable) == (1, 1, False)
    assert pair.outperformance.probability == 0.5


def test_equal_differences_are_left_to_the_permutation_test() -> None:
    # 0.1 each, up to float64's rounding, which must not pass for a tiny spread
    first = by_seed(*((1 + seed) / 10 for seed in range(8)))
    second = {seed: (2 + seed) / 10 for seed in first}
    assert len({second[seed] - first[seed] for seed in first}) > 1
    pair = only(first, second)
    assert pair.p_t is None
    assert pair.reason == "all 8 differences are equal: t has no scale"
    assert pair.p_permutation == pytest.approx(2 / 2**8)
    assert pair.distinguishable
    few = only({seed: first[seed] for seed in range(3)}, second)
    assert few.p_permutation == pytest.approx(0.25)
    assert not few.distinguishable


def test_unequal_seeds_pair_where_they_can() -> None:
    pair = only({1: 0.8, 2: 0.81, 3: 0.82, 9: 0.1}, {1: 0.82, 2: 0.82, 3: 0.85, 7: 0.1, 8: 0.2})
    assert (pair.n, pair.unpaired) == (3, 3)
    assert pair.difference.mean == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ({}, {}, "0 common seeds: at least two are needed"),
        ({1: 0.8, 2: 0.9}, {3: 0.8, 4: 0.9}, "0 common seeds: at least two are needed"),
        ({1: 0.8}, {1: 0.8}, "1 common seed: at least two are needed"),
        ({1: 0.8, 2: nan, 3: 0.8}, {1: 0.8, 2: 0.8, 3: 0.7}, "1 of 3 common seeds failed"),
        ({1: 0.8, 2: inf, 3: 0.8}, {1: inf, 2: inf, 3: 0.7}, "2 of 3 common seeds failed"),
    ],
)
def test_pairs_that_cannot_be_tested_say_why(first: dict[int, float], second: dict[int, float], reason: str) -> None:
    pair = only(first, second)
    assert pair.reason == reason
    assert (pair.p_t, pair.p_permutation, pair.p_t_holm, pair.p_permutation_holm) == (None,) * 4
    assert not pair.distinguishable
    assert isnan(pair.difference.low)
    told = pair.outperformance
    assert (told.probability, told.interval, told.conclusion, told.reason) == (None, None, "cannot say", reason)


def test_a_failed_run_spoils_its_own_pairs_only() -> None:
    table = {"a": by_seed(0.8, 0.81, 0.82), "b": by_seed(0.8, 0.83, 0.81), "c": by_seed(0.8, nan, 0.81)}
    by_models = {(pair.first, pair.second): pair for pair in compare_all(table)}
    assert by_models["a", "b"].p_t is not None
    assert by_models["a", "b"].p_t_holm == pytest.approx(min(1, 3 * by_models["a", "b"].p_t))
    assert by_models["a", "c"].reason == by_models["b", "c"].reason == "1 of 3 common seeds failed"


def test_only_the_pairs_asked_for_are_compared_and_corrected() -> None:
    table = {"a": by_seed(0.8, 0.81, 0.82), "b": by_seed(0.8, 0.83, 0.81), "c": by_seed(0.7, 0.75, 0.71)}
    every = {(pair.first, pair.second): pair for pair in compare_all(table)}
    one, two = compare_all(table, [("a", "b"), ("b", "c")])
    assert [(pair.first, pair.second) for pair in (one, two)] == [("a", "b"), ("b", "c")]
    assert one.p_t == every["a", "b"].p_t
    assert [one.p_t_holm, two.p_t_holm] == pytest.approx(holm([one.p_t, two.p_t]))
    assert compare_all(table, []) == ()


# --- the probability of outperforming


@pytest.mark.parametrize(
    ("wins", "n", "conclusion"),
    [(20, 40, "not significant"), (10, 40, "not significant"), (39, 40, "meaningful"), (28, 40, "meaningful")],
)
def test_conclusions_of_bouthillier(wins: int, n: int, conclusion: str) -> None:
    first = {seed: 1.0 if seed < wins else -1.0 for seed in range(n)}
    better = outperformance(first, dict.fromkeys(range(n), 0.0))
    assert (better.n, better.probability, better.conclusion) == (n, wins / n, conclusion)


def test_better_but_not_often_enough_to_matter() -> None:
    n = 1000
    better = outperformance({seed: float(seed < 600) for seed in range(n)}, dict.fromkeys(range(n), 0.5))
    assert better.conclusion == "significant"
    assert better.interval is not None
    assert 0.5 < better.interval.low < 0.6 < better.interval.high < 0.75
    assert better.reason == "better, but in no more than 75%"
    assert (
        outperformance(
            {seed: float(seed < 600) for seed in range(n)}, dict.fromkeys(range(n), 0.5), gamma=0.55
        ).conclusion
        == "meaningful"
    )


def test_from_29_pairs_the_interval_is_the_percentile_bootstrap() -> None:
    for n in (29, 40):
        wins = np.arange(n) < 0.7 * n
        interval = outperformance(by_seed(*wins.astype(float)), dict.fromkeys(range(n), 0.5)).interval
        assert interval is not None
        expected = stats.binom.ppf((0.025, 0.975), n, wins.mean()) / n
        assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=1.01 / n)
        exact = stats.binomtest(int(wins.sum()), n).proportion_ci(method="exact")
        assert interval.low > exact.low + 0.005


def test_below_29_pairs_or_without_exceptions_the_interval_is_exact() -> None:
    always = outperformance(by_seed(0.9, 0.9, 0.9), by_seed(0.8, 0.8, 0.8))
    assert always.interval is not None
    assert (always.interval.low, always.interval.high) == pytest.approx((0.025 ** (1 / 3), 1))
    assert always.conclusion == "not significant"  # of equal models, one wins all three every fourth time
    assert outperformance(by_seed(*[0.9] * 6), by_seed(*[0.8] * 6)).conclusion == "meaningful"
    every = outperformance(by_seed(*[0.9] * 40), by_seed(*[0.8] * 40)).interval  # nor has the bootstrap a width here
    assert every is not None
    assert (every.low, every.high) == pytest.approx((0.025 ** (1 / 40), 1))
    exact = stats.binomtest(15, 28).proportion_ci(method="exact")
    interval = outperformance({seed: float(seed < 15) for seed in range(28)}, dict.fromkeys(range(28), 0.5)).interval
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=35))
def test_the_two_directions_add_up_whatever_the_ties(pairs: list[tuple[int, int]]) -> None:
    first, second = by_seed(*(float(a) for a, _ in pairs)), by_seed(*(float(b) for _, b in pairs))
    forth, back = outperformance(first, second, resamples=199), outperformance(second, first, resamples=199)
    assert forth.probability is not None
    assert back.probability is not None
    assert forth.probability + back.probability == pytest.approx(1)
    assert isinstance(forth.interval, Interval)
    assert 0 <= forth.interval.low <= forth.probability <= forth.interval.high <= 1
    assert "not significant" in (forth.conclusion, back.conclusion)
