"""Which published numbers match a cell, and in what the others deviate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune import protocols
from isotune.errors import UsageError
from isotune.reference_results import Conditions, Near, Reference, conditions, deviations, matching, references
from isotune.runs.records import Cell
from isotune.seeds import Seeds


def cell(model: str, checkpoint: str, dataset: str, recipe: str | protocols.Protocol, **rest: Any) -> Cell:
    loaded = protocols.load(recipe) if isinstance(recipe, str) else recipe
    return Cell(
        model=model, checkpoint=checkpoint, dataset=dataset, dataset_digest="0" * 64, protocol=loaded,
        seeds=Seeds.all(0), **rest,
    )  # fmt: skip


TUTORIAL = cell("torchvision:resnet18", "pretrained", "imagefolder:/data/hymenoptera_data", "pytorch-tutorial")
ZERO_SHOT = Conditions(
    adapter="timm", model="resnet50", checkpoint="a1_in1k", architecture="resnet50", dataset="imagenet", split="val",
    train="", protocol="own-classifier", size_px=224, crop=0.95, resize="shorter-side", interpolation="bicubic",
)  # fmt: skip


def said(near: Near) -> set[str]:
    return {str(deviation) for deviation in near.deviations}


def nearest(asked: Cell | Conditions, **stated: Any) -> dict[float, set[str]]:
    return {each.reference.value: said(each) for each in matching(asked, **stated).near}


def test_the_tutorials_last_epochs_match_its_protocol_and_its_best_ones_do_not() -> None:
    matches = matching(TUTORIAL)
    assert [row.value for row in matches.exact] == [92.16, 93.46, 94.77, 90.2]
    assert {row.trust for row in matches.exact[:2]} == {"high"}, "the most trusted first"
    best = [each for each in matches.near if each.reference.protocol == "pytorch-tutorial"]
    assert len(best) == 5
    assert all(said(each) == {"epoch reported last against best"} for each in best)
    frozen = [each for each in matches.near if each.reference.protocol == "pytorch-tutorial-frozen"]
    assert all("protocol pytorch-tutorial against pytorch-tutorial-frozen" in said(each) for each in frozen)


SELECTIONS = {
    "last": None,
    "best held out": protocols.Selection(held_out=0.1, every="epoch", reports="best"),
    "best": protocols.Selection(every="epoch", reports="best-on-test"),
    "mean of last 3": protocols.Selection(every="epoch", reports="mean-of-last", last=3),
}


@pytest.mark.parametrize("ours", SELECTIONS)
def test_a_number_of_the_tables_is_held_against_that_of_its_name_alone(ours: str) -> None:
    """Of every published name against every measured one, and of every metric."""
    recipe = TUTORIAL.protocol.model_copy(update={"selection": SELECTIONS[ours]})
    asked = replace(conditions(TUTORIAL.model_copy(update={"protocol": recipe})), changes=())
    (row,) = [each for each in matching(TUTORIAL).exact if each.value == 92.16]
    for theirs in ("", "last", "best", "best of 25", "best held out", "mean of last 2", "mean of last 3", "epoch 25"):
        for metric in ("top-1", "top-5", "mean-per-class"):
            same = (theirs, metric) == (ours, "top-1")
            assert bool(deviations(replace(row, selection=theirs, metric=metric), asked)) != same, (theirs, metric)


@pytest.mark.parametrize(
    ("changed", "deviation"),
    [
        ({"conventions": "native,resize=plain"}, "conventions native,resize=plain against the library's own"),
        ({"numeric_mode": "bfloat16"}, "numeric mode bfloat16 against float32"),
        ({"checkpoint": "random:0"}, "checkpoint random:0 against IMAGENET1K_V1"),
        ({"model": "torchvision:resnet18:zero_init_residual=true"}, None),
    ],
)
def test_one_change_of_a_cell_is_one_named_deviation(changed: dict[str, str], deviation: str | None) -> None:
    matches = matching(TUTORIAL.model_copy(update=changed))
    assert matches.exact == []
    if deviation:
        assert {deviation} in [said(each) for each in matches.near]


@pytest.mark.parametrize("conventions", ["native", "identical"])
def test_the_librarys_and_the_checkpoints_conventions_are_no_deviation(conventions: str) -> None:
    assert len(matching(TUTORIAL.model_copy(update={"conventions": conventions})).exact) == 4


def test_a_changed_protocol_of_the_same_name_is_told_apart() -> None:
    recipe = TUTORIAL.protocol
    stage = recipe.stage[0]
    other = recipe.model_copy(
        update={
            "stage": (
                stage.model_copy(
                    update={"epochs": 20, "schedule": stage.schedule.model_copy(update={"learning_rate": 0.01})}
                ),
            ),
            "images": recipe.images.model_copy(update={"train": 200, "test": 100}),
            "input": recipe.input.model_copy(update={"size": 160, "resize": 160, "interpolation": "bicubic"}),
        }
    )
    matches = matching(TUTORIAL.model_copy(update={"protocol": other}))
    assert matches.exact == []
    (one,) = [each for each in matches.near if each.reference.value == 92.16]
    assert said(one) == {
        "protocol changed: stage.1.epochs 20 against 25",
        "protocol changed: stage.1.schedule.learning_rate 0.01 against 0.001",
        "training images 200 against all",
        "test images 100 against all",
        "size 160 against 224",
        "crop 1 against 0.875",
        "interpolation bicubic against bilinear",
    }


def test_what_isotunes_protocol_does_otherwise_than_its_source_keeps_a_number_near() -> None:
    matches = matching(cell("torchvision:mobilenet_v2", "IMAGENET1K_V1", "cifar10", "sfda"))
    assert matches.exact == []
    first = matches.near[0]
    assert first.reference.value == 94.74
    grid, dropout = [each for each in first.deviations if each.what == "isotune's protocol"]
    assert "a grid of 4 learning rates" in grid.here
    assert "no dropout before the classifier" in dropout.here


def test_another_metric_is_named_once() -> None:
    near = nearest(cell("torchvision:mobilenet_v2", "IMAGENET1K_V1", "oxford-pets", "sfda"))
    assert "metric top-1 against mean-per-class" in near[91.28]
    assert not any("mean per class" in line for line in near[91.28]), "the protocol's own remark is accounted for"


def test_an_own_classifier_matches_as_it_was_published() -> None:
    assert [row.value for row in matching(ZERO_SHOT).exact] == [80.382]
    assert nearest(ZERO_SHOT, crop=0.875)[80.382] == {"crop 0.875 against 0.95"}
    assert nearest(ZERO_SHOT, size_px=160)[80.382] == {"size 160 against 224"}
    assert [row.value for row in matching(ZERO_SHOT, size_px=288, crop=1.0).exact] == [81.24]


@pytest.mark.parametrize("resized", [231, 232, 233])
def test_a_crop_matches_when_the_resized_side_is_the_same(resized: int) -> None:
    """timm publishes 0.965 where 224 is cut from 232; 224/232 is 0.96552."""
    (row,) = references(model="resnet50", checkpoint="tv2_in1k", metric="top-1", dataset="imagenet", size_px=224)
    assert row.crop == 0.965
    here = ZERO_SHOT_OF(row, crop=224 / resized)
    assert bool(deviations(row, here)) == (resized != 232)


def ZERO_SHOT_OF(row: Reference, **stated: Any) -> Conditions:  # noqa: N802
    """The conditions that an own classifier's number was published under."""
    return Conditions(
        **{name: getattr(row, name) for name in ("adapter", "model", "checkpoint", "architecture", "dataset", "split",
                                                 "train", "protocol", "size_px", "crop", "resize", "interpolation",
                                                 "metric")} | stated
    )  # fmt: skip


