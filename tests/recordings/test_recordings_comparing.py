"""Two recordings: where they part first, by which cause, and never the same when they are not."""

from __future__ import annotations

import json

import pytest
from numpy_loop import Loop

import isotune
from isotune.errors import UsageError
from isotune.recordings import compare

NORM = frozenset({"001.norm.scale", "001.norm.shift"})
PLAIN = Loop()
CASES = {  # what the other does, where they part, and the cause
    "decay on kernels": (Loop(decayed="kernels"), (0, "slots after"), "weight_decay_on"),
    "decoupled decay": (Loop(decay="decoupled"), (0, "slots after"), "weight_decay_form"),
    "momentum form": (Loop(momentum_form="rate-inside"), (0, "slots after"), "momentum_form"),
    "momentum": (Loop(hyper=PLAIN.hyper | {"momentum": 0.8}), (0, "weights after"), "momentum"),
    "schedule late": (Loop(rates=(0.1, 0.1, 0.1, 0.01)), (2, "rate"), "schedule"),
    "another rate": (Loop(rates=(0.05, 0.05, 0.005, 0.005)), (0, "rate"), "schedule"),
    "accumulation": (Loop(passes=2, divided=False), (0, "batch"), "accumulation"),
    "order": (Loop(order=(1, 0, 2, 3, 4, 5, 6, 7)), (0, "batch"), "images"),
    "other images": (Loop(seed=1), (0, "batch"), "images"),
    "smoothing": (Loop(smoothing=0.1), (0, "loss"), "label_smoothing"),
    "L2 in the loss": (Loop(l2=5e-3), (0, "loss"), "regularization"),
    "half of lambda in the loss": (Loop(l2=6.25e-5), (0, "loss"), "regularization"),
    "clipping": (Loop(clip=("global-norm", 0.3)), (0, "gradients"), "clipping"),
    "frozen": (Loop(frozen=NORM), (0, "gradients"), "trained"),
    "BatchNorm's momentum": (Loop(norm_momentum=0.01), (0, "statistics after"), "batchnorm_momentum"),
    "running variance": (Loop(unbiased=False), (0, "statistics after"), "batchnorm_running_variance"),
    "half steps": (Loop(factor=0.5), (0, "weights after"), "step"),
    "decay between steps": (Loop(shrinks=0.999), (1, "weights before"), "between_steps"),
}


@pytest.mark.parametrize("case", CASES)
def test_two_loops_part_where_they_do_and_why(case: str, tmp_path) -> None:
    other, place, cause = CASES[case]
    found = compare(PLAIN.record(tmp_path / "plain"), other.record(tmp_path / "other"))
    if case == "momentum":  # the first step has no velocity yet; it shows in the second
        place = (1, "slots after")
    assert found.first_failure is not None
    assert (found.first_failure.step, found.first_failure.name) == place
    assert cause in {each.name for each in found.causes}
    assert not found.same


@pytest.mark.parametrize(
    ("l2", "decay", "said"),
    [
        (5e-3, 0.01, "the same number"),
        (1e-2, 0.01, "half of it: the gradient of lambda"),
        (5e-3, 0.03, "3 times as much"),
    ],
)
def test_l2_in_the_loss_against_decay_in_the_optimizer_is_one_difference(l2, decay, said, tmp_path) -> None:
    """lambda * sum(w^2) is a coupled decay of 2 * lambda; both sides are told in one sentence."""
    hyper = PLAIN.hyper | {"weight_decay": 0.0}
    in_loss, in_optimizer = (
        Loop(l2=l2, hyper=hyper),
        Loop(hyper=PLAIN.hyper | {"weight_decay": decay}, decayed="kernels"),
    )
    found = compare(in_loss.record(tmp_path / "a"), in_optimizer.record(tmp_path / "b"))
    (cause,) = found.causes
    assert (cause.name, cause.left, cause.right) == ("weight_decay_form", "in-loss", "coupled")
    assert f"{l2:g} * sum(w^2) of kernels" in cause.words
    assert said in cause.words
    turned = compare(in_optimizer.record(tmp_path / "c"), in_loss.record(tmp_path / "d")).causes[0]
    assert (turned.left, turned.right) == ("coupled", "in-loss")


