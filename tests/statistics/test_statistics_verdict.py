"""A published number is reproduced, different or open: by the field's formulas, and defined at every edge."""

from __future__ import annotations

from math import inf, nan, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from isotune.statistics import Interval, Published, power_of, seeds_for, verdict
from isotune.statistics._standard_error import StandardError, binomial_skew

VALUES = [75.31, 74.92, 75.10, 75.55, 74.87]
runs = st.lists(st.floats(60, 90), min_size=2, max_size=12)


def pair(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


@given(runs, st.floats(60, 90), st.floats(0.1, 5))
def test_tost_is_statsmodels(values: list[float], published: float, margin: float) -> None:
    assume(np.ptp(values) > 1e-3)
    judged = verdict(values, Published(published), margin)
    _, lower, upper = DescrStatsW(values).ttost_mean(published - margin, published + margin)
    assert (judged.p_lower, judged.p_upper) == pytest.approx((lower[1], upper[1]), abs=1e-9)
    told = stats.ttest_1samp(values, published)
    for interval, confidence in ((judged.interval90, 0.9), (judged.interval95, 0.95)):
        low, high = told.confidence_interval(confidence)
        assert pair(interval) == pytest.approx((low - published, high - published), abs=1e-9)


@given(
    runs,
    st.floats(60, 90),
    st.floats(0.1, 5),
    st.none() | st.integers(20, 10_000),
    st.tuples(st.integers(2, 9), st.floats(0.01, 2)) | st.just((None, None)),
)
def test_outcome_intervals_and_p_values_say_one_thing(
    values: list[float], mean: float, margin: float, images: int | None, theirs: tuple[int | None, float | None]
) -> None:
    judged = verdict(values, Published(mean, *theirs), margin, images=images)
    assert judged.effect is not None
    assert judged.p is not None
    (low90, high90), (low95, high95) = pair(judged.interval90), pair(judged.interval95)
    assert low95 <= low90 <= judged.effect <= high90 <= high95
    assume(abs(judged.p - 0.05) > 1e-9)
    assert (judged.outcome == "reproduced") == (judged.p < 0.05) == (-margin < low90 and high90 < margin)
    assert (judged.outcome == "different") == (low95 > margin or high95 < -margin)
    assert (judged.seeds_needed == 0) == (judged.outcome != "inconclusive")
    assert judged.reason


@given(runs, st.floats(60, 90), st.none() | st.integers(20, 10_000))
def test_a_wider_margin_never_takes_a_reproduction_back(values: list[float], mean: float, images: int | None) -> None:
    outcomes = [verdict(values, Published(mean), margin, images=images).outcome for margin in (0.5, 1, 2, 4)]
    assert outcomes == sorted(outcomes, key=["different", "inconclusive", "reproduced"].index)


def test_the_three_outcomes() -> None:
    assert verdict(VALUES, Published(75.2)).outcome == "reproduced"
    assert verdict(VALUES, Published(76.2)).outcome == "inconclusive"
    assert verdict(VALUES, Published(77.0)).outcome == "different"
    assert verdict(VALUES, Published(73.2)).outcome == "different"


def test_different_is_about_the_margin_and_not_about_zero() -> None:
    # 1.2 above, sd 0.2: certainly not equal, and more than the margin as observed, but not certainly
    judged = verdict([76.0, 76.2, 76.4, 76.2], Published(75.0))
    assert judged.effect == pytest.approx(1.2)
    assert judged.nonzero
    assert (judged.outcome, judged.reason) == (
        "inconclusive",
        "not equal, but the interval reaches across the margin",
    )
    within = verdict([75.4, 75.5, 75.6, 75.5], Published(75.0))
    assert (within.outcome, within.reason, within.nonzero) == (
        "reproduced",
        "within the margin, though not equal",
        True,
    )


@pytest.mark.parametrize(
    ("published", "margin"),
    [
        (Published(75), 1.0),
        (Published(75, rounding=0.1), 1.05),
        (Published(75, n=5, sd=0.4, rounding=1), 1.5),
        (Published(75, n=5, sd=1.4), 1.4),
        (Published(75, sd=1.4, spread=2.5), 2.5),
        (Published(75, sd=2, spread=0.5), 1.0),
    ],
)
def test_the_default_margin(published: Published, margin: float) -> None:
    assert published.margin == pytest.approx(margin)
    assert verdict(VALUES, published).margin == pytest.approx(margin)
    assert verdict(VALUES, published, 0.3).margin == 0.3


def test_the_published_spread_widens_the_interval_as_welch_says() -> None:
    # equal n: Cochran and Cox's critical value is t(n - 1)
    judged = verdict(VALUES, Published(75.5, n=5, sd=0.5))
    se = sqrt(np.var(VALUES, ddof=1) / 5 + 0.25 / 5)
    effect = np.mean(VALUES) - 75.5
    half = stats.t.isf(0.025, 4) * se
    assert pair(judged.interval95) == pytest.approx((effect - half, effect + half))
    assert judged.p_lower == pytest.approx(stats.t.sf((effect + 1) / se, 4))
    # never surer than Welch's t test, nor less sure than with the smaller sample's degrees of freedom
    for n in (2, 3, 30):
        judged = verdict(VALUES, Published(75.5, n=n, sd=0.5))
        welch = stats.ttest_ind_from_stats(
            np.mean(VALUES), np.std(VALUES, ddof=1), 5, 75.5 - 1, 0.5, n, equal_var=False, alternative="greater"
        )
        assert judged.p_lower is not None
        assert welch.pvalue < judged.p_lower < stats.t.sf(welch.statistic, min(n, 5) - 1) + 1e-12


def test_the_critical_value_is_cochran_and_coxs() -> None:
    t, other = stats.t.isf(0.05, 7), stats.t.isf(0.05, 2)
    for ours, theirs in ((0.02, 0.05), (0.05, 0.001), (0.0, 0.05)):
        error = StandardError(ours, theirs, n=8, n_theirs=3)
        assert error.reach(0.05)[0] == pytest.approx((ours * t + theirs * other) / (ours + theirs))


def test_the_cochran_cox_p_value_belongs_to_its_critical_value() -> None:
    error = StandardError(ours=0.02, theirs=0.05, n=8, n_theirs=3)
    for tail in (1e-6, 0.01, 0.05, 0.4):
        reach, _ = error.reach(tail)
        assert error.p(reach * error.se, above=True) == pytest.approx(tail, rel=1e-6)
        assert error.p(-reach * error.se, above=True) == pytest.approx(1 - tail, rel=1e-6)


def test_only_a_published_sd_of_several_runs_is_used() -> None:
    alone = verdict(VALUES, Published(75.2), 1.0)
    for published in (Published(75.2, n=5), Published(75.2, sd=0.4), Published(75.2, n=1, sd=0.4)):
        assert verdict(VALUES, published, 1.0).interval90 == alone.interval90


def test_skewness_of_accuracies_near_100_lengthens_the_lower_side_only() -> None:
    values = [99.4, 99.6, 99.5, 99.7]
    plain, known = (verdict(values, Published(99.5), images=images) for images in (None, 10_000))
    assert plain.interval90 is not None
    assert known.interval90 is not None
    assert known.interval90.low < plain.interval90.low - 0.01
    assert known.interval90.high == pytest.approx(plain.interval90.high, abs=1e-3)
    low, high = (verdict([100 - v for v in values], Published(0.5), images=10_000).interval90, known.interval90)
    assert low is not None
    assert (low.low, low.high) == pytest.approx((-high.high, -high.low))  # mirrored at 50 %


@given(st.floats(0.01, 0.99), st.integers(5, 5000))
def test_the_skewness_is_scipys(share: float, trials: int) -> None:
    inside = min(max(share, 0.5 / trials), 1 - 0.5 / trials)
    assert binomial_skew(share, trials) == pytest.approx(float(stats.binom.stats(trials, inside, moments="s")))


def test_halls_transformation_and_its_inverse_agree() -> None:
    for skew in (-1.4, -0.3, 0.0, 0.2):
        error = StandardError(ours=0.04, theirs=0.0, n=4, n_theirs=0, skew=skew)
        below, above = error.reach(0.05)
        assert error.p(below * 0.2, above=True) == pytest.approx(0.05)
        assert error.p(above * 0.2, above=False) == pytest.approx(0.05)
        assert min(below, above) >= stats.t.isf(0.05, 3) - 1e-12


# --- defined answers


@pytest.mark.parametrize(
    ("values", "reason", "effect"),
    [
        ([], "0 runs: at least two are needed", None),
        ([75.5], "1 run: at least two are needed", 0.5),
        ([nan], "1 of 1 runs failed", None),
        ([75.0, nan, 75.2, inf], "2 of 4 runs failed", None),
    ],
)
def test_runs_that_cannot_say_give_no_verdict(values: list[float], reason: str, effect: float | None) -> None:
    judged = verdict(values, Published(75.0), images=1000 if inf not in values else None)
    assert (judged.outcome, judged.reason, judged.n) == ("inconclusive", reason, len(values))
    assert judged.effect == effect
    assert (judged.interval90, judged.interval95, judged.p, judged.p_lower, judged.sd) == (None,) * 5
    assert judged.seeds_needed is None
    assert not judged.nonzero


def test_one_run_is_planned_with_the_published_spread() -> None:
    assert verdict([75.1], Published(75, sd=0.5)).seeds_needed == seeds_for(1.0, 0.5, 0.1) - 1
    assert verdict([75.1], Published(75, sd=0.0)).seeds_needed is None


@pytest.mark.parametrize(
    ("mean", "outcome", "p"),
    [(75.0, "reproduced", 0.0), (75.5, "reproduced", 0.0), (76.0, "inconclusive", 1.0), (77.0, "different", 1.0)],
)
def test_equal_runs_without_a_resolution_are_exact(mean: float, outcome: str, p: float) -> None:
    judged = verdict([mean] * 3, Published(75.0))
    assert (judged.outcome, judged.p) == (outcome, p)
    assert judged.reason.endswith("; all 3 runs gave the same value")
    assert judged.seeds_needed == (None if outcome == "inconclusive" else 0)


def test_equal_runs_on_few_images_do_not_pass_for_certainty() -> None:
    # two readings on steps of one point: sd 1/sqrt(12), se 0.204, t(1) = 6.3
    judged = verdict([75.0, 75.0], Published(75.0), images=100)
    assert judged.outcome == "inconclusive"
    low, high = pair(judged.interval90)
    assert high == pytest.approx(stats.t.isf(0.05, 1) / sqrt(24), rel=1e-9)
    assert low <= -high
    assert judged.seeds_needed is not None
    assert judged.seeds_needed > 0
    assert verdict([75.0, 75.0], Published(75.0), images=10_000).outcome == "reproduced"


def test_all_right_is_an_accuracy_too() -> None:
    assert verdict([100.0] * 5, Published(99.8, rounding=0.1), images=1000).outcome == "reproduced"
    assert verdict([0.0] * 5, Published(50), images=1000).outcome == "different"


@pytest.mark.parametrize("margin", [0, -1, nan, inf])
def test_a_margin_that_is_none_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="margin must be above 0"):
        verdict(VALUES, Published(75.0), margin)


