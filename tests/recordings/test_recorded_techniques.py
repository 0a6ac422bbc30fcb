"""A loop that has one form of a technique where the protocol has another is told so by its name; a sound one is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy_loop import Loop

import isotune
from isotune import protocols
from isotune.protocols import Averaging, Mixing, Protocol, Schedule
from isotune.protocols.schedules import learning_rates
from isotune.recordings import Comparison, judge
from isotune.recordings.techniques._mixing import _alpha

SGD = {"name": "sgd", "momentum": 0.9, "weight_decay": 0.01}
MIXUP = Mixing(mixup=1.0)


def recipe(schedule: dict[str, Any] | None = None, **said: Any) -> Protocol:
    stage = {"steps": 4, "batch_size": 8, "optimizer": SGD, "schedule": schedule or {"learning_rate": 0.1}}
    whole = {name: said.pop(name) for name in ("average", "augmentation") if name in said}
    return Protocol(name="mine", title="Mine", source="a test", input={"size": 32}, stage=[stage | said], **whole)


def held(loop: Loop, protocol: Protocol, folder: Any, **how: Any) -> Comparison:
    return isotune.investigate(loop.record(folder / "loop", **how), protocol)


def plain(rates: Any = (0.1,) * 4, **does: Any) -> Loop:
    return Loop(rates=tuple(rates), steps=len(rates), **does)


# -- schedules

WARM = {"name": "cosine", "learning_rate": 0.1, "warmup_steps": 4}
CYCLE = {"name": "one-cycle", "learning_rate": 0.1, "rise": 0.3, "final": 4e-6, "reach": "last"}
DROPS = {"name": "step", "learning_rate": 0.1, "drop_every": 2.5}


def rated(schedule: dict[str, Any], per_epoch: int = 4) -> np.ndarray:
    return learning_rates(Schedule(**schedule), 12, per_epoch)


RATES: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, Any, Any]], str]] = {
    "from zero": (WARM, WARM | {"start": 0.0}, [("schedule.start", 0.0, "none")], "Keras's CosineDecay"),
    "from a share": (WARM, WARM | {"start": 0.03}, [("schedule.start", 0.03, "none")], "torch's LinearLR"),
    "one step's rise": (WARM | {"start": 0.0}, WARM, [("schedule.start", "none", 0.0)], "so that no step has rate 0"),
    "the warm-up inside": (WARM, WARM | {"warmup_counts": True}, [("schedule.warmup_counts", True, False)], "timm"),
    "the warm-up before": (WARM | {"warmup_counts": True}, WARM, [("schedule.warmup_counts", False, True)], "Keras"),
    "by epochs": (WARM, WARM | {"per": "epoch"}, [("schedule.per", "epoch", "step")], "torchvision's references"),
    "by steps": (WARM | {"per": "epoch"}, WARM, [("schedule.per", "step", "epoch")], "with every step"),
    "an end above 0": (WARM, WARM | {"final": 0.05}, [("schedule.final", 0.05, 0.0)], "timm's min_lr"),
    "two forms": (WARM, WARM | {"start": 0.01, "warmup_counts": True},
                  [("schedule.start", 0.01, "none"), ("schedule.warmup_counts", True, False)], "torchvision"),
    "from a third": (WARM, WARM | {"start": 1 / 3}, [("schedule.start", 1 / 3, "none")], "torch's LinearLR"),
    "an end at 0": (WARM | {"final": 0.05}, WARM, [("schedule.final", 0.0, 0.05)], "stage.schedule.final"),
    "a peak earlier": (CYCLE, CYCLE | {"rise": 0.25}, [("schedule.rise", 0.25, 0.3)], "stage.schedule.rise"),
    "a cycle to the last step": (CYCLE, CYCLE | {"reach": "after"}, [("schedule.reach", "after", "last")], "fastai"),
    "a cycle of lines": (CYCLE, CYCLE | {"anneal": "linear"}, [("schedule.anneal", "linear", "cosine")], "anneal"),
    "a cycle from a tenth": (CYCLE, CYCLE | {"start": 0.1}, [("schedule.start", 0.1, 0.04)], "stage.schedule.start"),
    "a cycle from its own": (CYCLE | {"start": 0.1}, CYCLE, [("schedule.start", 0.04, 0.1)], "stage.schedule.start"),
    "no warm-up": (WARM | {"start": 0.0}, {"name": "cosine", "learning_rate": 0.1},
                   [("schedule.warmup_steps", 0, 4)], "stage.schedule.warmup_steps"),
    "a shorter warm-up": (WARM, WARM | {"warmup_steps": 3}, [("schedule.warmup_steps", 3, 4)], "warmup_steps"),
    "a line": (WARM, WARM | {"name": "linear"}, [("schedule.name", "linear", "cosine")], "stage.schedule.name"),
    "no decay": (WARM | {"final": 0.05}, WARM | {"name": "constant"}, [("schedule.name", "constant", "cosine")], ""),
    "a factor": (DROPS, DROPS | {"gamma": 0.97}, [("schedule.gamma", 0.97, 0.1)], "stage.schedule.gamma"),
}  # fmt: skip


@pytest.mark.parametrize("kept", [np.float64, np.float32])  # as torch holds a rate, as Keras does
@pytest.mark.parametrize("case", RATES)
def test_a_schedules_form_is_named(case: str, kept: type[np.floating], tmp_path) -> None:
    wanted, does, causes, said = RATES[case]
    protocol = recipe(wanted, steps=12)
    found = held(plain(rated(does).astype(kept).tolist()), protocol, tmp_path, steps_per_epoch=4)
    assert [(cause.name, cause.left, cause.right) for cause in found.causes] == causes, found.verdict
    assert said in found.verdict
    sound = held(plain(rated(wanted)), protocol, tmp_path / "sound", steps_per_epoch=4)
    assert sound.same, sound.verdict


def test_a_cycle_that_says_nothing_begins_at_a_twenty_fifth() -> None:
    said = [protocols.forms.differences(recipe(CYCLE), recipe(CYCLE | {"start": start})) for start in (0.04, 0.1)]
    assert said == [[], [("stage.1.schedule.start", 0.04, 0.1)]]


def test_forms_that_the_first_steps_do_not_show_are_said(tmp_path) -> None:
    found = held(plain(rated(WARM)[:3]), recipe(WARM, steps=12), tmp_path, steps_per_epoch=4)
    assert found.same
    (schedule,) = (each for each in found.agreed if each.startswith("schedule"))
    assert schedule == "schedule (3 of 12 steps, which do not show warmup_counts, per, name)"


def test_rates_of_no_form_are_another_schedule(tmp_path) -> None:
    rates = rated(WARM) * np.linspace(1, 1.1, 12)
    (cause,) = held(plain(rates), recipe(WARM, steps=12), tmp_path, steps_per_epoch=4).causes
    assert (cause.name, cause.words.endswith("another schedule")) == ("schedule", True)


# -- rates of layers

DECAYED = {"000.dense": 0.25, "001.norm": 0.5}
LAYERS: dict[str, tuple[dict[str, Any], dict[str, float], list[tuple[str, Any, Any]]]] = {
    "one rate": ({"layer_decay": 0.5}, {}, [("layer_decay", "none", 0.5)]),
    "another decay": ({"layer_decay": 0.7}, DECAYED, [("layer_decay", 0.5, 0.7)]),
    "a decay": ({}, DECAYED, [("layer_decay", 0.5, "none")]),
    "the body slower": ({}, {"000.dense": 0.1, "001.norm": 0.1}, [("body_rate", 0.1, 1.0)]),
    "the body faster than that": ({"body_rate": 0.1}, {}, [("body_rate", 1.0, 0.1)]),
    "the head a block": ({"layer_decay": 0.5}, {"000.dense": 0.5}, [("body_rate", 2.0, 1.0)]),
    "no such law": ({"layer_decay": 0.5}, {"000.dense": 0.5, "001.norm": 0.25}, [("layer_decay", 0.25, 0.5)]),
}


@pytest.mark.parametrize("case", LAYERS)
def test_rates_of_layers_are_named(case: str, tmp_path) -> None:
    wanted, does, causes = LAYERS[case]
    found = held(plain(layers=does), recipe(**wanted), tmp_path)
    assert [(cause.name, cause.left, cause.right) for cause in found.causes] == causes, found.verdict


@pytest.mark.parametrize("wanted", [{"layer_decay": 0.5}, {"layer_decay": 0.5, "body_rate": 0.5}, {"body_rate": 0.1}])
def test_the_rates_of_layers_that_a_protocol_says_are_no_fault(wanted: dict, tmp_path) -> None:
    decay, body = wanted.get("layer_decay", 1.0), wanted.get("body_rate", 1.0)
    does = {"000.dense": body * decay**2, "001.norm": body * decay}
    found = held(plain(layers=does), recipe(**wanted), tmp_path)
    assert found.same, found.verdict
    assert "the rates of the layers" in found.agreed


# -- accumulation


def test_passes_make_another_step_than_one_where_batchnorm_sees_each(tmp_path) -> None:
    parts = {"batch_size": 16, "accumulate": 2, "drop_last": True}
    loop = plain(passes=2)
    found = held(loop, recipe(**parts), tmp_path)
    assert found.same, found.verdict
    assert "accumulate" in found.agreed
    one = held(loop, recipe(batch_size=16), tmp_path / "one")
    assert [(cause.name, cause.left, cause.right) for cause in one.causes] == [("accumulate", 2, 1)]
    summed = held(plain(passes=2, divided=False), recipe(**parts), tmp_path / "summed")
    assert [cause.name for cause in summed.causes] == ["accumulation"]


# -- mixtures

MIXINGS: dict[str, tuple[Mixing, dict[str, Any], list[tuple[str, Any, Any]]]] = {
    "rolled": (MIXUP, {"mixing": Mixing(mixup=1.0, partner="rolled")},
               [("augmentation.mixing.partner", "rolled", "reversed")]),
    "shuffled": (MIXUP, {"mixing": Mixing(mixup=1.0, partner="shuffled")},
                 [("augmentation.mixing.partner", "shuffled", "reversed")]),
    "reversed": (Mixing(mixup=1.0, partner="rolled"), {"mixing": MIXUP},
                 [("augmentation.mixing.partner", "reversed", "rolled")]),
    "a share an image": (MIXUP, {"mixing": Mixing(mixup=1.0, per="image")},
                         [("augmentation.mixing.per", "image", "batch")]),
    "a share a pair": (Mixing(mixup=1.0, per="image"), {"mixing": Mixing(mixup=1.0, per="pair")},
                       [("augmentation.mixing.per", "pair", "image")]),
    "another law": (Mixing(mixup=0.1, per="image"), {"mixing": Mixing(mixup=4.0, per="image")},
                    [("augmentation.mixing.mixup", pytest.approx(4.0, rel=0.5), 0.1)]),
    "CutMix": (MIXUP, {"mixing": Mixing(cutmix=1.0)}, [("augmentation.mixing.mixup", "cutmix", "mixup")]),
    "mixup": (Mixing(cutmix=1.0), {"mixing": MIXUP}, [("augmentation.mixing.cutmix", "mixup", "cutmix")]),
    "the area as drawn": (Mixing(cutmix=1.0), {"mixing": Mixing(cutmix=1.0), "area": "drawn"},
                          [("augmentation.mixing.cutmix, its area", "drawn", "left")]),
}  # fmt: skip


@pytest.mark.parametrize("shows", [True, False], ids=["gradient", "labels"])  # of the logits, or those of the loss
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("case", MIXINGS)
def test_a_form_of_mixing_is_named(case: str, smoothing: float, shows: bool, tmp_path) -> None:
    wanted, does, causes = MIXINGS[case]
    protocol = recipe(augmentation={"mixing": wanted}, label_smoothing=smoothing)
    found = held(plain(smoothing=smoothing, shows_gradient=shows, **does), protocol, tmp_path)
    named = [cause for cause in found.causes if cause.name != "input size"]  # the loop's images are smaller
    assert [(cause.name, cause.left, cause.right) for cause in named] == causes, found.verdict


@pytest.mark.parametrize("mixing", [
    MIXUP, Mixing(mixup=0.2), Mixing(mixup=1.0, per="pair"), Mixing(mixup=1.0, per="image"), Mixing(cutmix=1.0),
    Mixing(mixup=1.0, partner="rolled"), Mixing(mixup=1.0, partner="shuffled"), Mixing(mixup=0.8, cutmix=1.0),
    Mixing(mixup=1.0, per="image", probability=0.5), Mixing(cutmix=1.0, per="image"),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("shows", [True, False], ids=["gradient", "labels"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_loop_that_mixes_as_the_protocol_says_is_accused_of_nothing(
    mixing: Mixing, seed: int, shows: bool, tmp_path
) -> None:
    protocol = recipe(augmentation={"mixing": mixing}, label_smoothing=0.1)
    found = held(plain(mixing=mixing, smoothing=0.1, seed=seed, shows_gradient=shows), protocol, tmp_path)
    assert {cause.name for cause in found.causes} == {"input size"}, found.verdict
    assert "label_smoothing" in found.agreed


def test_mixing_that_one_alone_does_is_named(tmp_path) -> None:
    found = held(plain(), recipe(augmentation={"mixing": MIXUP}), tmp_path)
    assert [cause.name for cause in found.causes] == ["augmentation.mixing"]
    mixed = held(plain(mixing=MIXUP), recipe(), tmp_path / "mixed")
    assert "augmentation.mixing" in {cause.name for cause in mixed.causes}
    rare = held(plain(), recipe(augmentation={"mixing": Mixing(mixup=1.0, probability=0.1)}), tmp_path / "rare")
    assert rare.same
    assert "which may be chance" in rare.verdict


def test_a_probability_of_mixing_that_the_batches_contradict_is_named(tmp_path) -> None:
    often = plain((0.1,) * 12, mixing=Mixing(mixup=1.0, probability=0.5), seed=1)
    found = held(often, recipe(augmentation={"mixing": MIXUP}, steps=12), tmp_path)
    (cause,) = (cause for cause in found.causes if cause.name != "input size")
    assert (cause.name, cause.right) == ("augmentation.mixing.probability", 1.0)
    half = recipe(augmentation={"mixing": Mixing(mixup=1.0, probability=0.5)}, steps=12)
    sound = held(often, half, tmp_path / "sound")
    assert {cause.name for cause in sound.causes} == {"input size"}
    assert "augmentation.mixing.probability (" in sound.verdict


def test_a_loss_that_is_not_of_the_labels_that_were_told_may_be_of_mixed_ones(tmp_path) -> None:
    """A loop of one's own that weighs two losses, and tells the labels of one."""
    loop = plain(mixing=MIXUP, shows_gradient=False, tells="first")
    found = held(loop, recipe(augmentation={"mixing": MIXUP}), tmp_path)
    assert {cause.name for cause in found.causes} == {"input size"}, found.verdict
    assert "tell the mixed ones: watching.loss(loss, labels)" in found.verdict
    assert "loss" in {cause.name for cause in held(loop, recipe(), tmp_path / "plain").causes}