def test_frozen_batchnorm_of_two_kinds(tmp_path) -> None:
    sides = [Loop(frozen=NORM, frozen_norm=how).record(tmp_path / how) for how in ("updates", "inference")]
    found = compare(*sides)
    assert [cause.name for cause in found.causes] == ["frozen_batchnorm"]
    assert found.first_failure is not None
    assert found.first_failure.name == "layers"


def test_a_schedule_that_is_late_is_said_in_epochs(tmp_path) -> None:
    early = Loop(rates=(0.1, 0.1, 0.01, 0.01, 0.001, 0.001), steps=6)
    late = Loop(rates=(0.1, 0.1, 0.1, 0.1, 0.01, 0.01), steps=6)
    found = compare(early.record(tmp_path / "a", steps_per_epoch=2), late.record(tmp_path / "b", steps_per_epoch=2))
    assert "the schedule is 1 epoch (2 steps) late" in found.verdict


def test_the_same_loop_is_the_same(tmp_path) -> None:
    found = compare(PLAIN.record(tmp_path / "a", threads=1), PLAIN.record(tmp_path / "b", threads=2))
    assert found.same
    assert {rung.verdict for rung in found.rungs} == {"holds"}
    assert found.configuration == {"threads": (1, 2)}
    assert "weight_decay_on" in found.agreed


def test_what_was_not_compared_is_said(tmp_path) -> None:
    found = compare(PLAIN.record(tmp_path / "a"), PLAIN.record(tmp_path / "b"))
    assert "clipping (no gradient was clipped in these steps)" in found.verdict


def test_recordings_of_two_networks_are_refused(tmp_path, monkeypatch) -> None:
    mine = PLAIN.record(tmp_path / "mine")
    shapes = {name: tuple(size + 1 for size in shape) for name, shape in {"a": (3, 3), "b": (4,), "c": (2, 2)}.items()}
    entries = PLAIN.entries()[:3]
    others = [entry.model_copy(update={"name": f"x.{name}", "own": name, "shape": shape})
              for entry, (name, shape) in zip(entries, shapes.items(), strict=True)]  # fmt: skip
    other = PLAIN.record(tmp_path / "other")
    other.about = other.about.model_copy(update={"tensors": tuple(others)})
    with pytest.raises(UsageError, match="mine and other are of two networks: 0 of 8 and 3 tensors"):
        compare(mine, other)


def test_tensors_of_other_names_are_paired_by_shape_and_order(tmp_path) -> None:
    mine, other = PLAIN.record(tmp_path / "mine"), Loop(decayed="kernels").record(tmp_path / "other")
    entries = tuple(
        entry.model_copy(update={"own": f"other.{place}"}) for place, entry in enumerate(other.about.tensors)
    )
    entries = (*entries[1:2], *entries[2:], entries[0])  # as another framework may register them
    other.about = other.about.model_copy(update={"tensors": entries})
    found = compare(mine, other)
    assert "Tensors are paired by canonical name" in found.pairing
    renamed = tuple(entry.model_copy(update={"name": entry.name}) for entry in entries[:-1])
    other.about = other.about.model_copy(update={"tensors": renamed})
    found = compare(mine, other)
    assert "paired by shape and order: 7 pairs, 1 tensors without" in found.pairing
    assert "no partner: 000_dense_kernel (mine)" in found.verdict


def test_no_common_step_is_refused(tmp_path) -> None:
    mine, other = PLAIN.record(tmp_path / "mine"), PLAIN.record(tmp_path / "other")
    other.steps = {7: other.steps[0]}
    with pytest.raises(UsageError, match="no step is in both recordings: mine has 0, 1, 2, 3, other 7"):
        compare(mine, other)


