"""What a protocol selects by: what it says, what it may not say, and that it leaves no trace where it says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune import protocols
from isotune.errors import UsageError
from isotune.protocols import Grid, Protocol, with_values

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
            HELD + "[selection.grid]\nlearning_rate = [0.1]\nsteps = [10, 2]",
            "selection.grid: learning_rate = 0.1, steps = 2: schedule.warmup_steps = 4 is more than steps = 2",
        ),
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


def test_a_choice_is_of_what_is_trained_and_a_grid_of_one_stage() -> None:
    with pytest.raises(UsageError, match=r"needs a .*; a probe has a held-out part of its own"):
        parsed(HELD, "[probe]\nl2 = [0.1]\n")
    with pytest.raises(UsageError, match=r"selection.grid is of one \[\[stage\]\], and there are 2"):
        parsed(HELD + "[selection.grid]\nsteps = [9]", STAGE + STAGE)
    with pytest.raises(UsageError, match=r"three-crop.*needs a"):
        parsed('[evaluation]\nviews = "three-crop"', "[probe]\nl2 = [0.1]\n")
    assert parsed(EVERY + 'reports = "best"', STAGE + STAGE).selection is not None


def test_what_is_not_asked_for_leaves_no_trace_in_a_protocols_key() -> None:
    said = parsed("").model_dump(mode="json")
    assert "selection" not in said
    assert said["evaluation"] == {"batch_size": 64}


@given(
    st.lists(st.sampled_from([0.5, 0.1, 0.02]), min_size=1, unique=True),
    st.lists(st.sampled_from([0.0, 1e-4]), min_size=1, unique=True),
    st.lists(st.integers(5, 9), min_size=1, unique=True),
)
def test_a_grid_is_every_combination_once(rates: list[float], decays: list[float], steps: list[int]) -> None:
    grid = Grid(learning_rate=rates, weight_decay=decays, steps=steps)
    stage = parsed("").stage[0]
    made = [with_values(stage, values) for values in grid.combinations]
    tried = {(one.schedule.learning_rate, one.optimizer.weight_decay, one.steps) for one in made}
    assert tried == {(rate, decay, count) for rate in rates for decay in decays for count in steps}
    assert len(made) == len(tried)
    assert {one.epochs for one in made} == {None}
