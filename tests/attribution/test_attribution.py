"""What each difference costs: Shapley values, the sets of axes that are run, and what records say of them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotune import data, protocols
from isotune.attribution import _shapley, _switches, as_json
from isotune.attribution._runs import EXACT, PAIRS, attribute, run_plan
from isotune.attribution._sentences import sentences
from isotune.attribution._switches import Plan, Switch
from isotune.attribution.waterfall import MOST, draw, figure, lines
from isotune.comparison.sides import Side
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.executors import Local
from isotune.protocols import Images, Input
from isotune.runs.driver import Driver
from isotune.runs.records import Cell, Metrics, Record, predictions_digest
from isotune.runs.store import Store

QUICK = protocols.load("quick")
TUNED = protocols.load("quick-fine-tune")
IMAGES = 1000
PLAYERS = tuple("abcd")
few = settings(max_examples=25)


# -- Shapley values


def games(players: tuple[str, ...] = PLAYERS) -> st.SearchStrategy[dict[frozenset[str], float]]:
    """A value, in percent as accuracies are, of every coalition."""
    sets = list(_shapley.coalitions(players))
    values = st.lists(st.integers(0, IMAGES), min_size=len(sets), max_size=len(sets))
    return values.map(lambda found: {s: value / 10 for s, value in zip(sets, found, strict=True)})


@few
@given(games())
def test_shapley_values_are_the_mean_over_all_orders_and_sum_to_what_all_do(value):
    found = _shapley.exact(PLAYERS, value)
    assert found == pytest.approx(_shapley.over_orders(list(itertools.permutations(PLAYERS)), value), abs=1e-9)
    assert sum(found.values()) == pytest.approx(value[frozenset(PLAYERS)] - value[frozenset()], abs=1e-9)


@few
@given(games(), games())
def test_shapley_values_of_a_sum_of_games_are_the_sums(one, two):
    first, second = _shapley.exact(PLAYERS, one), _shapley.exact(PLAYERS, two)
    both = _shapley.exact(PLAYERS, {s: one[s] + two[s] for s in one})
    assert both == pytest.approx({player: first[player] + second[player] for player in PLAYERS}, abs=1e-9)


@few
@given(games(PLAYERS[:3]))
def test_a_player_that_changes_nothing_gets_exactly_0_and_leaves_the_others_theirs(value):
    more = {s: value[s - {"d"}] for s in _shapley.coalitions(PLAYERS)}
    found = _shapley.exact(PLAYERS, more)
    assert found.pop("d") == 0
    assert found == pytest.approx(_shapley.exact(PLAYERS[:3], value), abs=1e-9)


@few
@given(games())
def test_players_that_can_be_exchanged_get_the_same(value):
    def swapped(s: frozenset[str]) -> frozenset[str]:
        return frozenset({"a": "b", "b": "a"}.get(player, player) for player in s)

    found = _shapley.exact(PLAYERS, {s: value[s] + value[swapped(s)] for s in value})
    assert found["a"] == pytest.approx(found["b"], abs=1e-9)


@few
@given(games(), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_drawn_orders_come_with_their_reverse_and_sum_to_what_all_do(value, pairs, seed):
    orders = _shapley.drawn(PLAYERS, pairs, np.random.default_rng(seed))
    assert len(orders) == 2 * pairs
    assert all(sorted(order) == sorted(PLAYERS) for order in orders)
    assert [order[::-1] for order in orders[::2]] == orders[1::2]
    found = _shapley.over_orders(orders, value)
    assert sum(found.values()) == pytest.approx(value[frozenset(PLAYERS)] - value[frozenset()], abs=1e-9)


def test_no_player_has_no_value():
    assert _shapley.exact((), {frozenset(): 90.0}) == {}
    assert list(_shapley.coalitions(())) == [frozenset()]


# -- which axes are switched


class Described:
    """In place of workers: says what each model's axes are."""

    def __init__(self, **axes: dict[str, object]) -> None:
        self._axes = axes

    def __getitem__(self, adapter: str) -> SimpleNamespace:
        found = Conventions().model_dump() | self._axes[adapter]
        return SimpleNamespace(ask=lambda do, **request: {"axes": found})


@pytest.fixture
def digits(house):
    return data.prepare("digits")


def side(model: str, spec: str = "native") -> Side:
    return Side(model=model, checkpoint="offline", conventions=spec, numeric_mode="float32")