def test_two_loops_that_mix_otherwise_part_by_that(tmp_path) -> None:
    loops = [plain(mixing=Mixing(mixup=1.0, partner=how)).record(tmp_path / how) for how in ("reversed", "rolled")]
    found = isotune.investigate(*loops)
    assert "mixing.partner" in {cause.name for cause in found.causes}
    assert isotune.investigate(loops[0], loops[0]).same


def test_smoothing_beside_mixtures_is_read_off(tmp_path) -> None:
    habits = judge(plain(mixing=MIXUP, smoothing=0.1).record(tmp_path / "loop"))
    assert {name: habits.value(name) for name in ("label_smoothing", "mixing.per", "mixing.partner", "loss")} == {
        "label_smoothing": 0.1, "mixing.per": "batch", "mixing.partner": "reversed", "loss": None
    }  # fmt: skip


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_a_laws_number_is_estimated(alpha: float) -> None:
    shares = np.random.default_rng(0).beta(alpha, alpha, 20_000)
    assert _alpha(np.maximum(shares, 1 - shares).tolist()) == pytest.approx(alpha, rel=0.05)


# -- averages

KEPT = Averaging(decay=0.9)
AVERAGES: dict[str, tuple[Averaging, Averaging, list[tuple[str, Any, Any]]]] = {
    "a copy first": (KEPT, Averaging(decay=0.9, start="first"), [("average.start", "first", "initial")]),
    "from zero": (KEPT, Averaging(decay=0.9, start="zero"), [("average.start", "zero", "initial")]),
    "from the initial weights": (Averaging(decay=0.9, start="first"), KEPT, [("average.start", "initial", "first")]),
    "counted": (KEPT, Averaging(decay=0.9, warmup="counted"), [("average.warmup", "counted", "none")]),
    "by a power": (KEPT, Averaging(decay=0.9, warmup="power"), [("average.warmup", "power", "none")]),
    "no warm-up": (Averaging(decay=0.9, warmup="power"), KEPT, [("average.warmup", "none", "power")]),
    "every other step": (KEPT, Averaging(decay=0.9, every=2), [("average.every", 2, 1)]),
    "statistics copied": (KEPT, Averaging(decay=0.9, statistics="copied"),
                          [("average.statistics", "copied", "averaged")]),
    "another decay": (KEPT, Averaging(decay=0.7), [("average.decay", 0.7, 0.9)]),
}  # fmt: skip


