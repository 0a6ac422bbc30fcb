"""Two libraries are one function, and train as one: `isotune parity` on real models, and what it does with wrong use.

Deliberate faults are in test_parity_mutations.py; reports/parity.md holds every rung of every architecture.
"""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest

from isotune import parity
from isotune.errors import UsageError
from isotune.parity import Rung, _proof_inputs

pytest.importorskip("timm", reason="needs the extra torch")
if find_spec("keras") is None:  # to import it would take TensorFlow into this process
    pytest.skip("needs the extra keras", allow_module_level=True)

pytestmark = pytest.mark.usefixtures("warm")
SMALLEST = ("keras:MobileNet:alpha=0.25", "timm:mobilenetv1_100:channel_multiplier=0.25")
WHOLE = (  # every rung; the others of test_every_architecture have one
    SMALLEST,
    pytest.param("keras:MobileNetV2:alpha=0.35", "torchvision:mobilenet_v2:width_mult=0.35", marks=pytest.mark.slow),
    pytest.param("keras:MobileNetV3Small", "timm:tf_mobilenetv3_small_100", marks=pytest.mark.slow),
    pytest.param("keras:EfficientNetB0", "timm:tf_efficientnet_b0", marks=pytest.mark.slow),
)


def proved(house, *pairs: tuple[str, str], only=(), **asked) -> list[parity.Result]:
    families = [parity.Family(left, left, (right,)) for left, right in pairs]
    questions = [parity.questions(family, size=asked.get("size", (33, 45)), **asked) for family in families]
    return parity.answer(questions, parity.ResultStore(house / "store"), only=only)


@pytest.mark.parametrize(("left", "right"), WHOLE)
def test_small_architectures_hold_on_every_rung(house, left, right):
    (result,) = proved(house, (left, right))
    assert result.error is None, result.error
    assert result.first_failure is None, (result.question, result.first_failure)
    assert len(result.rungs) == sum(map(len, _proof_inputs.STAGES.values())) + len(_proof_inputs.ALONE)
    assert min(rung.tensors for rung in result.rungs) >= 1
    first = [rung for rung in result.rungs if rung.name.endswith(("features", "loss", "gradients", "1 step"))]
    assert all(rung.error < 1e-9 for rung in first), "noise is no excuse before there is any"


KERAS = parity.families(["keras", "timm", "torchvision"])
FAMILIES = [family for family in KERAS if family.others]
FAST = {  # of every kind of layer and connection the smallest network that has it; more is in WHOLE
    "convnext_tiny": "LayerNorm, GELU",
    "densenet121": "concatenation",
    "tf_efficientnetv2_b0": "squeeze and excitation, blocks without a depthwise convolution",
    "mobilenet_v3_small": "hard swish",
    "xception": "separable convolutions, norms before additions",
}


def test_every_architecture_of_keras_but_one_has_a_counterpart():
    assert [family.first for family in KERAS if not family.others] == ["keras:NASNetMobile"]
    assert len(FAMILIES) == 39


def is_one_function(house, family):
    """Features and layers of the first and of its first counterpart; in float64, odd and oblong images."""
    asked = [parity.questions(family)[:1]]
    (result,) = parity.answer(asked, parity.ResultStore(house / "store"), only=["inference"])
    assert result.error is None, (result.question, result.error)
    assert result.first_failure is None, (result.question, result.first_failure)
    assert [rung.name for rung in result.rungs] == ["features", "layers", "alone, left", "alone, right"]
    assert result.rungs[1].tensors > 10, "hardly any layer was compared"


@pytest.mark.slow
@pytest.mark.parametrize("family", [pytest.param(family, id=family.architecture) for family in FAMILIES])
def test_every_architecture_is_one_function(house, family):
    is_one_function(house, family)


@pytest.mark.parametrize("architecture", FAST)
def test_every_kind_of_layer_is_one_function(house, architecture):
    """On torch, which compiles nothing: TensorFlow has the architectures above."""
    (family,) = (family for family in FAMILIES if family.architecture == architecture)
    is_one_function(house, replace(family, first=family.first.replace("keras:", "keras@torch:")))


KERAS_LIKE = (
    "identical,stride2_padding=same,count_include_pad=false,max_pool_padding=zeros,batchnorm_epsilon=1.001e-5,"
    "batchnorm_running_variance=biased,hyperparameters=float32,momentum_form=rate-inside"
)


