"""What a loop draws in its passes, by its layers: dropout and stochastic depth by their rates, never their masks;
and what an optimizer says of itself where no step shows it."""

from __future__ import annotations

from typing import Any

import pytest
from numpy_loop import Loop

from isotune.protocols import Augmentation, Protocol
from isotune.recordings import Comparison, Draw, compare, compare_with_protocol, judge

SGD = {"name": "sgd", "momentum": 0.9, "weight_decay": 0.01}
HYPER = {"momentum": 0.9, "nesterov": False, "weight_decay": 0.01}


def recipe(**said: Any) -> Protocol:
    stage = {"steps": 4, "batch_size": 8, "optimizer": SGD, "schedule": {"learning_rate": 0.1}}
    return Protocol(name="mine", title="Mine", source="a test", input={"size": 32}, stage=[stage | said])


def plain(**does: Any) -> Loop:
    return Loop(rates=(0.1,) * 4, **does)


def held(loop: Loop, protocol: Protocol, folder: Any) -> Comparison:
    return compare_with_protocol(loop.record(folder / "loop"), protocol)


def dropout(rate: float, *, head: bool = True) -> Draw:
    return Draw(kind="dropout", own="Dropout", rate=rate, per="value", head=head)


def depth(*rates: float, per: str = "image", scaled: bool = True) -> tuple[Draw, ...]:
    return tuple(Draw(kind="stochastic depth", own="DropPath", rate=rate, per=per, scaled=scaled) for rate in rates)