def planned(dataset, recipe: protocols.Protocol, right: dict[str, object], **left: object) -> Plan:
    workers = Described(timm=left, keras=right)
    return _switches.plan(side("timm:a"), side("keras:B"), dataset, recipe, workers)  # type: ignore[arg-type]


def small(recipe: protocols.Protocol, **input: object) -> protocols.Protocol:
    return recipe.model_copy(update={"images": Images(train=40, test=40), "input": Input(size=16, **input)})


def test_axes_that_differ_and_can_matter_are_switched_and_the_others_said(digits):
    keras = {
        "stride2_padding": "same", "batchnorm_epsilon": 1e-3, "batchnorm_momentum": 1e-3, "momentum_form": "rate-inside"
    }  # fmt: skip
    found = planned(digits, small(QUICK), keras, batchnorm_epsilon=1e-5, batchnorm_momentum=0.1)
    assert found.switches == (Switch("stride2_padding", "own", "same"), Switch("batchnorm_epsilon", 1e-5, 1e-3))
    assert [(each.switch.axis, each.why) for each in found.aside] == [
        ("batchnorm_momentum", "cannot matter under this protocol"),
        ("momentum_form", "cannot matter under this protocol"),
    ]
    assert found.ours(frozenset({"batchnorm_epsilon", "stride2_padding"}), 3).conventions == (
        "native,batchnorm_epsilon=0.001,stride2_padding=same"
    )
    assert found.ours(frozenset(), 3).conventions == found.theirs(3).conventions == "native"
    assert "batchnorm_momentum" in {each.axis for each in planned(digits, small(TUNED), keras).switches}


def test_forms_of_techniques_are_switched_by_their_names_where_the_protocol_has_another(digits):
    """What the protocol leaves unsaid has a name too: a warm-up that begins at one step's rise, before the decay."""
    keras = {"average_start": "first", "warmup_start": "zero", "warmup_place": "before", "schedule_per": "epoch"}
    found = planned(digits, small(TUNED), keras)
    assert found.switches == (Switch("warmup_start", "one-step", "zero"), Switch("schedule_per", "step", "epoch"))
    assert found.aside == (), "of an average that the protocol has not, nothing is said"
    assert found.ours(frozenset({"warmup_start"}), 3).conventions == "native,warmup_start=zero"


def test_a_value_that_only_the_right_library_can_have_is_not_switched(digits):
    found = planned(digits, small(QUICK), {"stride2_padding": "own"}, stride2_padding="symmetric")
    assert found.switches == ()
    assert "leaves it to its library" in found.aside[0].why
    tensors = planned(digits, small(QUICK), {"optional_tensors": "own"})
    assert [each.axis for each in tensors.switches] == ["optional_tensors"]


def test_an_axis_of_the_input_that_changes_no_byte_is_not_switched(digits):
    keras = {"decode": "tensorflow", "resize": "plain"}
    enlarged = planned(digits, small(QUICK), keras)  # 8 pixels to 16: antialias only matters on the way down
    assert enlarged.switches == ()
    assert {each.why for each in enlarged.aside} == {"every image comes out the same, byte for byte"}
    nearest = planned(digits, small(QUICK), {"decode": "tensorflow", "resize": "nearest"})
    assert [each.axis for each in nearest.switches] == ["resize"]
    crops = small(TUNED).model_copy(update={"augmentation": protocols.Augmentation(random_resized_crop=(0.5, 1.0))})
    assert [each.axis for each in planned(digits, crops, keras).switches][:2] == ["decode", "resize"]


# -- what the runs say


class Made:
    """A driver of runs that are made up: how many images each gets right; None: it fails."""

    def __init__(self, right: Callable[[Cell], int | None]) -> None:
        self._right = right
        self.cells: list[Cell] = []

    def run(self, cells: Iterable[Cell]) -> Iterator[Record]:
        for cell in cells:
            self.cells.append(cell)
            yield record(cell, self._right(cell))


def record(cell: Cell, right: int | None) -> Record:
    begun = datetime(2026, 1, 5, 12, tzinfo=UTC)
    made = None if right is None else Metrics(accuracy=right / IMAGES, test_images=IMAGES, train_images=64)
    return Record(
        cell=cell,
        status="failed" if made is None else "done",
        error="RuntimeError: out of luck" if made is None else None,
        checkpoint_digest="c0ffee",
        metrics=made,
        predictions_digest=None if right is None else predictions_digest(np.arange(IMAGES) < right),
        started=begun,
        finished=begun + timedelta(seconds=3),
    )