STAGE = """
name = "mine"
title = "Mine"
source = "a test"
[input]
size = 32
[[stage]]
epochs = 2
batch_size = 8
[stage.optimizer]
name = "sgd"
momentum = 0.9
weight_decay = 0.01
[stage.schedule]
name = "step"
per = "epoch"
milestones = [1]
learning_rate = 0.1
"""
BREAKS = {  # the loop, and what it does otherwise than the protocol
    "as it says": (Loop(), set()),
    "decay on kernels": (Loop(decayed="kernels"), {"weight_decay_on"}),
    "decoupled": (Loop(decay="decoupled"), {"weight_decay_form"}),
    "an epoch late": (Loop(rates=(0.1, 0.1, 0.1, 0.1)), {"schedule"}),
    "a step late": (Loop(rates=(0.1, 0.1, 0.1, 0.01)), {"schedule"}),
    "another rate": (Loop(rates=(0.2, 0.2, 0.02, 0.02)), {"schedule"}),
    "summed": (Loop(passes=2, divided=False), {"batch_size", "accumulate", "accumulation"}),
    "smoothed": (Loop(smoothing=0.1), {"label_smoothing"}),
    "clipped": (Loop(clip=("global-norm", 0.3)), {"clipping"}),
    "L2 too": (Loop(l2=5e-3), {"regularization"}),
    "L2 instead": (Loop(l2=5e-3, hyper=PLAIN.hyper | {"weight_decay": 0.0}), {"regularization"}),
    "frozen": (Loop(frozen=NORM), {"trained"}),
    "Adam": (Loop(family="adam", hyper={"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.01}),
             {"optimizer"}),
}  # fmt: skip


def test_l2_in_the_loss_is_what_a_protocol_may_say(tmp_path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(STAGE + '[conventions]\nweight_decay_form = "in-loss"\n')
    for l2, breaks in ((0.01, set()), (0.005, {"regularization"})):
        Loop(l2=l2, hyper=PLAIN.hyper | {"weight_decay": 0.0}).record(tmp_path / f"{l2}", steps_per_epoch=2)
        found = isotune.investigate(f"recording:{tmp_path / str(l2)}", f"protocol:{recipe}")
        assert {cause.name for cause in found.causes} == breaks, found.verdict


@pytest.mark.parametrize("case", BREAKS)
def test_a_loop_is_held_against_a_protocol(case: str, tmp_path) -> None:
    loop, breaks = BREAKS[case]
    recipe = tmp_path / "mine.toml"
    recipe.write_text(STAGE)
    loop.record(tmp_path / "loop", steps_per_epoch=2)
    found = isotune.investigate(f"recording:{tmp_path / 'loop'}", f"protocol:{recipe}")
    assert {cause.name for cause in found.causes} == breaks, found.verdict
    assert found.same == (not breaks)
    assert "the order of the images" in found.verdict


PARTS = "batch_size = 16\naccumulate = 2\ndrop_last = true"
NAMED = {  # what the protocol says otherwise than STAGE, the loop, what it breaks, and words of it
    "decay on biases": (('name = "mine"', 'name = "mine"\nconventions = {weight_decay_on = "kernels"}'), Loop(),
                        {"weight_decay_on"}, "everything decays, 2 x bias"),
    "no decay on biases": (('name = "mine"', 'name = "mine"\nconventions = {weight_decay_on = "kernels"}'),
                           Loop(decayed="kernels"), set(), ""),
    "an epoch late": (("epochs = 2", "epochs = 3"), Loop(rates=(0.1,) * 4 + (0.01,) * 2, steps=6), {"schedule"},
                      "the schedule is 1 epoch (2 steps) late"),
    "in time": (("epochs = 2", "epochs = 3"), Loop(rates=(0.1,) * 2 + (0.01,) * 4, steps=6), set(), ""),
    "accumulation that does not divide": (("batch_size = 8", PARTS), Loop(passes=2, divided=False),
                                          {"accumulation"}, "the gradient is 2 times the mean's"),
    "accumulation that divides": (("batch_size = 8", PARTS), Loop(passes=2), set(), ""),
    "two passes, of which BatchNorm sees each": (("batch_size = 8", "batch_size = 16"), Loop(passes=2),
                                                 {"accumulate"}, "in the loop 2"),
}  # fmt: skip


@pytest.mark.parametrize("case", NAMED)
def test_what_a_loop_gets_wrong_of_a_protocol_is_named_and_its_sound_twin_is_not(case: str, tmp_path) -> None:
    change, loop, breaks, said = NAMED[case]
    recipe = tmp_path / "mine.toml"
    recipe.write_text(STAGE.replace(*change))
    loop.record(tmp_path / "loop", steps_per_epoch=2)
    found = isotune.investigate(f"recording:{tmp_path / 'loop'}", f"protocol:{recipe}")
    assert {cause.name for cause in found.causes} == breaks, found.verdict
    assert said in found.verdict


def test_frozen_batchnorm_that_updates_breaks_a_protocol_that_says_inference(tmp_path) -> None:
    head = STAGE.replace("epochs = 2\n", 'epochs = 2\ntrained = "head"\n')
    text = head + '[conventions]\nfrozen_batchnorm = "inference"\n'
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    frozen = frozenset({"000.dense.kernel", "000.dense.bias", *NORM})
    for how, breaks in (("updates", {"frozen_batchnorm"}), ("inference", set())):
        Loop(frozen=frozen, frozen_norm=how).record(tmp_path / how, steps_per_epoch=2)
        found = isotune.investigate(f"recording:{tmp_path / how}", f"protocol:{recipe}:1")
        assert {cause.name for cause in found.causes} == breaks, found.verdict


@pytest.mark.parametrize(
    ("loop", "breaks"),
    [
        (Loop(frozen=NORM, frozen_norm="inference"), set()),
        (Loop(frozen=NORM, frozen_norm="updates"), {"frozen_batchnorm"}),
        (Loop(), {"trained"}),
    ],
)
def test_a_protocol_that_freezes_batchnorm_in_trained_layers_asks_for_both(loop: Loop, breaks: set, tmp_path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(STAGE.replace("epochs = 2\n", 'epochs = 2\nbatchnorm = "frozen"\n'))
    loop.record(tmp_path / "loop", steps_per_epoch=2)
    found = isotune.investigate(f"recording:{tmp_path / 'loop'}", f"protocol:{recipe}")
    assert {cause.name for cause in found.causes} == breaks, found.verdict
    assert ("trained" in found.agreed) == ("trained" not in breaks)


def test_the_command_line_says_it_and_writes_a_report(here, tmp_path) -> None:
    PLAIN.record(tmp_path / "a")
    Loop(decayed="kernels").record(tmp_path / "b")
    status, out, _ = here("investigate", "recording:a", "recording:b", "--out", "reports", "--json")
    assert status == 1
    assert json.loads(out)["causes"][0]["name"] == "weight_decay_on"
    report = (tmp_path / "reports" / "a-vs-b.md").read_text()
    assert "weight_decay_on" in report
    status, _, _ = here("investigate", "recording:a", "recording:a")
    assert status == 0


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ("recording:a", "recording:nowhere", "nowhere is no recording: it has no recording.json"),
        ("recording:a", "timm:mobilenetv2_100", "a recording is compared with another, recording:FOLDER, or with a"),
        ("recording:a", "protocol:quick", "the protocol quick trains nothing step by step"),
        ("recording:a", "protocol:pytorch-tutorial:9", "stages, and no stage 9"),
        ("recording:a", "protocol:nothing", "nothing"),
    ],
)
def test_wrong_sides_are_one_line(left: str, right: str, message: str, here, tmp_path) -> None:
    PLAIN.record(tmp_path / "a")
    status, _, err = here("investigate", left, right)
    assert status == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize("option", [{"price": True}, {"reproducer": "least.py"}])
def test_what_needs_a_run_is_refused_for_recordings(option: dict, tmp_path) -> None:
    PLAIN.record(tmp_path / "a")
    with pytest.raises(UsageError, match="of recordings there is none, since nothing is run"):
        isotune.investigate(f"recording:{tmp_path / 'a'}", f"recording:{tmp_path / 'a'}", **option)


def test_a_layer_that_one_side_alone_has_does_not_shift_the_others(tmp_path) -> None:
    """Its bias has the shape of its neighbour's; layers are paired, and tensors within them."""
    mine, other = PLAIN.record(tmp_path / "mine"), PLAIN.record(tmp_path / "other")
    tensors = mine.about.tensors
    more = [
        entry.model_copy(update={"name": f"000b.dense.{slot}", "own": f"more_{slot}", "shape": shape})
        for entry, slot, shape in zip(tensors, ("kernel", "bias"), ((16, 16), (16,)), strict=False)
    ]
    swapped = (tensors[1], tensors[0])  # of a layer, its bias first
    other.about = other.about.model_copy(update={"tensors": (*more, *swapped, *tensors[2:])})
    found = compare(mine, other)
    assert "by shape and order: 8 pairs, 2 tensors without" in found.pairing
    assert "more_kernel (other), more_bias (other)" in found.verdict.partition("no partner: ")[2]
    assert found.first_failure is None