LINEAR = depth(0.05, 0.1, 0.15, 0.2)
Named = list[tuple[str, Any, Any]]
CASES: dict[str, tuple[dict[str, Any], tuple[Draw, ...], Named]] = {  # what is asked, what the loop has, what is named
    "another rate": ({"head_dropout": 0.2}, (dropout(0.5),), [("head_dropout", 0.5, 0.2)]),
    "none": ({"head_dropout": 0.2}, (), [("head_dropout", 0.0, 0.2)]),
    "not asked for": ({}, (dropout(0.5),), [("head_dropout", 0.5, 0.0)]),
    "in the body": ({}, (dropout(0.1, head=False),), [("dropout", [(0.1, "body")], 0.0)]),
    "twice": ({"head_dropout": 0.2}, (dropout(0.2), dropout(0.2)), [("dropout", [(0.2, "head")] * 2, 0.2)]),
    "no depth": ({"stochastic_depth": {"rate": 0.2}}, (),
                 [("stochastic_depth", "none", {"rate": 0.2, "law": "linear", "per": "image", "scaled": True})]),
    "depth not asked for": ({}, LINEAR, [
        ("stochastic_depth", "4 residual branches are left out at random, by rates up to 0.2", "none")]),
    "a greater depth": ({"stochastic_depth": {"rate": 0.1}}, LINEAR, [("stochastic_depth.rate", 0.2, 0.1)]),
    "one rate for all": ({"stochastic_depth": {"rate": 0.2}}, depth(0.2, 0.2, 0.2),
                         [("stochastic_depth.law", "constant", "linear")]),
    "growing": ({"stochastic_depth": {"rate": 0.2, "law": "constant"}}, LINEAR,
                [("stochastic_depth.law", "linear", "constant")]),
    "of no law": ({"stochastic_depth": {"rate": 0.2}}, depth(0.03, 0.2), [("stochastic_depth.law", "other", "linear")]),
    "a batch at once": ({"stochastic_depth": {"rate": 0.2}}, depth(0.05, 0.1, 0.15, 0.2, per="batch"),
                        [("stochastic_depth.per", "batch", "image")]),
    "not scaled": ({"stochastic_depth": {"rate": 0.2}}, depth(0.1, 0.2, scaled=False),
                   [("stochastic_depth.scaled", False, True)]),
    "images turned in the network": ({}, (Draw(kind="other", own="RandomFlip"),),
                                     [("random_layers", ["RandomFlip"], "none")]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_a_loop_draws_otherwise_is_named(case: str, tmp_path) -> None:
    asked, draws, named = CASES[case]
    found = held(plain(draws=draws), recipe(**asked), tmp_path)
    assert [(cause.name, cause.left, cause.right) for cause in found.causes] == named, found.verdict


@pytest.mark.parametrize(("asked", "draws"), [
    ({"head_dropout": 0.2}, (dropout(0.2),)),
    ({"stochastic_depth": {"rate": 0.2}}, LINEAR),
    ({"stochastic_depth": {"rate": 0.2}}, (*LINEAR, *LINEAR)),  # two branches a block
    ({"stochastic_depth": {"rate": 0.2, "law": "linear-from-first"}}, LINEAR),
    ({"stochastic_depth": {"rate": 0.2, "law": "linear-over-all"}}, depth(0.2 * 3 / 16, 0.2 * 5 / 16, 0.2 * 15 / 16)),
    ({"stochastic_depth": {"rate": 0.1, "law": "constant"}}, depth(0.1, 0.1)),
    ({"head_dropout": 0.2, "stochastic_depth": {"rate": 0.2}}, (*LINEAR, dropout(0.2))),
], ids=["dropout", "depth", "two branches", "from the first", "over all", "constant", "both"])  # fmt: skip
def test_what_is_drawn_as_the_protocol_says_is_no_fault_and_its_masks_are_said_not_to_be_compared(
    asked: dict[str, Any], draws: tuple[Draw, ...], tmp_path
) -> None:
    found = held(plain(draws=draws), recipe(**asked), tmp_path)
    assert found.same, found.verdict
    (said,) = (each for each in found.not_compared if each.startswith("what is drawn ("))
    assert said.endswith("by the loop's generators and by the protocol's streams")
    assert ("masks of dropout" in said) == ("head_dropout" in asked)
    assert ("masks of stochastic depth" in said) == ("stochastic_depth" in asked)


def test_policies_that_a_loop_draws_by_itself_are_said_in_one_line_not_to_be_compared(tmp_path) -> None:
    asked = {"policy": [{"name": "rand-augment"}], "random_erasing": {}, "mixing": {"mixup": 1.0}}
    protocol = recipe().model_copy(update={"augmentation": Augmentation(**asked)})
    found = held(plain(), protocol, tmp_path)
    (said,) = (each for each in found.not_compared if each.startswith("what is drawn ("))
    assert "(policies, random erasing, shares and partners of mixing)" in said
    assert "augmentation.policy, augmentation.random_erasing (which the images do not show)" in found.verdict


@pytest.mark.parametrize("asked", [{}, {"head_dropout": 0.2}, {"stochastic_depth": {"rate": 0.2}}])
def test_what_draws_and_is_no_layer_is_not_judged(asked: dict[str, Any], tmp_path) -> None:
    """A generator that moves with no layer known is functional dropout, or something else."""
    found = held(plain(moves=True), recipe(**asked), tmp_path)
    assert found.same, found.verdict
    for name in asked or ("head_dropout",):
        assert any(each.startswith(f"{name} (something draws") for each in found.not_compared), found.verdict


def test_a_recording_that_did_not_look_for_what_is_drawn_says_so(tmp_path) -> None:
    found = held(plain(draws=None), recipe(head_dropout=0.2), tmp_path)
    assert found.same
    assert "head_dropout (the recording does not show it)" in found.verdict


def test_two_loops_part_by_a_rate_of_dropout_and_not_by_its_masks(tmp_path) -> None:
    sides = {name: plain(draws=draws, seed=0, factor=factor).record(tmp_path / name) for name, draws, factor in (
        ("one", (dropout(0.2),), 1.0), ("another", (dropout(0.5),), 1.0), ("none", (), 1.0))}  # fmt: skip
    found = compare(sides["one"], sides["another"])
    assert [(cause.name, cause.left, cause.right) for cause in found.causes] == [
        ("dropout", [[0.2, "head"]], [[0.5, "head"]])
    ]
    assert [cause.name for cause in compare(sides["none"], sides["one"]).causes] == ["dropout"]


# -- what an optimizer says of itself


def test_a_limit_that_no_gradient_reached_is_read_off_the_optimizer(tmp_path) -> None:
    loop = plain(said=("global-norm", 1e3))
    found = held(loop, recipe(optimizer=SGD | {"clip_norm": 1e3}), tmp_path)
    assert found.same, found.verdict
    assert {"clipping", "clip_norm"} <= set(found.agreed)
    other = held(loop, recipe(optimizer=SGD | {"clip_norm": 500.0}), tmp_path / "other")
    assert [(cause.name, cause.left, cause.right) for cause in other.causes] == [("clip_norm", 1e3, 500.0)]
    alone = held(loop, recipe(), tmp_path / "alone")
    assert [cause.name for cause in alone.causes] == ["clipping"]


def test_a_loop_that_does_not_clip_what_the_protocol_would_is_told_so(tmp_path) -> None:
    found = held(plain(), recipe(optimizer=SGD | {"clip_norm": 1e-3}), tmp_path)
    assert [(cause.name, cause.left, cause.right) for cause in found.causes] == [("clip_norm", "none", 1e-3)]
    rare = held(plain(), recipe(optimizer=SGD | {"clip_norm": 1e3}), tmp_path / "rare")
    assert rare.same
    assert "clip_norm" in "; ".join(rare.not_compared)


def test_dampening_is_nothing_that_a_protocol_has(tmp_path) -> None:
    found = held(plain(hyper=HYPER | {"dampening": 0.5}, factor=1.0), recipe(), tmp_path)
    assert "dampening" in {cause.name for cause in found.causes}
    assert judge(plain(hyper=HYPER | {"dampening": 0.0}).record(tmp_path / "none")).value("dampening") == 0.0