AXES = ("stride2_padding", "batchnorm_epsilon", "gelu")
SWITCHES = (
    Switch("stride2_padding", "symmetric", "same"),
    Switch("batchnorm_epsilon", 1e-5, 1e-3),
    Switch("gelu", "exact", "tanh"),
)


def made_plan(*switches: Switch) -> Plan:
    dataset = SimpleNamespace(name="digits", digest="d" * 64)  # no image is looked at
    return Plan(side("timm:a"), side("keras:B"), dataset, QUICK, switches, ())  # type: ignore[arg-type]


def known(cell: Cell) -> int:
    """Padding costs 80 images and epsilon 20; together 20 more. GELU does nothing. The right has 5 fewer still."""
    if cell.model == "keras:B":
        return 935 - 80 - 20 - 20 - 5 + cell.seeds.order
    padding, epsilon = "stride2_padding" in cell.conventions, "epsilon" in cell.conventions
    return 935 - 80 * padding - 20 * epsilon - 20 * (padding and epsilon) + cell.seeds.order


def test_what_two_axes_do_together_is_shared_between_them():
    driver = Made(known)
    found = run_plan(made_plan(*SWITCHES), (0, 1, 2), driver)
    assert len(driver.cells) == len({cell.key for cell in driver.cells}) == found.runs == 3 * (8 + 1)
    assert [step.switch.axis for step in found.steps] == list(AXES)
    assert [step.share.estimate.mean for step in found.steps] == pytest.approx([-9, -3, 0])
    assert [step.first.estimate.mean for step in found.steps] == pytest.approx([-8, -2, 0])
    assert [step.last.estimate.mean for step in found.steps] == pytest.approx([-10, -4, 0])
    assert [step.same for step in found.steps] == [False, False, True]
    assert found.steps[2].share.by_seed == (0, 0, 0)
    assert found.begin.by_seed == pytest.approx((93.5, 93.6, 93.7))
    assert found.remainder.estimate.mean == pytest.approx(-0.5)
    total = found.begin.estimate.mean + sum(step.share.estimate.mean for step in found.steps)
    assert total + found.remainder.estimate.mean == pytest.approx(found.end.estimate.mean)
    assert (found.reason, found.failed, found.same_weights, found.met, found.orders) == ("", (), True, False, 0)


def test_the_sentences_say_shares_and_what_costs_exactly_nothing():
    told = sentences(run_plan(made_plan(*SWITCHES), (0, 1, 2), Made(known)))
    assert told[0].startswith(
        "timm:a (native) reaches 93.6 ± 0.2 %, keras:B (native) 81.1 ± 0.2 %, on digits under quick"
    )
    assert told[2].startswith(
        "stride2_padding: symmetric to same: -9.0 ± 0.0 points (-8.0 ± 0.0 when switched first and"
    )
    assert told[4] == "gelu: exact to tanh: exactly 0, as no prediction changes."
    assert told[5] == "What no axis explains: -0.5 ± 0.0 points; both start from the same weights."
    assert len(told) == 6


def test_without_a_difference_all_is_remainder():
    driver = Made(known)
    found = run_plan(made_plan(), (0, 1), driver)
    assert (found.steps, len(driver.cells)) == ((), 4)
    assert found.switched == found.begin
    assert found.remainder.estimate.mean == pytest.approx(-12.5)
    assert "No axis that can be switched differs between the two." in sentences(found)


def test_one_seed_has_shares_without_intervals(tmp_path):
    found = run_plan(made_plan(*SWITCHES), (7,), Made(known))
    assert found.steps[0].share.estimate.mean == pytest.approx(-9)
    assert isnan(found.steps[0].share.estimate.low)
    assert found.reason == "one seed says nothing about spread: at least two are needed"
    assert "±" not in "".join(sentences(found))
    assert draw(found, tmp_path / "one.svg")


def test_an_axis_that_the_left_cannot_have_is_set_aside_and_the_others_have_theirs():
    driver = Made(lambda cell: None if "gelu" in cell.conventions else known(cell))
    found = run_plan(made_plan(*SWITCHES), (0, 1), driver)
    assert [step.switch.axis for step in found.steps] == list(AXES[:2])
    assert [step.share.estimate.mean for step in found.steps] == pytest.approx([-9, -3])
    assert [each.why for each in found.aside] == ["the left cannot be switched: RuntimeError: out of luck"]
    assert len(driver.cells) == 2 * (4 + 1 + 1)  # nothing more is tried with it
    assert found.reason == "2 of 12 runs failed"
    assert sum("Failed: timm:a digits quick native,gelu=tanh seed" in line for line in sentences(found)) == 2