@pytest.mark.parametrize("metric", ["top-1", "top-5"])
def test_every_fully_stated_number_matches_its_own_conditions(metric: str) -> None:
    rows = [row for row in references(file="imagenet.csv", metric=metric) if row.adapter != "keras"]
    assert len(rows) > 1600
    assert all(deviations(row, ZERO_SHOT_OF(row)) == () for row in rows)
    for row in rows[::97]:
        assert row in matching(ZERO_SHOT_OF(row)).exact


@given(st.sampled_from(references(protocol="own-classifier")), st.data())
def test_each_stated_condition_that_differs_is_a_deviation(row: Reference, data: st.DataObject) -> None:
    """And no other: what the source leaves open is named as such, whatever the cell's."""
    changes = {
        "checkpoint": "other", "split": "other", "size_px": 100, "crop": 0.5, "resize": "border", "metric": "other",
        "interpolation": "lanczos",
    }  # fmt: skip
    name = data.draw(st.sampled_from(sorted(changes)))
    before, after = (
        {each.what for each in deviations(row, here)}
        for here in (ZERO_SHOT_OF(row), ZERO_SHOT_OF(row, **{name: changes[name]}))
    )
    stated = getattr(row, name) not in (None, "")
    assert after - before == ({name.removesuffix("_px")} if stated else set()) | (
        {"crop"} if name == "size_px" and row.crop not in (None, 1.0) and row.size_px is None else set()
    )


def test_what_the_source_does_not_state_is_a_deviation() -> None:
    keras = ZERO_SHOT_OF(references(adapter="keras", model="ResNet50", measured_by="Keras", metric="top-1")[0])
    matches = matching(keras, size_px=224, crop=0.875, resize="shorter-side", interpolation="bilinear")
    assert matches.exact == []
    values = {each.reference.value: said(each) for each in matches.near if each.reference.name == "keras:ResNet50"}
    assert values[74.9] == {"not stated by the source: size, crop, resize, interpolation"}
    assert values[70.35] == {
        "crop 0.875 against 1", "resize shorter-side against squash", "interpolation bilinear against nearest",
    }  # fmt: skip
    positions = [each.reference.name == "keras:ResNet50" for each in matches.near]
    assert positions == sorted(positions, reverse=True), "the same weights come first"