def test_images_and_accuracies_must_fit() -> None:
    with pytest.raises(ValueError, match="images at least 1"):
        verdict(VALUES, Published(75.0), images=0)
    with pytest.raises(ValueError, match="and 100"):
        verdict([99.0, 101.0], Published(99.0), images=100)


@pytest.mark.parametrize("wrong", [{"mean": nan}, {"sd": -1}, {"spread": inf}, {"rounding": -0.1}, {"n": 0}])
def test_a_published_number_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="published"):
        Published(**({"mean": 75.0} | wrong))  # type: ignore[arg-type]


# --- seeds and power


@pytest.mark.parametrize(
    ("sd", "margin", "paired80", "paired90", "single80"),
    [(0.1, 0.15, 9, 11, 6), (0.1, 0.3, 3, 4, 3), (0.2, 0.3, 9, 11, 6), (0.2, 0.5, 4, 5, 4), (0.3, 0.5, 7, 9, 5)],
)
def test_seeds_are_those_of_the_fields_table(
    sd: float, margin: float, paired80: int, paired90: int, single80: int
) -> None:
    assert seeds_for(margin, sd, power=0.8, arms=2) == paired80
    assert seeds_for(margin, sd, power=0.9, arms=2) == paired90
    assert seeds_for(margin, sd, power=0.8) == single80