def test_a_run_that_failed_leaves_unknown_what_needs_it(tmp_path):
    both = "native,batchnorm_epsilon=0.001,stride2_padding=same"
    driver = Made(lambda cell: None if (cell.conventions, cell.seeds.order) == (both, 1) else known(cell))
    found = run_plan(made_plan(*SWITCHES[:2]), (0, 1), driver)
    step = next(step for step in found.steps if step.switch.axis == "stride2_padding")
    assert (step.share.known, step.last.known, step.first.known) == (False, False, True)
    assert found.end.known
    assert not found.remainder.known
    told = sentences(found)
    assert "stride2_padding: symmetric to same: not known, when switched first -8.0 ± 0.0." in told
    assert "What no axis explains is not known." in told
    assert told[-1] == "1 of 10 runs failed."
    assert not draw(found, tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()
    json.dumps(as_json(found), allow_nan=False)


def test_a_left_that_fails_ends_the_runs_and_a_right_that_fails_leaves_the_shares(tmp_path):
    driver = Made(lambda cell: None if cell.model == "timm:a" else known(cell))
    found = run_plan(made_plan(*SWITCHES), (0, 1), driver)
    assert len(driver.cells) == 2 * (1 + 3 + 1)
    assert (found.begin.known, found.end.known, found.aside) == (False, True, ())
    assert "reaches an accuracy that is not known" in sentences(found)[0]
    found = run_plan(made_plan(*SWITCHES), (0, 1), Made(lambda cell: None if cell.model == "keras:B" else known(cell)))
    assert [step.share.estimate.mean for step in found.steps] == pytest.approx([-9, -3, 0])
    assert not found.remainder.known
    assert [line.name for line in lines(found)][-1] == "gelu: exact to tanh"
    assert draw(found, tmp_path / "left.svg")


def test_runs_that_are_done_are_not_run_again(tmp_path):
    store, driver, plan = Store(tmp_path), Made(known), made_plan(*SWITCHES)
    found = run_plan(plan, (0, 1), driver)
    for cell in driver.cells:
        store.write(record(cell, known(cell)), np.arange(IMAGES) < known(cell))
    assert run_plan(plan, (0, 1), Driver(store, Local())) == found  # there is no library with these models


NUMEROUS = tuple(Switch(axis, "a", "b") for axis in list(Conventions.model_fields)[: EXACT + 3])


def test_of_many_axes_orders_are_drawn_for_each_seed_and_shares_still_sum(monkeypatch):
    monkeypatch.setattr(Side, "under", _spelled)

    def worth(cell: Cell) -> int:  # of one axis: its place, negative; all of them lose 5 together
        if cell.model == "keras:B":
            return 500
        places = [place for place, switch in enumerate(NUMEROUS) if switch.axis in cell.conventions.split(",")]
        return 900 - 10 * sum(places) - 50 * (len(places) == len(NUMEROUS)) + cell.seeds.order

    driver = Made(worth)
    found = run_plan(made_plan(*NUMEROUS), (0, 1), driver)
    assert found.orders == 2 * PAIRS
    assert len({cell.key for cell in driver.cells}) == len(driver.cells) == found.runs
    assert found.runs < 2 * (2 * PAIRS * len(NUMEROUS) + 2 * len(NUMEROUS)) < 2 * 2 ** len(NUMEROUS)
    by_seed = zip(*(step.share.by_seed for step in found.steps), strict=True)
    assert [sum(shares) for shares in by_seed] == pytest.approx([-41, -41])
    assert found.steps[0].switch == NUMEROUS[-1]
    assert found.steps[0].share.by_seed[0] != found.steps[0].share.by_seed[1]  # other orders for another seed
    assert "averaged over 8 orders drawn for each seed" in sentences(found)[1]


def _spelled(self: Side, axes: dict[str, object]) -> Side:
    """Axes that need not be valid: only which are switched counts."""
    return self.model_copy(update={"conventions": ",".join(["native", *sorted(axes)])})


# -- figure and JSON


def test_the_figure_leads_from_one_accuracy_to_the_other_and_shows_every_seed(tmp_path):
    found = run_plan(made_plan(*SWITCHES), (0, 1, 2), Made(known))
    shown = list(lines(found))
    assert [line.name for line in shown] == [
        "timm:a, native",
        "stride2_padding: symmetric to same",
        "batchnorm_epsilon: 1e-05 to 0.001",
        "gelu: exact to tanh",
        "what no axis explains",
        "keras:B, native",
    ]
    for line, after in itertools.pairwise(shown[:-1]):
        assert after.begin == pytest.approx(line.end)
    assert shown[-2].end == pytest.approx(shown[-1].end)
    assert shown[1].words == "-9.0 ± 0.0"
    (axes,) = figure(shown).axes
    assert sum(len(line.get_xdata()) for line in axes.lines if line.get_marker() == "o") == 3 * len(shown)
    files = []
    for name in ("one.svg", "two.svg"):
        assert draw(found, tmp_path / name)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]


