"""What stands beside a checkpoint's file: names of its tensors, and the input of its evaluation."""

from __future__ import annotations

import json

import pytest

from isotune.errors import UsageError
from isotune.models import beside, contents

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
TIMM = {"architecture": "resnet18", "num_classes": 2, "pretrained_cfg": {"input_size": [3, 288, 288], "crop_pct": 0.95,
        "interpolation": "bicubic", "crop_mode": "center", **IMAGENET}}  # fmt: skip
VIT = {"do_normalize": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
       "resample": 2, "rescale_factor": 0.00392156862745098, "size": {"height": 224, "width": 224}}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights")
    return path


def write(file, name: str, content: object) -> None:
    (file.parent / name).write_text(json.dumps(content))


def said(file) -> tuple:
    about = beside.evaluation(file)
    return about.scaling, about.size, about.resize, about.interpolation, about.unlike


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        ("config.json", TIMM, ("mean-std", 288, 0.95, "bicubic", "")),
        ("config.json", TIMM["pretrained_cfg"], ("mean-std", 288, 0.95, "bicubic", "")),
        ("config.json", {**TIMM["pretrained_cfg"], "crop_mode": "squash", "crop_pct": 1.0},
         ("mean-std", 288, "squash", "bicubic", "")),
        ("config.json", {**TIMM["pretrained_cfg"], "crop_mode": "border"},
         ("mean-std", 288, 0.95, "bicubic", "crop_mode 'border'")),
        ("config.json", {"mean": 0, "std": 1}, ("unit", None, "squash", "bicubic", "")),
        ("preprocessor_config.json", VIT, ("minus-one-to-one", 224, "squash", "bilinear", "")),
        ("preprocessor_config.json", {**VIT, "do_normalize": False}, ("unit", 224, "squash", "bilinear", "")),
        ("preprocessor_config.json", {**VIT, "do_normalize": False, "do_rescale": False},
         ("none", 224, "squash", "bilinear", "")),
        ("preprocessor_config.json", {**VIT, "rescale_factor": 1 / 127.5, "image_mean": 1, "image_std": 1},
         ("minus-one-to-one", 224, "squash", "bilinear", "")),
        ("preprocessor_config.json", {**VIT, "size": {"shortest_edge": 256}, "do_center_crop": True, "resample": 3,
         "crop_size": {"height": 224, "width": 224}}, ("minus-one-to-one", 224, 256, "bicubic", "")),
        ("preprocessor_config.json", {**VIT, "size": 224, "crop_pct": 0.875},
         ("minus-one-to-one", 224, 256, "bilinear", "")),
        ("preprocessor_config.json", {**VIT, "size": {"shortest_edge": 384}, "crop_pct": 0.875},
         ("minus-one-to-one", 384, "squash", "bilinear", "")),
        ("preprocessor_config.json", {**VIT, "size": {"shortest_edge": 384}},
         ("minus-one-to-one", 384, "squash", "bilinear", "an oblong input")),
        ("preprocessor_config.json", {**VIT, "size": {"height": 224, "width": 192}},
         ("minus-one-to-one", 224, "squash", "bilinear", "an oblong input")),
    ],
)  # fmt: skip
def test_what_the_hubs_files_say_is_read(file, name, config, expected):
    write(file, name, config)
    assert said(file) == expected
    assert contents.beside_digest(f"file:{file}")


def test_a_scaling_of_ones_own_is_the_axis_value_with_its_numbers(file):
    write(file, "config.json", {"mean": [0.4914, 0.4822, 0.4465], "std": [0.247, 0.2435, 0.2616]})
    assert said(file)[0] == "mean-std(0.4914,0.4822,0.4465;0.247,0.2435,0.2616)"


def test_what_says_nothing_of_images_is_nothing(file):
    assert (beside.evaluation(file), beside.names(file), beside.files(file)) == (None, None, {})
    write(file, "config.json", {"id2label": {"0": "cat"}, "architectures": ["X"]})
    assert beside.evaluation(file) is None
    assert contents.beside_digest(f"file:{file}") is None
    assert contents.beside_digest("offline") is None


def test_two_files_that_say_different_scalings_are_refused(file):
    write(file, "config.json", TIMM)
    write(file, "preprocessor_config.json", VIT)
    with pytest.raises(UsageError, match=r"scaled by minus-one-to-one, and config.json by mean-std; remove one"):
        beside.evaluation(file)
    write(file, "preprocessor_config.json", {**VIT, "image_mean": IMAGENET["mean"], "image_std": IMAGENET["std"]})
    assert said(file)[1] == 224, "Hugging Face's goes before timm's"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", {"mean": "dark", "std": 1}),
        ("config.json", {"mean": [0.1, 0.2], "std": 1}),
        ("config.json", {"mean": 0, "std": [0.1, 0.0, 0.1]}),
        ("config.json", {"input_size": [3, 224], "mean": 0, "std": 1}),
        ("config.json", {"input_size": [3, 224, 224], "crop_pct": 12}),
        ("preprocessor_config.json", {**VIT, "rescale_factor": -1}),
        ("model.safetensors.names.json", {"a": 1}),
        ("model.safetensors.names.json", []),
        ("model.safetensors.names.json", "backwards"),
    ],
)
def test_what_is_said_wrongly_is_refused_in_one_line(file, name, content):
    write(file, name, content)
    with pytest.raises(UsageError) as caught:
        contents.beside_digest(f"file:{file}")
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_and_scaling_decide_a_cell_and_its_size_does_not(file):
    """Size and crop are in the protocol that a cell has."""
    write(file, "config.json", TIMM)
    first = contents.beside_digest(f"file:{file}::timm:resnet18")
    write(file, "config.json", {"pretrained_cfg": {**TIMM["pretrained_cfg"], "crop_pct": 1.0}})
    assert contents.beside_digest(f"file:{file}") == first
    write(file, "config.json", {"pretrained_cfg": {**TIMM["pretrained_cfg"], "mean": [0.5, 0.5, 0.5]}})
    second = contents.beside_digest(f"file:{file}")
    write(file, "model.safetensors.names.json", {"a": "b"})
    third = contents.beside_digest(f"file:{file}")
    write(file, "model.safetensors.names.json", "in order")
    assert len({first, second, third, contents.beside_digest(f"file:{file}")}) == 4
    assert set(beside.files(file)) == {"config.json", "model.safetensors.names.json"}