@pytest.mark.parametrize("case", AVERAGES)
def test_a_form_of_an_average_is_named(case: str, tmp_path) -> None:
    wanted, does, causes = AVERAGES[case]
    found = held(plain(average=does), recipe(average=wanted), tmp_path)
    assert [(cause.name, cause.left, cause.right) for cause in found.causes] == causes, found.verdict


@pytest.mark.parametrize("start", ["initial", "first", "zero"])
@pytest.mark.parametrize("warmup", ["none", "counted", "power"])
@pytest.mark.parametrize("more", [{}, {"every": 2}, {"statistics": "copied"}, {"decay": 0.999}])
def test_an_average_as_the_protocol_says_is_no_fault(start: str, warmup: str, more: dict, tmp_path) -> None:
    average = Averaging(**{"decay": 0.9, "start": start, "warmup": warmup} | more)
    found = held(plain(average=average), recipe(average=average), tmp_path)
    assert found.same, found.verdict
    assert any(each.startswith("average (after steps") for each in found.agreed)


def test_an_average_that_one_alone_has_and_one_that_is_not_recorded(tmp_path) -> None:
    (cause,) = held(plain(average=KEPT), recipe(), tmp_path).causes
    assert (cause.name, cause.right) == ("average", "none")
    unseen = held(plain(), recipe(average=KEPT), tmp_path / "unseen")
    assert unseen.same
    assert "average (none is recorded" in unseen.verdict