def test_a_number_of_another_library_is_near() -> None:
    matches = matching(cell("timm:mobilenetv2_100", "pretrained", "cifar10", "sfda"))
    assert {each.reference.architecture for each in matches.near} == {"mobilenet_v2"}
    first = next(each for each in matches.near if each.reference.protocol == "sfda")
    assert {"library timm against torchvision", "checkpoint ra_in1k against IMAGENET1K_V1"} <= said(first)
    assert not any(each.what == "model" for each in first.deviations), "one architecture under two names"


def test_an_engine_that_the_numbers_do_not_come_from_is_a_deviation() -> None:
    dogs = cell("keras@jax:EfficientNetB0", "pretrained", "tfds:stanford_dogs", "fine-tune-sgd")
    assert all("engine jax against tensorflow" in said(each) for each in matching(dogs).near)
    usual = dogs.model_copy(update={"model": "keras@tensorflow:EfficientNetB0"})
    assert not any(each.what == "engine" for near in matching(usual).near for each in near.deviations)


def test_top5_is_no_context_for_an_accuracy() -> None:
    assert {each.reference.metric for each in matching(ZERO_SHOT).near} == {"top-1"}
    assert {row.metric for row in matching(ZERO_SHOT, metric="top-5").exact} == {"top-5"}


def test_where_no_number_of_the_architecture_exists_those_of_other_models_are_context() -> None:
    matches = matching(cell("timm:mobilenetv2_100", "pretrained", "fashion-mnist", "linear-probe"))
    assert len(matches.near) == 17
    assert all("model" in {each.what for each in near.deviations} for near in matches.near)
    unknown = matching(ZERO_SHOT, model="nobody", architecture="nobody")
    assert (unknown.exact, unknown.near) == ([], []), "but not all of ImageNet"
    trained = matching(ZERO_SHOT, model="nobody", architecture="nobody", train="all", protocol="own")
    assert all(each.reference.train for each in trained.near)


def test_a_data_set_that_nobody_published_on_has_no_numbers() -> None:
    matches = matching(cell("torchvision:mobilenet_v2", "offline", "digits", "quick"))
    assert (matches.exact, matches.near) == ([], [])


@pytest.mark.parametrize(
    ("dataset", "named", "split"),
    [
        ("imagenet:/data/val", "imagenet", "val"),
        ("imagenet", "imagenet", "val"),
        ("imagefolder:/a/b/hymenoptera_data", "hymenoptera", "val"),
        ("imagefolder:C:\\a\\cats_and_dogs_filtered", "cats-and-dogs-filtered", "val"),
        ("imagefolder:/a/cifar10", "imagefolder:/a/cifar10", None),
        ("torchvision:FGVCAircraft", "aircraft", "test"),
        ("tfds:cats_vs_dogs", "cats-vs-dogs", "20 %"),
        ("npz:x.npz", "npz:x.npz", None),
        ("digits", "digits", None),
    ],
)
def test_data_sets_have_the_tables_names(dataset: str, named: str, split: str | None) -> None:
    here = conditions(cell("torchvision:resnet18", "IMAGENET1K_V1", dataset, "linear-probe"))
    assert (here.dataset, here.split) == (named, split)


def test_the_caller_may_know_better() -> None:
    folder = cell("torchvision:resnet18", "pretrained", "imagefolder:/data/ants", "pytorch-tutorial")
    assert matching(folder).exact == []
    assert len(matching(folder, dataset="hymenoptera", split="val").exact) == 4
    with pytest.raises(UsageError, match="there is no condition 'data_set'; did you mean 'dataset'"):
        matching(folder, data_set="hymenoptera")


@pytest.mark.parametrize(
    ("model", "checkpoint"),
    [
        ("torchvision:resnet50", "IMAGENET1K_V2"),
        ("keras:ResNet50", "imagenet"),
        ("timm:mobilenetv2_100", "ra_in1k"),
        ("other:model", "pretrained"),
    ],
)
def test_pretrained_is_the_librarys_default_checkpoint(model: str, checkpoint: str) -> None:
    assert conditions(cell(model, "pretrained", "cifar10", "sfda")).checkpoint == checkpoint


def test_a_default_width_is_no_option() -> None:
    plain, same, other = (
        conditions(cell(f"keras:MobileNet{options}", "imagenet", "imagenet", "sfda"))
        for options in ("", ":alpha=1.0", ":alpha=0.25")
    )
    assert plain == same
    assert other.model == "MobileNet:alpha=0.25"
    assert other.architecture != plain.architecture
