"""Claims about other test images, about bounds, and about the same images: by the field's formulas, at their levels."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from isotune.statistics import Draw, Published, Verdict, verdict

DRAWS = 20_000


def evaluated(right: int, images: int, published: Published, draw: Draw | None = None, margin: Any = None) -> Verdict:
    return verdict([100 * right / images], published, margin, images=images, draw=draw, trained=False)


@given(st.integers(5, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(50, 99))
def test_the_interval_of_a_part_of_their_images_is_wilsons(ours: tuple[int, int], theirs: float) -> None:
    judged = evaluated(*ours, Published(theirs), Draw(ours[1]))
    for interval, alpha in ((judged.interval90, 0.1), (judged.interval95, 0.05)):
        low, high = proportion_confint(*ours, alpha, "wilson")
        assert interval is not None
        assert (interval.low + theirs, interval.high + theirs) == pytest.approx((100 * low, 100 * high), abs=1e-9)


@given(st.integers(5, 500), st.integers(5, 500), st.floats(0, 1), st.floats(0, 1))
def test_the_interval_of_two_draws_is_newcombes(n: int, m: int, share: float, other: float) -> None:
    right, theirs = round(n * share), round(m * other)
    judged = evaluated(right, n, Published(100 * theirs / m), Draw(n, m))
    assert judged.interval95 is not None
    low, high = confint_proportions_2indep(right, n, theirs, m, method="newcomb")
    assert (judged.interval95.low, judged.interval95.high) == pytest.approx((100 * low, 100 * high), abs=1e-6)


@cache
def outcome(right: int, images: int, theirs: int, of: int | None, at_least: bool, margin: float | None) -> str:
    """theirs: right of `of`, or where that is None, percent in hundredths."""
    number = Published(100 * theirs / of if of else theirs / 100, at_least=at_least)
    return evaluated(right, images, number, Draw(images, of), margin).outcome


def rate(wanted: str, true: float, claimed: float, images: int, of: int | None, *, at_least: bool = False,
         margin: float | None = 2.0) -> float:  # fmt: skip
    """Share of simulated verdicts: ours drawn at a true accuracy, theirs at the claimed one or equal to it, percent."""
    stream, draws = np.random.default_rng(0), DRAWS // 8 if of else DRAWS
    ours = stream.binomial(images, true / 100, draws)
    theirs = stream.binomial(of, claimed / 100, draws) if of else np.full(draws, round(100 * claimed))
    kinds, counts = np.unique(np.stack([ours, theirs]), axis=1, return_counts=True)
    hit = [outcome(int(one), images, int(two), of, at_least, margin) == wanted for one, two in kinds.T]
    return float(counts[hit].sum() / draws)


@pytest.mark.parametrize(("claimed", "images", "of"), [(85.0, 1000, None), (97.0, 1000, None), (85.0, 400, 300)])
def test_of_draws_that_differ_by_the_margin_five_in_a_hundred_are_called_reproduced(
    claimed: float, images: int, of: int | None
) -> None:
    margin = 8.0 if of else 4.0
    assert rate("reproduced", claimed - margin, claimed, images, of, margin=margin) <= 0.06
    assert rate("different", claimed - margin, claimed, images, of, margin=margin) <= 0.035


@pytest.mark.parametrize(("claimed", "images", "of"), [(85.0, 1000, None), (85.0, 400, 300)])
def test_of_draws_of_the_same_accuracy_hardly_one_is_called_different(
    claimed: float, images: int, of: int | None
) -> None:
    assert rate("different", claimed, claimed, images, of) <= 0.01


@pytest.mark.parametrize("bound", [80.0, 95.0])
def test_a_bound_keeps_its_levels_at_the_bound_itself(bound: float) -> None:
    assert rate("reproduced", bound, bound, 1000, None, at_least=True, margin=None) <= 0.06
    assert rate("different", bound, bound, 1000, None, at_least=True, margin=None) <= 0.035


def test_images_needed_decide_nine_times_of_ten() -> None:
    open_one = evaluated(852, 1000, Published(85.0), Draw(1000))
    assert (open_one.outcome, open_one.seeds_needed) == ("inconclusive", None)
    assert open_one.images_needed is not None
    assert 10_000 < open_one.images_needed < 20_000
    assert 0.85 < rate("reproduced", 85.2, 85.0, open_one.images_needed, None, margin=1.0) < 0.95
    bound = evaluated(820, 1000, Published(80.0, at_least=True), Draw(1000))
    assert bound.outcome == "inconclusive"
    assert bound.images_needed is not None
    assert 0.85 < rate("reproduced", 82.0, 80.0, bound.images_needed, None, at_least=True, margin=None) < 0.95


def test_no_number_of_ours_decides_what_theirs_leave_open() -> None:
    judged = evaluated(17_000, 20_000, Published(85.0), Draw(20_000, 500))
    assert (judged.outcome, judged.images_needed) == ("inconclusive", None)


def test_on_the_same_images_only_rounding_and_arithmetic_may_differ() -> None:
    claimed = Published(85.0, rounding=0.1)
    judged = evaluated(8_509, 10_000, claimed)
    assert (judged.outcome, judged.margin) == ("reproduced", pytest.approx(0.1))
    assert evaluated(8_511, 10_000, claimed).outcome == "different"
    assert evaluated(171, 200, claimed).outcome == "reproduced"  # one image is 0.5 points
    assert evaluated(172, 200, claimed).outcome == "different"
    assert evaluated(8_600, 10_000, claimed, margin=1.5).outcome == "reproduced"


def test_a_bound_on_the_same_images_is_what_it_says() -> None:
    bound = Published(85.0, at_least=True)
    assert [evaluated(right, 200, bound).outcome for right in (169, 170, 171)] == ["different", *["reproduced"] * 2]
    trained = [verdict(values, bound, images=1000).outcome for values in ([86, 86.2, 86.1], [84, 84.1, 84.2], [85, 86])]
    assert trained == ["reproduced", "different", "inconclusive"]


def test_a_training_on_other_images_has_both_uncertainties() -> None:
    values = [85.1, 84.6, 85.4]
    alone, drawn = (verdict(values, Published(85.0), images=1000, draw=draw) for draw in (None, Draw(1000)))
    images = evaluated(850, 1000, Published(85.0), Draw(1000))
    assert alone.interval90 is not None
    assert drawn.interval90 is not None
    assert images.interval90 is not None
    for seeds, both, draws in zip(*([each.effect - each.interval90.low, each.interval90.high - each.effect]
                                    for each in (alone, drawn, images)), strict=True):  # fmt: skip
        assert both == pytest.approx(np.hypot(seeds, draws), rel=0.02)
    assert (alone.outcome, drawn.outcome) == ("reproduced", "inconclusive")
    assert drawn.images_needed


def test_a_training_on_other_images_keeps_its_level() -> None:
    """Five seeds, sd 0.4, 2,000 images of their own, a true difference of just the margin."""
    stream = np.random.default_rng(1)
    claimed, margin, called = 90.0, 2.0, 0
    runs = 1000
    for _ in range(runs):
        drawn = 100 * stream.binomial(2000, (claimed + margin) / 100) / 2000
        judged = verdict(drawn + stream.normal(0, 0.4, 5), Published(claimed), margin, images=2000, draw=Draw(2000))
        called += judged.outcome == "reproduced"
    assert called / runs <= stats.binom.isf(0.001, runs, 0.055) / runs


def test_an_evaluation_has_one_accuracy() -> None:
    with pytest.raises(ValueError, match="one accuracy"):
        verdict([85.0, 85.1], Published(85.0), trained=False)
    with pytest.raises(ValueError, match="at least one image"):
        Draw(0)
