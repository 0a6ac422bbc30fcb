"""What a side may leave out of a protocol: every part that the protocol has, at its rung, and no other."""

from __future__ import annotations

import pytest

from isotune.comparison.sides import Inputs
from isotune.investigation import PARTS
from isotune.investigation._left_out import left_out, without
from isotune.protocols import SGD, Adam, Schedule, Stage

ALL = {
    "loss": {"label_smoothing": 0.1, "head_dropout": 0.2},
    "one step": {"clip_norm": 1.0, "weight_decay": 0.01, "nesterov": True, "momentum": 0.9},
    "drift": {"schedule": "cosine", "gradients_cleared": "every step"},
}


def inputs(optimizer, rates=(0.1, 0.05), name="cosine", **stage) -> Inputs:
    made = Stage(
        steps=2, batch_size=4, optimizer=optimizer, schedule=Schedule(name=name, learning_rate=0.1), **stage
    )  # fmt: skip
    return Inputs(recipe={}, stage=made, rates=rates, classes=10, size=32, seed=0)


def whole() -> Inputs:
    return inputs(SGD(momentum=0.9, nesterov=True, weight_decay=0.01, clip_norm=1.0), **ALL["loss"])


@pytest.mark.parametrize("rung", ALL)
def test_each_part_that_the_protocol_has_is_left_out_by_either_side(rung: str) -> None:
    flips = list(left_out(whole(), rung))
    assert {flip.axis: flip.was for flip in flips} == ALL[rung]
    assert [flip.side for flip in flips] == ["left", "right"] * len(ALL[rung])
    assert {flip.side for flip in left_out(whole(), rung, ["right"])} == {"right"}


@pytest.mark.parametrize("rung", ALL)
def test_a_part_that_is_not_there_is_not_left_out(rung: str) -> None:
    always = {"gradients_cleared"} if rung == "drift" else set()
    for plain in (inputs(SGD(), (0.1, 0.1), "constant"), inputs(Adam(), (0.1, 0.1), "constant")):
        assert {flip.axis for flip in left_out(plain, rung)} == always
    flat = left_out(inputs(SGD(), (0.1, 0.1)), "drift")
    assert {flip.axis for flip in flat} == {"gradients_cleared"}, "a schedule that is flat in these steps"


@pytest.mark.parametrize("name", PARTS)
def test_without_a_part_nothing_else_is_changed_and_what_is_left_is_a_protocol(name: str) -> None:
    less = without(whole(), [name])
    Inputs.model_validate(less.model_dump())
    gone = {axis for rung in ALL for axis in ALL[rung]} - {flip.axis for rung in ALL for flip in left_out(less, rung)}
    assert gone == {name} | ({"nesterov"} if name == "momentum" else set())