@pytest.mark.parametrize(("effect", "sd", "n"), [(1.2, 0.5, 2), (1.1, 0.3, 30), (2, 0.5, 3), (3, 1, 2), (-1.6, 0.6, 8)])
def test_power_of_different_is_statsmodels(effect: float, sd: float, n: int) -> None:
    expected = TTestPower().power((abs(effect) - 1) / sd, n, 0.025, alternative="larger")
    assert power_of(1.0, sd, n, effect) == pytest.approx(expected, abs=1e-6)


@given(st.floats(0.05, 2), st.integers(2, 40), st.floats(-3, 3), st.sampled_from([1, 2]))
def test_power_is_a_chance_that_grows_with_the_margin_of_safety(sd: float, n: int, effect: float, arms: int) -> None:
    chance = power_of(1.0, sd, n, effect, arms=arms)
    assert 0 <= chance <= 1 + 1e-9
    assert power_of(1.0, sd, n, -effect, arms=arms) == pytest.approx(chance, abs=1e-9)
    if chance > 0.1:  # below, TOST gains from an sd that is small by luck, which more runs make rare
        assert power_of(1.0, sd, n + 1, effect, arms=arms) >= chance - 1e-6


def test_a_difference_at_the_margin_takes_more_seeds_than_there_are() -> None:
    assert seeds_for(1.0, 0.5, 1.0) is None
    assert seeds_for(1.0, 0.5, 0.9999) is None
    near, far = seeds_for(1.0, 0.5, 0.9), seeds_for(1.0, 0.5, 0.5)
    assert near is not None
    assert far is not None
    assert near > 5 * far


