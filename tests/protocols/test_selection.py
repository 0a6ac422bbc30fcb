"""What a protocol selects by: what it says, what it may not say, and that it leaves no trace where it says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune import protocols
from isotune.errors import UsageError
from isotune.protocols import SGD, Grid, Protocol, Schedule, Stage

RECIPE = """
name = "chosen"
title = "Chosen"
source = "this test"
input = { size = 32 }
"""
STAGE = """
[[stage]]
epochs = 2
batch_size = 16
optimizer = { name = "sgd" }
schedule = { learning_rate = 0.1, warmup_steps = 4 }
"""
HELD = "[selection]\nheld_out = 0.1\n"
EVERY = HELD + 'every = "epoch"\n'


def parsed(more: str, stages: str = STAGE) -> Protocol:
    return protocols.parse(RECIPE + stages + more, "chosen.toml")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[selection]", "selection: selects nothing; give held_out"),
        ("[selection]\npatience = 3\nevery = 5", "patience goes by images that are held out"),
        ('[selection]\nreports = "best"\nevery = 5', 'reports = "best" goes by images that are held out'),
        ("[selection]\n[selection.grid]\nsteps = [5]", "grid goes by images that are held out"),
        (HELD + 'reports = "best"', 'reports = "best" needs evaluations while training; give every'),
        (HELD + "last = 3", "last needs evaluations while training"),
        (EVERY + 'reports = "mean-of-last"', "needs to know of how many"),
        (EVERY + "patience = 2\nlast = 4", "last = 4 may be more evaluations than there are: patience = 2 can end"),
        (EVERY + 'reports = "best-on-test"', 'reports = "best-on-test" chooses on the test images; leave out held_out'),
        (HELD + "every = 0", "selection.every: must be a whole number of steps above 0, or 'epoch' (is 0)"),
        (HELD + 'every = "epoc"', "selection.every: must be a whole number of steps above 0, or 'epoch' (is 'epoc')"),
        (HELD + 'reports = "bst"', "selection.reports: Input should be 'last', 'best'"),
        (HELD + "[selection.grid]", "selection.grid: says no values to try; give learning_rate"),
        (HELD + "[selection.grid]\nlearning_rate = []", "selection.grid.learning_rate: is empty; give at least one"),
        (HELD + "[selection.grid]\nsteps = [5, 5]", "steps = [5, 5] says a value twice"),
        (
            HELD + '[selection.grid]\nlearning_rate = [0.1]\nsteps = [10, 2]\nschedule = "kept"',
            "selection.grid: learning_rate = 0.1, steps = 2: schedule.warmup_steps = 4 is more than steps = 2",
        ),
        (
            HELD + "[selection.grid]\nsteps = [10]",
            "selection.grid: steps = 10: schedule.warmup_steps: stated for the stage's 2 epochs, and not for others;"
            ' give schedule = "scaled" in the grid, to move with the steps, or "kept"',
        ),
        (
            HELD + '[selection.grid]\nsteps = [10]\nschedule = "scaled"',
            "schedule.warmup_steps cannot be scaled: the stage has 2 epochs; give it steps in their place",
        ),
        (
            HELD + '[selection.grid]\nlearning_rate = [1]\nschedule = "kept"',
            'schedule = "kept" is of a grid over steps',
        ),
        (HELD + "[selection.grid]\nrate_times_decay = [0.1]", "rate_times_decay goes with learning_rate"),
        (
            HELD + "[selection.grid]\nlearning_rate = [0.1]\nweight_decay = [0]\nrate_times_decay = [0.1]",
            "rate_times_decay goes with learning_rate, and stands in the place of weight_decay",
        ),
        (HELD + "[selection.grid]\nmomentum = [0.9]", "selection.grid.momentum: unknown key; one of: learning_rate"),
        (HELD + "[selection.grid]\nlearning_rate = [0.1]\nstage = 2", "selection.grid: stage = 2: there is 1; give 1"),
        (
            HELD + '[selection.grid]\nlearning_rate = [0.1]\nstage = "last"',
            "selection.grid.stage: must be the number of a [[stage]], from 1, or 'all' (is 'last')",
        ),
        ("[selection]\nheld_out = 0", "selection.held_out: Input should be greater than 0 (is 0)"),
        ("[selection]\nheld_out = 1", "selection.held_out: Input should be less than 1 (is 1)"),
        ("[selection]\nevery = 5", "every evaluates images that are held out, and none are; give held_out"),
        (HELD + 'metric = "f1"', "selection.metric: Input should be 'accuracy', 'mean_per_class' or 'loss' (is 'f1')"),
        (EVERY + "patience = 0", "selection.patience: Input should be greater than 0 (is 0)"),
        (EVERY + "last = 1", "selection.last: Input should be greater than 1 (is 1)"),
        (EVERY + 'reports = "best"\n[selection.grid]\nsteps = [9]', "trains on all images, and reports"),
        (EVERY + "patience = 2\n[selection.grid]\nsteps = [9]", "and patience needs some that are held out"),
        ('[evaluation]\nviews = "three-crop"', 'input.resize = "squash" leaves none; give the shorter side'),
    ],
)
def test_what_cannot_be_is_refused_with_what_would_be_right(more: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        parsed(more)
    assert str(refused.value).startswith("chosen.toml: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_choice_is_of_what_is_trained_and_a_grid_says_of_which_stage() -> None:
    with pytest.raises(UsageError, match=r"needs a .*; a probe has a held-out part of its own"):
        parsed(HELD, "[probe]\nl2 = [0.1]\n")
    with pytest.raises(UsageError, match=r'selection.grid: stage is missing: there are 2; give the number .* or "all"'):
        parsed(HELD + "[selection.grid]\nlearning_rate = [9]", STAGE + STAGE)
    with pytest.raises(UsageError, match=r"selection.grid: stage = 3: there are 2; give 2 at most"):
        parsed(HELD + "[selection.grid]\nlearning_rate = [9]\nstage = 3", STAGE + STAGE)
    with pytest.raises(UsageError, match=r"three-crop.*needs a"):
        parsed('[evaluation]\nviews = "three-crop"', "[probe]\nl2 = [0.1]\n")
    assert parsed(EVERY + 'reports = "best"\npatience = 2', STAGE + STAGE).selection is not None


def test_what_was_not_asked_for_before_leaves_no_trace_in_a_grid() -> None:
    said = parsed(HELD + "[selection.grid]\nlearning_rate = [0.1]").model_dump(mode="json")["selection"]["grid"]
    assert said == {"learning_rate": [0.1], "weight_decay": None, "steps": None, "refit": True}


def test_what_is_not_asked_for_leaves_no_trace_in_a_protocols_key() -> None:
    said = parsed("").model_dump(mode="json")
    assert "selection" not in said
    assert said["evaluation"] == {"batch_size": 64}


@given(
    st.lists(st.sampled_from([0.5, 0.1, 0.02]), min_size=1, unique=True),
    st.lists(st.sampled_from([0.0, 1e-4]), min_size=1, unique=True),
    st.lists(st.integers(5, 9), min_size=1, unique=True),
    st.sampled_from([1, 2, 3, "all"]),
)
def test_a_grid_is_every_combination_once_of_the_stage_that_it_says(rates, decays, steps, which) -> None:
    grid = Grid(learning_rate=rates, weight_decay=decays, steps=steps, stage=which, schedule="kept")
    stages = parsed("", 3 * STAGE).stage
    made = [grid.stages(stages, values) for values in grid.combinations]
    for number in range(3):
        if which not in ("all", number + 1):
            assert {each[number] for each in made} == {stages[number]}
            continue
        tried = {
            (one.schedule.learning_rate, one.optimizer.weight_decay, one.steps) for one in (m[number] for m in made)
        }
        assert tried == {(rate, decay, count) for rate in rates for decay in decays for count in steps}
        assert len(made) == len(tried)
        assert {each[number].epochs for each in made} == {None}


def test_decays_of_kornblith_and_sfda_are_divided_by_the_rate() -> None:
    """torch.logspace(-4, -1, 4) and 0 with torch.logspace(-6, -3, 4) over it: finetune.py of ssl-transfer and SFDA."""
    recipe = protocols.load("kornblith-fine-tune")
    grid = recipe.selection.grid
    tried = [(values["learning_rate"], values["weight_decay"]) for values in grid.combinations]
    theirs = [(rate, decay / rate) for rate in (0.1, 0.01, 0.001, 0.0001) for decay in (0, 1e-6, 1e-5, 1e-4, 1e-3)]
    assert [pytest.approx(one) for one in theirs] == tried
    (stage,) = grid.stages(recipe.stage, grid.combinations[1])
    assert stage.optimizer.weight_decay == pytest.approx(1e-5)


LONG = {"batch_size": 4, "optimizer": SGD()}


@given(st.integers(100, 10_000), st.integers(100, 10_000), st.integers(1, 30), st.floats(0.05, 0.3))
def test_what_is_counted_in_steps_moves_with_them(length, other, first, share) -> None:
    """As BiT-HyperRule's and VTAB's drops at 30, 60 and 90 % of every length."""
    grid = Grid(steps=(other,), schedule="scaled")
    drops = tuple(round(part * length) for part in (0.3, 0.6, 0.9))
    warm = round(share * length)
    stages = (
        Stage(
            steps=length, schedule=Schedule(name="step", learning_rate=1, milestones=drops, warmup_steps=warm), **LONG
        ),
        Stage(steps=length, schedule=Schedule(name="step", learning_rate=1, drop_every=first), **LONG),
        Stage(steps=length, schedule=Schedule(name="cosine", learning_rate=1, warmup_steps=warm), **LONG),
    )
    dropped, every, cosine = (grid.stages((stage,), {"steps": other})[0] for stage in stages)
    factor = other / length
    for ours, theirs in zip(dropped.schedule.milestones, drops, strict=True):
        assert abs(ours - theirs * factor) <= 0.5
    assert abs(dropped.schedule.warmup_steps - warm * factor) <= 0.5
    assert every.schedule.drop_every == pytest.approx(first * factor)
    assert abs(cosine.schedule.warmup_steps - warm * factor) <= 0.5
    assert grid.stages((stages[0],), {"steps": length})[0] == stages[0]
    for stage in stages:
        kept = Grid(steps=(other,), schedule="kept") if other >= length else None
        assert kept is None or kept.stages((stage,), {"steps": other})[0].schedule == stage.schedule
        if other != length:
            with pytest.raises(UsageError, match=r"stated for the stage's .* steps, and not for others"):
                Grid(steps=(other,)).stages((stage,), {"steps": other})


def test_a_schedule_of_shares_needs_no_word_on_its_length() -> None:
    (stage,) = Grid(steps=(50,)).stages(
        (Stage(steps=20, schedule=Schedule(name="cosine", learning_rate=1, final=0.1), **LONG),), {"steps": 50}
    )
    assert stage.steps == 50