def test_weights_that_their_average_replaces_are_told_so(tmp_path) -> None:
    found = held(plain(average=KEPT, overwrites=2), recipe(average=KEPT), tmp_path)
    (cause,) = found.causes
    assert (cause.name, cause.left) == ("between_steps", "average")
    assert "after step 1 the weights become their average" in found.verdict
    assert any(each.startswith("average (after steps") for each in found.agreed)


def test_two_loops_part_by_their_averages(tmp_path) -> None:
    averages = {"none": None, "kept": KEPT, "slow": Averaging(decay=0.99), "first": Averaging(decay=0.9, start="first"),
                "copied": Averaging(decay=0.9, statistics="copied")}  # fmt: skip
    sides = {name: plain(average=average).record(tmp_path / name) for name, average in averages.items()}
    named = {"none": "average", "slow": "average", "first": "average", "copied": "average.statistics"}
    for name, cause in named.items():
        for one, other in (("kept", name), (name, "kept")):
            assert [each.name for each in isotune.investigate(sides[one], sides[other]).causes] == [cause], (one, other)
    assert isotune.investigate(sides["kept"], sides["kept"]).same


def test_which_weights_are_evaluated_is_not_claimed(tmp_path) -> None:
    found = held(plain(average=KEPT), recipe(average=KEPT), tmp_path)
    assert "which weights the loop evaluates" in found.verdict


