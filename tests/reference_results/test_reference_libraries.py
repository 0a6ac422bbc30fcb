"""Published numbers against the installed libraries: each row that a library can confirm."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from isotune.reference_results import Reference, against_torchvision, installed_torchvision, references

TORCHVISION = references(adapter="torchvision", measured_by="torchvision")
TIMM = references(file="imagenet.csv", adapter="timm", metric="top-1")


def test_every_torchvision_row_is_what_the_package_says() -> None:
    models = pytest.importorskip("torchvision").models
    seen = set()
    for row in TORCHVISION:
        weights = models.get_model_weights(row.model)[row.checkpoint]
        evaluation = weights.transforms()
        accuracy = weights.meta["_metrics"]["ImageNet-1K"][{"top-1": "acc@1", "top-5": "acc@5"}[row.metric]]
        assert row.value == accuracy, (row.name, row.checkpoint, row.metric)
        assert row.crop
        assert [row.size_px] == evaluation.crop_size
        assert [round(row.size_px / row.crop)] == evaluation.resize_size
        assert row.interpolation == evaluation.interpolation.value
        assert row.resize == "shorter-side"
        assert row.default == (weights is models.get_model_weights(row.model).DEFAULT)
        seen.add((row.model, row.checkpoint, row.metric))
    for model in models.list_models(module=models):
        for weights in models.get_model_weights(model):
            accuracies = weights.meta["_metrics"]["ImageNet-1K"]
            for metric, key in (("top-1", "acc@1"), ("top-5", "acc@5")):
                published = accuracies[key] is not None and not math.isnan(accuracies[key])
                assert ((model, weights.name, metric) in seen) == published


def test_every_timm_row_is_evaluated_as_the_packages_configuration_says() -> None:
    get = pytest.importorskip("timm.models").get_pretrained_cfg
    assert len(TIMM) == 1556
    for row in TIMM:
        config = get(f"{row.model}.{row.checkpoint}")
        usual = (config.input_size[-1], config.crop_pct)
        test = (config.test_input_size or config.input_size)[-1], config.test_crop_pct or config.crop_pct
        assert any(row.size_px == size and row.crop == pytest.approx(crop, abs=6e-4) for size, crop in (usual, test))
        assert row.interpolation == config.interpolation
        assert row.resize == {"center": "shorter-side", "squash": "squash"}[config.crop_mode]


def test_the_variants_are_measured_as_the_same_checkpoint_on_imagenet_is() -> None:
    usual = {(row.model, row.checkpoint, row.size_px): row for row in TIMM}
    for row in references(file="imagenet_variants.csv"):
        same = usual[row.model, row.checkpoint, row.size_px]
        assert (row.crop, row.resize, row.interpolation) == (same.crop, same.resize, same.interpolation)
        assert row.architecture == same.architecture


def test_architectures_and_defaults_are_isotunes_own() -> None:
    pytest.importorskip("torchvision")
    pytest.importorskip("timm")
    from isotune.adapters.timm import TimmAdapter
    from isotune.adapters.torchvision import TorchvisionAdapter

    for adapter in (TimmAdapter(), TorchvisionAdapter()):
        listed = {info.name: info for info in adapter.models()}
        for row in references(file="imagenet.csv", adapter=adapter.name):
            info = listed[row.model]
            assert row.architecture == info.architecture, row.name
            assert row.checkpoint in info.checkpoints
            assert row.default == (row.checkpoint == info.checkpoints[0]), (row.name, row.checkpoint)


def test_kerass_models_have_the_names_and_architectures_of_its_applications() -> None:
    from isotune.adapters._keras.applications import APPLICATIONS

    for row in references(adapter="keras"):
        name, _, options = row.model.partition(":")
        assert name in APPLICATIONS
        if not options:
            assert row.architecture == APPLICATIONS[name].architecture
    for model in ("ResNet50V2", "ResNet101V2", "ResNet152V2"):
        assert APPLICATIONS[model].size == 224, "documented at 299 pixels"


def test_kerass_docstring_of_mobilenet_v3_has_these_numbers() -> None:
    if (keras := find_spec("keras")) is None or not keras.origin:
        pytest.skip("keras is not installed")
    source = Path(keras.origin).parent / "src/applications/mobilenet_v3.py"
    table = re.findall(
        r"mobilenet_v3_(large|small)(_minimalistic)?_([\d.]+)_224 *\| *\d+ *\| *[\d.]+ *\| *([\d.]+)",
        source.read_text(encoding="utf-8"),
    )
    documented = {
        ":".join(
            [f"MobileNetV3{size.capitalize()}"]
            + ([] if float(alpha) == 1 else [f"alpha={float(alpha):g}"])
            + (["minimalistic=true"] if minimal else [])
        ): float(top1)
        for size, minimal, alpha, top1 in table
    }
    assert len(documented) == 6
    assert {row.model: row.value for row in references(source="keras-3.15")} == documented


@pytest.fixture(scope="module")
def facts() -> dict:
    pytest.importorskip("torchvision")
    installed = installed_torchvision()
    assert installed is not None
    return installed


def test_the_doctor_finds_no_difference_from_the_installed_torchvision(facts: dict) -> None:
    assert against_torchvision(TORCHVISION, facts) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"value": 56.523}, "alexnet IMAGENET1K_V1: top-1 56.523 against 56.522 in torchvision"),
        ({"size_px": 256}, "alexnet IMAGENET1K_V1: size 256 against 224 in torchvision"),
        ({"crop": 0.95}, "alexnet IMAGENET1K_V1: crop 0.95 against 0.875 in torchvision"),
        ({"interpolation": "bicubic"}, "alexnet IMAGENET1K_V1: interpolation bicubic against bilinear in torchvision"),
        ({"checkpoint": "V9"}, "has no alexnet V9"),
    ],
)
def test_a_row_that_the_package_contradicts_is_named(facts: dict, change: dict, problem: str) -> None:
    first, *rest = TORCHVISION
    assert (first.model, first.metric) == ("alexnet", "top-1")
    changed: Reference = replace(first, **change)
    assert any(problem in line for line in against_torchvision([changed, *rest], facts))


def test_a_checkpoint_without_a_row_is_named(facts: dict) -> None:
    (problem,) = against_torchvision(TORCHVISION[1:], facts)
    assert "publishes top-1 of alexnet IMAGENET1K_V1, which has no row" in problem


def test_without_torchvision_nothing_is_compared(monkeypatch) -> None:
    from isotune.reference_results import _installed

    monkeypatch.setattr(_installed, "find_spec", lambda name: None)
    assert installed_torchvision() is None