@pytest.mark.parametrize(
    ("left", "right", "spec"),
    [
        ("torchvision:mobilenet_v2:width_mult=0.35", "keras:MobileNetV2:alpha=0.35", KERAS_LIKE),
        pytest.param(
            "keras:MobileNetV2:alpha=0.35",
            "timm:mobilenetv2_100:channel_multiplier=0.35",
            "native",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_keras_conventions_are_realised_by_the_other_libraries(house, left, right, spec):
    (result,) = proved(house, (left, right), spec=spec, only=["inference", "gradients", "nesterov"])
    assert result.holds, result


@pytest.mark.parametrize(
    ("left", "right", "location"),
    [  # on torch, which compiles nothing
        ("keras@torch:ResNet50V2", "timm:resnetv2_50", "last-block"),
        ("keras@torch:ResNet50", "torchvision:resnet50", "first-1x1"),
    ],
)
def test_each_library_strides_where_keras_does(house, left, right, location):
    (result,) = proved(house, (left, right), spec=f"identical,stride_location={location}", only=["inference"])
    assert result.holds, result


def test_in_float32_a_float64_run_is_the_referee(house):
    left, right = SMALLEST
    (result,) = proved(house, (left.replace("keras:", "keras@torch:"), right), numeric_mode="float32")
    assert result.holds, result
    assert {rung.name for rung in result.rungs} == {"features", "layers", "loss", "smoothed loss"}
    features = result.rungs[0]
    assert 1e-9 < features.error < 1e-4, "it was not float32"
    assert features.bound == 4 * features.noise


def test_a_result_is_kept_and_not_proved_again(house):
    pair = ("torchvision:mobilenet_v2:width_mult=0.25", "timm:mobilenetv2_100:channel_multiplier=0.25")
    first = proved(house, pair, only=["inference"])
    assert proved(house, pair, only=["inference"]) == first
    (more,) = proved(house, pair, only=["gradients"])
    assert more.stages == ("inference", "gradients")
    assert more.finished is None


def test_a_side_that_cannot_run_leaves_the_others(house):
    family = parity.Family(
        "mobilenet_v2",
        "torchvision:mobilenet_v2:width_mult=0.25",
        ("timm:mobilenetv2_100:channel_multiplier=0.5", "timm:mobilenetv2_100:channel_multiplier=0.25"),
    )
    questions = parity.questions(family, size=(33, 45))
    wrong, right = parity.answer([questions], parity.ResultStore(house / "store"), only=["inference"])
    assert "tensor" in wrong.error
    assert right.error is None
    assert right.holds


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("keras:MobileNetV2",), "give two models"),
        (("keras:MobileNetV2", "timm:resnet50"), "timm:resnet50 = torchvision:resnet50"),
        (("keras:MobileNetV2", "keras:MobileNetV2"), "no pair"),
        (("keras:MobileNetV2", "timm:mobilnetv2_100"), "did you mean 'mobilenetv2_1"),
        (("--all", "--architecture", "mobilenet_v9"), "did you mean"),
        (("keras:MobileNetV2", "timm:mobilenetv2_100", "--size", "big"), "HEIGHTxWIDTH"),
        (("keras:MobileNetV2", "timm:mobilenetv2_100", "--only", "sdg"), "did you mean 'sgd'"),
        (("keras:MobileNetV2", "timm:mobilenetv2_100", "--checkpoint", "random:x"), "random needs a seed"),
        (("keras:MobileNetV2", "timm:mobilenetv2_100", "--numeric-mode", "float16"), "float"),
        (("keras:MobileNetV2", "timm:mobilenetv2_100", "--conventions", "natve"), "did you mean 'native'"),
    ],
)
def test_wrong_use_is_one_line_and_status_2(here, arguments, said):
    status, out, err = here("parity", *arguments)
    assert (status, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_json_and_the_report_say_what_was_found(here, house):
    given = ["torchvision:mobilenet_v2:width_mult=0.25", "timm:mobilenetv2_100:channel_multiplier=0.25"]
    status, out, err = here("parity", *given, "--size", "33x45", "--only", "inference", "--json", "--out", "here")
    assert status == 0, err
    (result,) = json.loads(out)["results"]
    assert result["holds"] is True
    text = (house / "here/parity.md").read_text()
    assert "under one set of conventions (the checkpoint's)" in text
    assert f"{given[0]} = {given[1]}" in text
    assert json.loads((house / "here/parity.json").read_text())["results"][0]["rungs"] == result["rungs"]


# -- judging


def test_a_rung_holds_up_to_its_bound():
    assert Rung(name="loss", error=1e-9, where="", tensors=1, bound=1e-9).holds
    assert not Rung(name="loss", error=float("inf"), where="", tensors=1, bound=1e-9).holds


@pytest.mark.parametrize("text", ["0", "x", "3x", "-3", "32x32x3", "1e3"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="HEIGHTxWIDTH"):
        parity.parse_size(text)
