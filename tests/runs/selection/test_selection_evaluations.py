"""Evaluations while training: when they are, which is best, when the training ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.errors import UsageError
from isotune.protocols import Averaging, Selection
from isotune.runs.selection.averaging import Average
from isotune.runs.selection.evaluations import Evaluations, due
from isotune.runs.selection.holding_out import split

RULE = {"held_out": 0.1, "every": 1}


class Counted:
    """A model whose only weight is the number of steps that it was trained."""

    def __init__(self) -> None:
        self.tensors = {"w": np.zeros(1)}

    def weights(self):
        return self.tensors

    def load(self, tensors) -> None:
        for name, array in tensors.items():
            self.tensors[name][...] = array

    def snapshot(self):
        return self.tensors  # a view of what it trains, as a trainer's may be

    def restore(self, state) -> None:
        for name, array in state.items():
            self.tensors[name][...] = array


def evaluated(values, **rule) -> Evaluations:
    """Of a training whose evaluations give these values, until it is to end."""
    model, given = Counted(), iter(values)
    evaluations = Evaluations(Selection(**RULE | rule), range(1, len(values) + 1), lambda model: next(given))
    for step in range(1, len(values) + 1):
        model.tensors["w"] = np.full(1, float(step))
        evaluations.take(step, model, model, None)
        if evaluations.stop:
            break
    return evaluations


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(1, 10)), min_size=1, max_size=3), st.integers(1, 40))
def test_they_are_at_every_so_many_steps_or_at_the_end_of_each_epoch_and_at_the_end(lengths, every) -> None:
    total = sum(steps for steps, _ in lengths)
    assert due(Selection(held_out=0.1), lengths) == [total]
    steps = due(Selection(held_out=0.1, every=every), lengths)
    assert steps == [step for step in range(1, total + 1) if step % every == 0 or step == total]
    ends, before = set(), 0
    for steps, an_epoch in lengths:
        ends |= {before + step for step in range(1, steps + 1) if step % an_epoch == 0 or step == steps}
        before += steps
    assert due(Selection(held_out=0.1, every="epoch"), lengths) == sorted(ends)


@given(st.lists(st.none() | st.floats(0, 1), min_size=1, max_size=12), st.sampled_from(["accuracy", "loss"]))
def test_the_best_is_the_first_of_equals_and_its_weights_are_kept(values, metric) -> None:
    evaluations = evaluated(values, metric=metric)
    finite = [value for value in values if value is not None]
    best = values.index((min if metric == "loss" else max)(finite)) + 1 if finite else 1
    assert evaluations.best_step == best
    assert evaluations.best["w"] == best
    assert evaluations.curve == list(enumerate(values, 1))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=15), st.integers(1, 4))
def test_early_stopping_is_kerass(values, patience) -> None:
    """keras/src/callbacks/early_stopping.py: wait counts the evaluations that are no better than the best."""
    best, wait, end = -np.inf, 0, None
    for step, value in enumerate(values, 1):
        wait += 1
        if value > best:
            best, wait = value, 0
        if wait >= patience:
            end = step
            break
    evaluations = evaluated(values, patience=patience)
    assert (evaluations.last_step if evaluations.stop else None) == end


@given(st.lists(st.none() | st.floats(0, 1), max_size=6), st.lists(st.floats(0, 1), min_size=1, max_size=9),
       st.integers(1, 4))  # fmt: skip
def test_patience_counts_the_last_stages_alone_as_a_callback_of_a_second_fit_does(before, values, patience) -> None:
    model, given = Counted(), iter([*before, *values])
    rule = Selection(**RULE, patience=patience)
    both = Evaluations(rule, range(1, 99), lambda model: next(given), since=len(before))
    alone = evaluated(values, patience=patience)
    for step in range(1, len(before) + len(alone.curve) + 1):
        assert not both.stop
        both.take(step, model, model, None)
    assert both.stop == alone.stop
    every = [value for _, value in both.curve]
    finite = [value for value in every if value is not None]
    assert every[both.best_step - 1] == max(finite), "the best is of all stages"


def test_the_last_few_are_kept_and_go_through_a_draft() -> None:
    evaluations = evaluated([0.1, 0.5, 0.2, 0.5, 0.3], last=2)
    assert [float(kept["w"][0]) for kept in evaluations.recent] == [4, 5]
    again = Evaluations(Selection(**RULE, last=2), [], None)
    again.restore(evaluations.said, evaluations.parts)
    assert (again.curve, again.best_step, again.best) == (evaluations.curve, 2, evaluations.best)
    assert list(again.recent) == list(evaluations.recent)
    assert again.before == evaluations.seconds


def test_an_average_is_evaluated_in_the_place_of_the_weights_which_are_as_before_afterwards() -> None:
    model, seen = Counted(), []
    evaluations = Evaluations(Selection(**RULE), [1], lambda model: seen.append(float(model.tensors["w"][0])) or 0.5)
    average = Average(Averaging(decay=0.5), {"w": np.full(1, 7.0)}, 1)
    evaluations.take(1, model, model, average)
    assert seen == [7.0]
    assert model.tensors["w"] == 0.0
    assert evaluations.best["w"] == 7.0


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.floats(0.05, 0.9), st.integers(0, 5))
def test_a_part_of_every_class_is_held_out_and_another_by_another_seed(counts, share, seed) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    if max(counts) == 1:
        return
    left, held = split(labels, share, seed, "x")
    assert sorted([*left, *held]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        expected = 0 if count == 1 else min(count - 1, max(1, round(share * count)))
        assert (labels[held] == label).sum() == expected
    assert len(split(labels, share, seed + 1, "x")[1]) == len(held), "as many under every seed"
    many = np.repeat(np.arange(4), 25)
    assert split(many, 0.2, 0, "x")[1].tolist() != split(many, 0.2, 1, "x")[1].tolist()


def test_nothing_to_hold_out_is_refused_by_the_name_of_the_field() -> None:
    with pytest.raises(UsageError, match=r"selection.held_out: no class has two training images"):
        split(np.arange(5), 0.1, 0, "selection.held_out")
