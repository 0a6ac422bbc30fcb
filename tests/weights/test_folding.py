"""A checkpoint's tensors for a network that has more or fewer: the same function, or a refusal that says what fits."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.errors import UsageError, WeightsMismatch
from isotune.models import hints
from isotune.weights import HEAD, Layer, Weights, check_fit
from isotune.weights.folding import differences, fit

EPSILON = 1e-3
CONV, NORM = Layer("000.conv", "conv", 0, "stem"), Layer("001.norm", "norm", 0, "stem_bn", ("000.conv",))
LAYERS = [CONV, NORM, Layer(HEAD, "dense", -1, "fc", ("001.norm",))]
BASE = {
    "000.conv.kernel": (1, 1, 3, 4),
    "001.norm.shift": (4,),
    "001.norm.mean": (4,),
    "001.norm.variance": (4,),
}
FULL = BASE | {"000.conv.bias": (4,), "001.norm.scale": (4,)}
HEADS = {"head.kernel": (4, 5), "head.bias": (5,)}
PIXELS = np.random.default_rng(0).normal(size=(20, 3))
optional = st.sets(st.sampled_from(["000.conv.bias", "001.norm.scale"]))
dtypes = st.sampled_from([np.float32, np.float64])


def layout(*extra: str) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in FULL.items() if name in BASE or name in extra}


def drawn(shapes: dict[str, tuple[int, ...]], seed: int = 0, dtype: type = np.float64) -> Weights:
    """Of both signs and away from what is neutral, variances positive."""
    stream = np.random.default_rng(seed)
    made = {name: stream.uniform(0.2, 2.0, shape) * stream.choice([-1, 1], shape) for name, shape in shapes.items()}
    return Weights({k: (np.abs(a) if k.endswith("variance") else a).astype(dtype) for k, a in made.items()})


def convolved(tensors) -> np.ndarray:
    """The 1x1 convolution and its BatchNorm in inference mode, float64, on PIXELS: [20, 4]."""
    tensors = {name: array.astype(np.float64) for name, array in tensors.items()}
    mapped = PIXELS @ tensors["000.conv.kernel"][0, 0] + tensors.get("000.conv.bias", 0)
    normal = (mapped - tensors["001.norm.mean"]) / np.sqrt(tensors["001.norm.variance"] + EPSILON)
    return normal * tensors.get("001.norm.scale", 1) + tensors["001.norm.shift"]


@given(optional, optional, dtypes, st.integers(0, 10**6))
def test_whatever_either_side_lacks_the_function_stays(theirs, ours, dtype, seed):
    weights = drawn(layout(*theirs) | HEADS, seed, dtype)
    before = weights.digest()
    fitted = fit(weights, LAYERS, layout(*ours) | HEADS, "a:net")
    assert {name: array.shape for name, array in fitted.items()} == layout(*ours) | HEADS
    wanted = convolved(weights)
    bound = 1e-12 if dtype == np.float64 else 2e-6
    assert np.abs(convolved(fitted) - wanted).max() <= bound * np.abs(wanted).max()
    assert weights.digest() == before
    if not theirs - ours:  # nothing was folded: what was there is untouched
        assert all(fitted[name] is array for name, array in weights.items())
    assert all(fitted[name].dtype == dtype for name in weights if name in fitted)


def test_what_is_absent_is_neutral():
    fitted = fit(drawn(BASE), LAYERS, FULL, "a:net")
    np.testing.assert_array_equal(fitted["000.conv.bias"], np.zeros(4))
    np.testing.assert_array_equal(fitted["001.norm.scale"], np.ones(4))


def test_a_surplus_bias_goes_into_the_mean_and_a_surplus_scale_into_the_kernel_and_the_mean():
    weights = drawn(FULL)
    fitted = fit(weights, LAYERS, BASE, "a:net")
    kernel, bias, scale = (weights[name] for name in ("000.conv.kernel", "000.conv.bias", "001.norm.scale"))
    np.testing.assert_allclose(fitted["001.norm.mean"], (weights["001.norm.mean"] - bias) * scale, rtol=1e-15)
    np.testing.assert_allclose(fitted["000.conv.kernel"], kernel * scale, rtol=1e-15)
    for name in ("001.norm.shift", "001.norm.variance"):
        np.testing.assert_array_equal(fitted[name], weights[name])


def test_differences_names_what_one_side_has_and_the_other_lacks():
    assert differences(drawn(FULL), LAYERS, FULL) == {}
    assert differences(drawn(BASE), LAYERS, FULL) == {("000.conv", "bias"): False, ("001.norm", "scale"): False}
    assert differences(drawn(FULL), LAYERS, BASE) == {("000.conv", "bias"): True, ("001.norm", "scale"): True}
    assert differences({}, LAYERS, FULL) == {}  # a layer that is not there lacks no bias
    plain = [CONV, Layer("001.norm", "norm", 0, "a LayerNorm", ("000.conv",))]
    assert differences({"001.norm.shift": np.ones(4)}, plain, {"001.norm.scale": (4,), "001.norm.shift": (4,)}) == {}


def norm(name: str, *inputs: str) -> Layer:
    return Layer(name, "norm", 0, name, inputs)


@pytest.mark.parametrize(
    ("readers", "said"),
    [
        ([norm("001.norm", "000.conv"), norm("002.norm", "000.conv")], "no BatchNorm alone reads 000.conv"),
        ([norm("001.norm", "000.conv", "003.conv")], "no BatchNorm alone reads 000.conv"),  # of a concatenation
        ([Layer("002.conv", "conv", 0, "next", ("000.conv",))], "no BatchNorm alone reads 000.conv"),
        ([], "no BatchNorm alone reads 000.conv"),
    ],
)
def test_a_bias_that_no_single_norm_can_take_is_refused(readers, said):
    with pytest.raises(
        UsageError, match=rf"a:net: .*no place for 000\.conv\.bias.*{said}.*optional_tensors=checkpoint"
    ):
        fit(drawn(layout("000.conv.bias")), [CONV, *readers], BASE, "a:net")


@pytest.mark.parametrize(
    "layers",
    [
        [CONV, NORM, Layer("002.conv", "conv", 0, "shortcut", ("000.conv",))],  # another reads what the norm reads
        [CONV, norm("001.norm", "000.conv", "003.conv")],
        [CONV, norm("001.norm", "002.norm")],  # what feeds it has no kernel
        [CONV, norm("001.norm")],
    ],
)
def test_a_scale_that_no_single_convolution_can_take_is_refused(layers):
    with pytest.raises(
        UsageError, match=r"a:net: .*no place for 001\.norm\.scale.*no convolution feeds 001\.norm alone"
    ):
        fit(drawn(layout("001.norm.scale")), layers, BASE, "a:net")


def test_a_head_is_kept_where_it_fits_and_left_out_where_the_classifier_is_new():
    weights = drawn(BASE | HEADS)
    assert set(fit(weights, LAYERS, BASE | HEADS, "a:net")) == {*BASE, *HEADS}
    assert set(fit(weights, LAYERS, BASE | HEADS, "a:net", renewed=True)) == {*BASE, *HEADS}
    of_7 = BASE | {"head.kernel": (4, 7), "head.bias": (7,)}
    assert set(fit(weights, LAYERS, of_7, "a:net", renewed=True)) == set(BASE)
    with pytest.raises(UsageError, match=r"a:net: tensor 'head.kernel' is \(4, 5\) in the checkpoint and \(4, 7\)"):
        fit(weights, LAYERS, of_7, "a:net")
    assert set(fit(weights.without_head(), LAYERS, of_7, "a:net")) == set(BASE)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"000.conv.kernel": (1, 1, 3, 8)},
            r"'000.conv.kernel' is \(1, 1, 3, 8\) in the checkpoint and \(1, 1, 3, 4\)",
        ),
        ({"001.norm.mean": (3,)}, r"'001.norm.mean' is \(3,\) in the checkpoint and \(4,\)"),
        ({"001.norm.variance": None}, r"'001.norm.variance' of the model \(4,\) is missing"),
        ({"002.conv.kernel": (1, 1, 4, 4)}, r"1 tensors that the model lacks, first '002.conv.kernel' \(1, 1, 4, 4\)"),
        # what would be folded fits as little as the rest: refused, and no error of NumPy's
        ({"000.conv.kernel": (1, 1, 3, 8), "000.conv.bias": (8,)}, r"'000.conv.kernel' is \(1, 1, 3, 8\)"),
        ({"000.conv.bias": (8,)}, r"'000.conv.bias' is \(8,\) in the checkpoint and \(4,\)"),
        ({"000.conv.bias": (1,)}, r"'000.conv.bias' is \(1,\) in the checkpoint and \(4,\)"),
        ({"001.norm.scale": (1,)}, r"'001.norm.scale' is \(1,\) in the checkpoint and \(4,\)"),
    ],
)
def test_the_first_tensor_that_differs_is_named_with_both_shapes(changed, said):
    shapes = {name: shape for name, shape in (BASE | changed).items() if shape is not None}
    with pytest.raises(UsageError, match=rf"^a:net: .*{said}"):
        fit(drawn(shapes), LAYERS, BASE, "a:net")


# -- what would fit

ENTRIES = [
    SimpleNamespace(model=model, architecture=architecture, parameters=parameters)
    for model, architecture, parameters in [
        ("keras:ResNet50", "resnet50", 25_583_592),
        ("timm:resnet50", "resnet50", None),
        ("torchvision:resnet50", "resnet50", 25_557_032),
        ("torchvision:mobilenet_v2", "mobilenet_v2", 3_504_872),
        ("timm:mobilenetv2_100", "mobilenet_v2", None),
        ("torchvision:shufflenet_v2_x1_5", "shufflenet_v2_x1_5", 3_503_624),
    ]
]


@pytest.fixture
def listed(monkeypatch):
    monkeypatch.setattr(hints, "_entries", lambda: ENTRIES)


def test_canonical_weights_say_whose_they_are(listed):
    refused = drawn({"000.conv.kernel": (1, 1, 3, 8)})

    def said(model: str, architecture: str = "") -> str:
        with pytest.raises(WeightsMismatch) as caught:
            check_fit(refused, BASE, model, architecture)
        return f"{caught.value}{hints.of(caught.value)}"

    assert said("torchvision:resnet50", "mobilenet_v2") == (
        "torchvision:resnet50: tensor '000.conv.kernel' is (1, 1, 3, 8) in the checkpoint and (1, 1, 3, 4) in the model"
        "; the weights are those of mobilenet_v2: timm:mobilenetv2_100, torchvision:mobilenet_v2"
    )
    model = "timm:mobilenetv2_100"
    assert said(model, "mobilenet_v2").endswith("of mobilenet_v2 as well, perhaps with another width or image size")
    assert said(model, "net_of_mine").endswith("in the model; the weights are those of net_of_mine")
    assert said(model).endswith("in the model")


def with_head(body: int, classes: int, features: int = 1280) -> list[list[tuple[int, ...]]]:
    """Layers of a network whose body has so many parameters; the classifier is no longer last when sorted by name."""
    kernel = (1, 1, 320, features)
    return [[(classes,), (features, classes)], [(3, 3, 3, 32)], [kernel], [(body - 864 - 320 * features,)]]


RESNET = 25_557_032 - 2049 * 1000
MOBILENET = 3_504_872 - 1281 * 1000
FITTING = "it is mobilenet_v2: timm:mobilenetv2_100, torchvision:mobilenet_v2"
RESNETS = "keras:ResNet50, timm:resnet50, torchvision:resnet50"


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (with_head(MOBILENET, 1000), f"; by its size, 3.5 M parameters, {FITTING}"),
        (with_head(MOBILENET, 37), f"; by its size, 2.3 M parameters, {FITTING}"),
        (with_head(MOBILENET, 3), f"; by its size, 2.2 M parameters, {FITTING}"),  # as many as an image has channels
        (with_head(MOBILENET, 1000)[1:], f"; by its size, 2.2 M parameters, {FITTING}"),
        (
            with_head(RESNET + 19_000, 10, features=2048),
            f"; by its size, 23.5 M parameters, it is perhaps resnet50: {RESNETS}",
        ),
        (
            with_head(RESNET * 2, 1000, features=2048),
            "; nearest in size is resnet50 with 25.6 M parameters; the file has 49.1 M",
        ),
        (
            with_head(RESNET * 2, 10, features=2048),
            "; nearest in size is resnet50 with 25.6 M parameters; the file has 49.1 M with 1000 classes",
        ),
        ([], ""),
        ([[()]], ""),
    ],
)
def test_a_file_is_known_by_its_size(listed, layers, said):
    assert hints.by_size(layers) == said


def test_sizes_that_are_alike_are_told_apart_or_both_named(listed):
    between = with_head(MOBILENET - 600, 1000)
    assert "it is perhaps mobilenet_v2 or shufflenet_v2_x1_5: timm:mobilenetv2_100," in hints.by_size(between)
    assert "it is shufflenet_v2_x1_5: torchvision:shuffle" in hints.by_size(with_head(MOBILENET - 1248, 1000))


def test_a_hint_that_cannot_be_had_is_left_out(monkeypatch):
    def broken(adapters):
        raise RuntimeError(f"{adapters} cannot be listed")

    monkeypatch.setattr("isotune.models.catalogue.catalogue", broken)
    assert hints.by_size(with_head(MOBILENET, 1000)) == ""
    assert hints.by_architecture("mobilenet_v2", "a:net") == "; the weights are those of mobilenet_v2"


def test_one_library_that_cannot_be_listed_does_not_hide_the_others(monkeypatch):
    def catalogue(adapters):
        if adapters == ["keras"]:
            raise UsageError("the package 'keras' is not installed")
        return [entry for entry in ENTRIES if entry.model.startswith(f"{adapters[0]}:")]

    monkeypatch.setattr("isotune.models.catalogue.catalogue", catalogue)
    assert hints.by_size(with_head(MOBILENET, 1000)).endswith(FITTING)


SMALL = ["MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large", "EfficientNetB0", "ResNet50", "ResNet50V2"]


def test_keras_lists_as_many_parameters_as_its_models_have():
    """Counted without allocating; the others were counted so too (Keras 3.15.1), and NASNetMobile on TensorFlow. In a
    process of its own: scripts that share one add applications to the list."""
    pytest.importorskip("h5py", reason="needs the extra keras")
    code = (
        "import math, keras; from isotune.adapters.keras import KerasAdapter\n"
        "listed = {info.name: info.parameters for info in KerasAdapter('torch').models()}\n"
        "assert all(listed.values()) and len(listed) == 40\n"
        f"for name in {SMALL}:\n"
        "    with keras.device('meta'):\n"
        "        model = getattr(keras.applications, name)(weights=None)\n"
        "    assert listed[name] == sum(math.prod(v.shape) for v in model.trainable_variables), name\n"
    )
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