def test_seeds_needed_against_a_published_mean_are_the_fewest_that_do() -> None:
    needed = verdict([75.1], Published(75, n=10, sd=0.5)).seeds_needed
    assert needed is not None
    random = np.random.default_rng(4)
    chances = []
    for n in (needed, needed + 1):
        outcomes = []
        for _ in range(2000):
            theirs = random.normal(75, 0.5, size=10)
            published = Published(float(theirs.mean()), 10, float(theirs.std(ddof=1)))
            outcomes.append(verdict(random.normal(75.1, 0.5, size=n), published, 1.0).outcome == "reproduced")
        chances.append(np.mean(outcomes))
    assert chances[0] < 0.91  # Welch's degrees of freedom are an approximation
    assert chances[1] > 0.89


def test_a_published_mean_of_few_runs_can_make_a_conclusion_impossible() -> None:
    assert verdict(VALUES, Published(75.2, n=2, sd=1.0)).seeds_needed is None


def test_seeds_still_needed_give_the_power_that_was_asked_for() -> None:
    judged = verdict([75.9, 74.4, 75.3], Published(75.0))
    assert judged.outcome == "inconclusive"
    assert judged.sd is not None
    assert judged.effect is not None
    needed = judged.seeds_needed
    assert needed is not None
    assert (
        power_of(1.0, judged.sd, 3 + needed, judged.effect) >= 0.9 > power_of(1.0, judged.sd, 2 + needed, judged.effect)
    )
    draws = np.random.default_rng(2).normal(75.0 + judged.effect, judged.sd, size=(2000, 3 + needed))
    reproduced = np.mean([verdict(row, Published(75.0)).outcome == "reproduced" for row in draws])
    assert reproduced == pytest.approx(
        power_of(1.0, judged.sd, 3 + needed, judged.effect), abs=4 * sqrt(0.1 * 0.9 / 2000)
    )


@pytest.mark.parametrize("wrong", [{"margin": 0}, {"sd": 0}, {"n": 1}, {"arms": 3}, {"effect": nan}])
def test_power_of_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="power is not defined"):
        power_of(**({"margin": 1.0, "sd": 0.5, "n": 5} | wrong))  # type: ignore[arg-type]