def test_axes_beyond_the_figures_room_are_drawn_together():
    found = run_plan(made_plan(*SWITCHES), (0, 1), Made(known))
    many = replace(found, steps=found.steps[2:] * (MOST + 2))
    assert [line.name for line in lines(many)][-3] == "2 more axes"


@few
@given(st.lists(st.integers(0, IMAGES), min_size=10, max_size=10))
def test_json_holds_what_was_found_and_the_waterfall_ends_at_the_right(counts):
    value = dict(zip(itertools.product((0, 1), repeat=3), counts[:8], strict=True))

    def right(cell: Cell) -> int:
        return counts[8] if cell.model == "keras:B" else value[tuple(int(axis in cell.conventions) for axis in AXES)]

    found = run_plan(made_plan(*SWITCHES), (0, 1), Made(right))
    told = json.loads(json.dumps(as_json(found), allow_nan=False))
    path = told["left"]["accuracy"]["mean"] + sum(step["share"]["mean"] for step in told["steps"])
    assert path + told["remainder"]["mean"] == pytest.approx(told["right"]["accuracy"]["mean"], abs=1e-9)
    shown = list(lines(found))
    assert shown[-2].end == pytest.approx(shown[-1].end, abs=1e-9)


# -- for real


TINY = """
name = "tiny"
title = "Tiny"
source = "this test"
images = { train = 60, test = 50 }
input = { size = 32 }
evaluation = { batch_size = 10 }
[probe]
l2 = [1e-2]
max_iterations = 20
"""


def test_a_model_against_itself_under_other_conventions_is_explained_whole(house):
    Path("tiny.toml").write_text(TINY, encoding="utf-8")
    model, spec = "torchvision:mobilenet_v2:width_mult=0.25", "native,batchnorm_epsilon=0.1,stride2_padding=same"
    found = attribute(
        model, model, checkpoint="random:0", dataset="digits", protocol="./tiny.toml", right_conventions=spec,
        seeds=[0, 1], store=house / "records",
    )  # fmt: skip
    assert {step.switch.axis: step.switch.right for step in found.steps} == {
        "batchnorm_epsilon": 0.1, "stride2_padding": "same"
    }  # fmt: skip
    assert found.failed == ()
    assert found.remainder.by_seed == (0, 0)
    assert found.met
    assert any("they give the same predictions" in line for line in sentences(found))
    assert found.runs == 2 * 4 == len(list(Store(house / "records"))), "the right is the left with both switched"
    for seed in range(2):
        total = sum(step.share.by_seed[seed] for step in found.steps)
        assert total == pytest.approx(found.end.by_seed[seed] - found.begin.by_seed[seed])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"left": "example:random-feature"}, "did you mean 'random-features'"),
        ({"left": "random-features"}, "names no adapter"),
        ({"left": "jax:resnet50"}, "adapter 'jax' is unknown"),
        ({"checkpoint": "random:first"}, "random needs a seed"),
        ({"protocol": "quik"}, "did you mean 'quick'"),
        ({"dataset": "digit"}, "did you mean 'digits'"),
        ({"right_conventions": "native,stride_padding=end"}, "is not axis=value with a known axis"),
        ({"seeds": []}, r"seeds \[\]: give how many"),
    ],
)
def test_wrong_input_is_said_in_one_line(house, wrong, said):
    given = {
        "left": "example:random-features", "right": "example:random-features", "checkpoint": "random:0",
        "dataset": "digits", "protocol": "quick", "seeds": [0], "store": house / "records",
    } | wrong  # fmt: skip
    with pytest.raises(UsageError, match=said) as caught:
        attribute(given.pop("left"), given.pop("right"), **given)
    assert "\n" not in str(caught.value)
