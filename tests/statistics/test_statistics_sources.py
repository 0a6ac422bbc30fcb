"""Variance by source: components by the textbook, designs recognised, and an answer for every set of runs."""

from __future__ import annotations

from itertools import product
from math import nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from isotune.statistics import Component, Interval, Run, VarianceBySource, variance_by_source
from isotune.statistics._mean_squares import Term, interval, mean_squares


def run(head: int, order: int, augmentation: int, repeat: int, accuracy: float) -> Run:
    return Run({"head": head, "order": order, "augmentation": augmentation}, repeat, accuracy)


def crossed(table: np.ndarray) -> list[Run]:
    """Runs of a table [head, order, augmentation, repeat]."""
    return [run(*map(int, place), float(value)) for place, value in np.ndenumerate(table)]


def table(*shape: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    head, order = random.normal(0, 0.5, size=shape[0]), random.normal(0, 0.3, size=shape[1])
    return 90 + head[:, None, None, None] + order[None, :, None, None] + random.normal(0, 0.2, size=shape)


def by_streams(sources: VarianceBySource) -> dict[tuple[str, ...], Component]:
    return {part.streams: part for part in sources.components}


def test_two_factors_by_the_textbook() -> None:
    values = table(4, 3, 1, 2)[:, :, 0]
    cells, rows, columns = values.mean(axis=2), values.mean(axis=(1, 2)), values.mean(axis=(0, 2))
    grand = values.mean()
    ms_rows = 6 * np.sum((rows - grand) ** 2) / 3
    ms_columns = 8 * np.sum((columns - grand) ** 2) / 2
    ms_both = 2 * np.sum((cells - rows[:, None] - columns + grand) ** 2) / 6
    ms_within = np.sum((values - cells[:, :, None]) ** 2) / 12
    sources = variance_by_source(crossed(values[:, :, None]))
    parts = by_streams(sources)
    assert (sources.design, sources.runs, sources.reason) == ("crossed", 24, "")
    assert parts["head",].variance == pytest.approx((ms_rows - ms_both) / 6)
    assert parts["order",].variance == pytest.approx((ms_columns - ms_both) / 8)
    assert parts["head", "order"].variance == pytest.approx((ms_both - ms_within) / 2)
    assert parts[()].variance == pytest.approx(ms_within)
    assert [part.with_noise for part in sources.components] == [False, False, False, True]
    assert sources.total == pytest.approx(sum(part.variance for part in sources.components))
    low, high = ms_within * 12 / stats.chi2.isf((0.025, 0.975), 12)
    assert (parts[()].interval.low, parts[()].interval.high) == pytest.approx((low, high))
    assert sources.noise is not None
    assert sources.noise.variance == pytest.approx(ms_within)


def test_mean_squares_are_statsmodels_anova() -> None:
    values = table(3, 4, 2, 1)[..., 0]
    data = pd.DataFrame([(*map(str, place), value) for place, value in np.ndenumerate(values)], columns=list("hoay"))
    told = anova_lm(ols("y ~ (C(h) + C(o) + C(a)) ** 2", data).fit())
    squares = mean_squares(values)
    names = {"C(h)": (0,), "C(o)": (1,), "C(a)": (2,), "C(h):C(o)": (0, 1), "C(h):C(a)": (0, 2), "C(o):C(a)": (1, 2)}
    for name, chosen in (names | {"Residual": (0, 1, 2)}).items():
        assert squares[chosen] == pytest.approx((told["mean_sq"][name], told["df"][name]))


def test_components_are_unbiased_for_their_sources() -> None:
    random = np.random.default_rng(1)
    variances: dict[tuple[str, ...], list[float]] = {}
    for _ in range(400):
        values = (
            random.normal(0, 2, size=(4, 1, 1, 1))
            + random.normal(0, 1, size=(1, 3, 1, 1))
            + random.normal(0, 1.5, size=(4, 1, 3, 1))
            + random.normal(0, 1, size=(4, 3, 3, 1))
        )
        for part in variance_by_source(crossed(values)).components:
            variances.setdefault(part.streams, []).append(part.variance)
    true = {("head",): 4, ("order",): 1, ("head", "augmentation"): 2.25, ("head", "order", "augmentation"): 1}
    assert len(variances) == 7
    for streams, values_found in variances.items():
        error = np.std(values_found) / 20
        assert np.mean(values_found) == pytest.approx(true.get(streams, 0), abs=4 * error)


def test_the_seeds_names_and_the_order_of_runs_do_not_matter() -> None:
    runs = crossed(table(3, 2, 2, 1))
    renamed = [
        each._replace(seeds={**each.seeds, "head": 100 - each.seeds["head"]}, repeat=7) for each in reversed(runs)
    ]
    for one, other in zip(variance_by_source(runs).components, variance_by_source(renamed).components, strict=True):
        assert one.streams == other.streams
        assert other.variance == pytest.approx(one.variance, abs=1e-12)


def test_shares_add_up_and_leave_out_what_was_not_found() -> None:
    parts = variance_by_source(crossed(table(4, 4, 4, 1))).components
    assert sum(part.share or 0 for part in parts) == pytest.approx(1)
    below = [part for part in parts if part.variance < 0]
    assert below
    assert all((part.share, part.sd, part.interval.low) == (0, 0, 0) for part in below)


def test_a_stream_that_keeps_one_seed_is_no_factor() -> None:
    sources = variance_by_source(crossed(table(4, 1, 3, 1)))
    assert sources.design == "crossed"
    assert [part.streams for part in sources.components] == [("head",), ("augmentation",), ("head", "augmentation")]


def test_without_repeats_the_widest_interaction_holds_the_noise() -> None:
    *others, widest = variance_by_source(crossed(table(3, 3, 3, 1))).components
    assert widest.streams == ("head", "order", "augmentation")
    assert widest.with_noise
    assert not any(part.with_noise for part in others)
    assert variance_by_source(crossed(table(3, 3, 3, 1))).noise is None


def test_repeats_of_some_cells_give_the_noise_floor_and_leave_the_components() -> None:
    runs = crossed(table(3, 3, 1, 1))
    plain = variance_by_source(runs)
    first = runs[0].accuracy
    sources = variance_by_source([*runs, run(0, 0, 0, 1, first + 0.2), run(0, 0, 0, 2, first + 0.1)])
    assert sources.components == plain.components
    assert sources.noise is not None
    assert sources.noise.variance == pytest.approx(0.01)
    assert sources.noise.streams == ()


def test_the_lowest_repeat_of_a_cell_enters_the_components() -> None:
    runs = crossed(table(3, 3, 1, 1))
    again = [each._replace(repeat=-1, accuracy=each.accuracy + 1) for each in runs[:4]]
    sources = variance_by_source([*runs, *again])
    assert (
        sources.components == variance_by_source([*again, *runs[4:]]).components != variance_by_source(runs).components
    )


def test_reruns_that_repeat_exactly_have_no_noise() -> None:
    values = np.repeat(table(3, 3, 1, 1), 2, axis=3)
    sources = variance_by_source(crossed(values))
    assert sources.noise is not None
    assert (sources.noise.variance, sources.noise.interval) == (0, Interval(0, 0))
    once = variance_by_source(crossed(values[..., :1]))
    for one, other in zip(once.components, sources.components[:-1], strict=True):
        assert other.variance == pytest.approx(one.variance)
        assert (other.interval.low, other.interval.high) == pytest.approx((one.interval.low, one.interval.high))


def test_one_stream_at_a_time() -> None:
    head, order = [90.1, 90.6, 89.8, 90.4], [90.1, 90.2, 90.0]
    runs = [run(seed, 0, 0, 0, value) for seed, value in enumerate(head)]
    runs += [run(0, seed, 0, 0, value) for seed, value in enumerate(order) if seed]
    sources = variance_by_source(runs)
    parts = by_streams(sources)
    assert (sources.design, sources.total, set(parts)) == ("one at a time", None, {("head",), ("order",)})
    assert parts["head",].variance == pytest.approx(np.var(head, ddof=1))
    assert parts["order",].variance == pytest.approx(np.var(order, ddof=1))
    low, high = 3 * np.var(head, ddof=1) / stats.chi2.isf((0.025, 0.975), 3)
    assert (parts["head",].interval.low, parts["head",].interval.high) == pytest.approx((low, high))
    assert all(part.with_noise and part.share is None for part in sources.components)
    alone = variance_by_source(runs[:4])
    assert (alone.design, alone.components) == ("one at a time", (parts["head",],))


def test_only_repeats_give_only_the_noise() -> None:
    sources = variance_by_source([run(1, 1, 1, repeat, value) for repeat, value in enumerate([90.0, 90.2, 90.4])])
    assert (sources.design, sources.components, sources.reason) == ("same seeds", (), "")
    assert sources.noise is not None
    assert sources.noise.variance == pytest.approx(0.04)


@settings(max_examples=20)
@given(st.floats(0, 100))
def test_equal_accuracies_have_no_variance_anywhere(accuracy: float) -> None:
    sources = variance_by_source(crossed(np.full((7, 6, 3, 3), accuracy)))
    assert len(sources.components) == 8
    assert all((part.variance, part.interval, part.share) == (0, Interval(0, 0), None) for part in sources.components)
    assert sources.total == 0


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([], "no runs"),
        ([run(0, 0, 0, 0, 90.0)], "1 run: at least two are needed"),
        ([run(0, 0, 0, 0, nan)], "1 of 1 runs failed"),
        ([*crossed(table(3, 3, 1, 1)), run(0, 0, 0, 1, nan)], "1 of 10 runs failed"),
        (crossed(table(3, 3, 1, 1))[:-1], "neither crossed (8 of 9 cells) nor one stream at a time"),
        ([run(s, s, s, 0, 90.0 + s) for s in range(3)], "neither crossed (3 of 27 cells) nor one stream at a time"),
    ],
)
def test_runs_that_are_no_design_say_why(runs: list[Run], reason: str) -> None:
    sources = variance_by_source(runs)
    assert (sources.design, sources.components, sources.reason, sources.runs) == ("none", (), reason, len(runs))
    assert sources.total is None