def test_an_average_in_torch_is_watched(tmp_path) -> None:
    torch = pytest.importorskip("torch")
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(12, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 5))
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, weight_decay=0.01)
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    with isotune.watch(net, optimizer, tmp_path / "torch", steps=range(3)) as watching:
        watching.average(average)
        for _ in range(3):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(net(torch.randn(8, 12)), labels := torch.randint(5, (8,)))
            watching.loss(loss, labels).backward()
            optimizer.step()
            average.update_parameters(net)
    recording = isotune.recordings.Recording(tmp_path / "torch")
    assert sorted(recording.steps) == [0, 1, 2]
    said = {"start": "first", "statistics": "copied"}
    sound = isotune.investigate(recording, recipe(average={"decay": 0.9} | said))
    assert not any(cause.name.startswith("average") for cause in sound.causes), sound.verdict
    found = isotune.investigate(recording, recipe(average={"decay": 0.9, "start": "initial", "statistics": "averaged"}))
    named = {(cause.name, cause.left) for cause in found.causes if cause.name.startswith("average")}
    assert named == {("average.start", "first"), ("average.statistics", "copied")}


# -- two protocols

RECIPES: dict[str, tuple[dict[str, Any], str, tuple[Any, Any], str]] = {
    "partner": ({"augmentation": {"mixing": Mixing(mixup=1.0, partner="rolled")}}, "augmentation.mixing.partner",
                ("reversed", "rolled"), "turned by one (torchvision)"),
    "per": ({"augmentation": {"mixing": Mixing(mixup=1.0, per="pair")}}, "augmentation.mixing.per", ("batch", "pair"),
            "one share a pair (timm's mode pair)"),
    "law": ({"augmentation": {"mixing": Mixing(mixup=0.2)}}, "augmentation.mixing.mixup", (1.0, 0.2), "0.2"),
    "start": ({"average": {"decay": 0.9, "start": "first"}}, "average.start", ("initial", "first"), "Keras's use_ema"),
    "statistics": ({"average": {"decay": 0.9, "statistics": "copied"}}, "average.statistics", ("averaged", "copied"),
                   "torch's AveragedModel by default"),
    "warm-up": ({"average": {"decay": 0.9, "warmup": "power"}}, "average.warmup", ("none", "power"), "use_warmup"),
    "every": ({"average": {"decay": 0.9, "every": 32}}, "average.every", (1, 32), "torchvision's references"),
    "rate": ({"schedule": WARM | {"start": 0.0}}, "stage.1.schedule.start", ("none", 0.0), "Keras's CosineDecay"),
    "inside": ({"schedule": WARM | {"warmup_counts": True}}, "stage.1.schedule.warmup_counts", (False, True),
               "timm without warmup_prefix"),
    "layers": ({"layer_decay": 0.7}, "stage.1.layer_decay", ("none", 0.7), "timm's layer_decay"),
    "no average": ({"average": None}, "average", (KEPT.model_dump(), "none"), "none"),
    "fill": ({"augmentation": {"mixing": MIXUP, "random_erasing": {"fill": "noise"}}},
             "augmentation.random_erasing", ("none", {}), "fill = noise"),
}  # fmt: skip