def test_the_same_run_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="repeat 0 of the seeds"):
        variance_by_source([run(0, 0, 0, 0, 90.0), run(0, 0, 0, 0, 90.1)])


def test_runs_of_other_streams_are_refused() -> None:
    with pytest.raises(ValueError, match="seeds of head, another of head, order"):
        variance_by_source([Run({"head": 0, "order": 0}, 0, 90.0), Run({"head": 0}, 1, 90.0)])


def test_four_streams_are_split_as_three_are() -> None:
    names = ("head", "order", "augmentation", "mixing")
    table = 90 + np.arange(3.0)[:, None, None, None] * np.ones((3, 2, 2, 2))
    runs = [Run(dict(zip(names, place, strict=True)), 0, float(v)) for place, v in np.ndenumerate(table)]
    sources = variance_by_source(runs)
    assert (sources.design, len(sources.components)) == ("crossed", 15)
    assert {part.streams: part.variance for part in sources.components if part.variance} == {("head",): 1.0}


@settings(max_examples=60)
@given(
    st.sets(st.tuples(*[st.integers(0, 2)] * 3, st.integers(0, 1)), max_size=20),
    st.lists(st.integers(0, 5), min_size=20, max_size=20),
)
def test_every_set_of_runs_has_an_answer(places: set[tuple[int, int, int, int]], right: list[int]) -> None:
    sources = variance_by_source(run(*place, float(count)) for place, count in zip(sorted(places), right, strict=False))
    assert (sources.reason == "") == (sources.design != "none")
    for part in (*sources.components, *([sources.noise] if sources.noise else [])):
        assert np.isfinite(part.variance)
        assert 0 <= part.interval.low <= part.interval.high < np.inf
        assert part.interval.low <= max(part.variance, 0) <= part.interval.high


@given(st.floats(0.01, 10), st.integers(1, 50), st.floats(0.5, 0.99))
def test_the_interval_of_one_mean_square_is_chi_squared(square: float, df: int, confidence: float) -> None:
    tail = (1 - confidence) / 2
    bounds = interval([Term(1.0, square, df)], confidence)
    low, high = square * df / stats.chi2.isf((tail, 1 - tail), df)
    assert (bounds.low, bounds.high) == pytest.approx((low, high))


@given(st.integers(1, 30), st.integers(1, 30))
def test_the_lower_bound_leaves_zero_where_the_f_test_does(df: int, other: int) -> None:
    f = stats.f.isf(0.025, df, other)
    for factor, above_zero in ((0.999, False), (1.001, True)):
        parts = [Term(0.5, 2 * f * factor, df), Term(-0.5, 2.0, other)]
        assert (interval(parts, 0.95).low > 0) == above_zero


def test_designs_of_two_levels_are_designs() -> None:
    runs = [run(*seeds, 0, 90.0 + sum(seeds)) for seeds in product((0, 1), repeat=3)]
    parts = by_streams(variance_by_source(runs))
    assert parts["head",].variance == pytest.approx(0.5)
    assert parts["head", "order"].variance == pytest.approx(0)