def whole(**changed: Any) -> Protocol:
    said = {"schedule": WARM, "average": {"decay": 0.9}, "augmentation": {"mixing": MIXUP}}
    return recipe(**said | changed)


@pytest.mark.parametrize("case", RECIPES)
def test_two_recipes_are_told_apart_by_the_form(case: str) -> None:
    changed, field, values, said = RECIPES[case]
    found = isotune.investigate(whole(), whole(**changed))
    (cause,) = found.causes
    assert cause.name == field
    assert (cause.left, cause.right) == values or cause.left == values[0] == "none"
    assert said in found.verdict
    assert not found.same


def test_forms_come_before_numbers_and_one_recipe_is_one() -> None:
    changed = whole(schedule=WARM | {"learning_rate": 0.2, "start": 0.0}, batch_size=16)
    found = isotune.investigate(whole(), changed)
    assert [cause.name for cause in found.causes] == [
        "stage.1.schedule.start", "stage.1.batch_size", "stage.1.schedule.learning_rate"
    ]  # fmt: skip
    again = whole().model_copy(update={"name": "another", "title": "As it is called"})
    same = isotune.investigate(whole(), again)
    assert same.same
    assert same.verdict == "mine and another are one recipe: they differ in nothing that a run depends on."


def test_policies_and_optimizers_of_two_kinds_are_told_apart_by_name() -> None:
    one = recipe(augmentation={"policy": [{"name": "rand-augment"}]})
    other = recipe(augmentation={"policy": [{"name": "trivial-augment"}]}, optimizer={"name": "adamw"})
    found = isotune.investigate(one, other)
    assert [(cause.name, cause.left, cause.right) for cause in found.causes] == [
        ("augmentation.policy.1.name", "rand-augment", "trivial-augment"),
        ("stage.1.optimizer.weight_decay", 0.01, 0.0), ("stage.1.optimizer.name", "sgd", "adamw"),
    ]  # fmt: skip


def test_the_command_line_compares_two_protocols(here, tmp_path) -> None:
    status, out, _ = here(
        "investigate", "protocol:bit-hyperrule", "protocol:bit-hyperrule-short", "--out", str(tmp_path / "out")
    )
    assert status == 1
    assert "bit-hyperrule and bit-hyperrule-short differ: " in out
    assert list((tmp_path / "out").glob("*.md"))
    status, _, err = here("investigate", "protocol:quick", "timm:mobilenetv2_100")
    assert (status, "a protocol is compared with a recording or another protocol" in err) == (2, True)


def test_every_declared_form_is_a_field_of_a_protocol_with_these_values() -> None:
    parts = protocols.Protocol.model_json_schema()["$defs"]
    owners = {"average": "Averaging", "schedule": "Schedule", "stage": "Stage", "mixing": "Mixing",
              "random_erasing": "RandomErasing", "stochastic_depth": "StochasticDepth"}  # fmt: skip
    for field, values in protocols.forms.FORMS.items():
        *_, part, name = field.split(".")
        if part != "policy":  # of several kinds
            known = parts[owners[part]]["properties"][name]
            assert "enum" not in known or set(known["enum"]) == set(values), field
