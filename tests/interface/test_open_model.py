"""One model in its worker: what it gives agrees with the model itself, and wrong input is one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import isotune
from isotune.errors import UsageError
from isotune.weights import Weights

MODEL = "example:random-features"
IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope="module")
def opened(packages, shared_cache):
    """The example's model in float64, of three classes; one worker for all that only asks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(packages))
        patch.setenv("ISOTUNE_CACHE", str(shared_cache))
        patch.syspath_prepend(str(packages))
        with isotune.open_model(MODEL, checkpoint="random:0", numeric_mode="float64", size=16, classes=3) as model:
            yield model


def test_features_logits_and_activations_are_one_network(opened):
    features, logits, weights = opened.features(IMAGES), opened.logits(IMAGES), opened.weights()
    assert (features.shape, features.dtype, logits.shape) == ((6, 256), np.float64, (6, 3))
    np.testing.assert_allclose(features @ weights["head.kernel"] + weights["head.bias"], logits, rtol=1e-12)
    activations = opened.activations(IMAGES)
    assert list(activations) == [layer.name for layer in opened.layers] == ["000.dense", "head"]
    np.testing.assert_array_equal(activations["head"], logits)
    np.testing.assert_array_equal(np.maximum(activations["000.dense"], 0), features)
    np.testing.assert_array_equal(opened.features(IMAGES, batch_size=4), features)


def test_the_input_is_scaled_as_the_conventions_say(opened):
    assert opened.conventions.input_scaling == "mean-std"
    flat = np.full((1, 16, 16, 3), 255, np.uint8)
    np.testing.assert_allclose(opened.network_input(flat)[0, 0, 0], (1 - np.array([0.485, 0.456, 0.406])) /
                               np.array([0.229, 0.224, 0.225]), rtol=1e-9)  # fmt: skip


def test_the_gradient_is_that_of_the_loss(opened):
    gradients = opened.gradients(IMAGES, LABELS)
    logits = opened.logits(IMAGES)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert gradients["loss"] == pytest.approx(-log_p[np.arange(6), LABELS].mean(), rel=1e-12)
    expected = np.exp(log_p)
    expected[np.arange(6), LABELS] -= 1
    np.testing.assert_allclose(gradients["head.bias"], expected.sum(axis=0) / 6, rtol=1e-9)
    assert set(gradients) == {"loss", *opened.weights()}


def test_it_says_what_it_is(opened):
    assert (opened.name, opened.architecture) == (MODEL, "random_features")
    assert opened.classifier == "drawn for 3 classes from seed 0"
    assert "drawn for 3 classes" in repr(opened)
    assert opened.environment["numpy"] == np.__version__


@pytest.mark.usefixtures("house")
def test_weights_are_set_and_carried_by_a_file():
    with isotune.open_model(MODEL, checkpoint="random:0", size=16) as model:
        assert model.classifier == "drawn for 10 classes from seed 0"
        before = model.logits(IMAGES)
        model.load({"head.bias": np.ones(10, np.float32)})
        np.testing.assert_allclose(model.logits(IMAGES), before + 1 - model.weights()["head.bias"] + 1, atol=2)
        model.load({"head.kernel": np.zeros((256, 10), np.float32)})
        np.testing.assert_array_equal(model.logits(IMAGES), np.ones((6, 10), np.float32))
        model.weights().write(Path("weights.safetensors"))
    assert isinstance(Weights.read(Path("weights.safetensors"))["head.bias"], np.ndarray)
    with isotune.open_model(MODEL, checkpoint=Path("weights.safetensors"), size=16) as model:
        assert model.classifier == "the checkpoint's own"
        np.testing.assert_array_equal(model.logits(IMAGES), np.ones((6, 10), np.float32))
        with pytest.raises(UsageError, match=r"no tensor 'head\.bais'; did you mean 'head\.bias'"):
            model.load({"head.bais": np.ones(10, np.float32)})


@pytest.mark.usefixtures("house")
def test_closed_it_has_no_worker_and_says_so():
    with isotune.open_model(MODEL, checkpoint="random:0", size=16) as model:
        worker = model._worker
        assert worker.alive
    assert not worker.alive
    assert "closed" in repr(model)
    with pytest.raises(UsageError, match="is closed; open it again"):
        model.features(IMAGES)


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda model: model.features(IMAGES / 255), "images: takes uint8, 0..255, not float64"),
        (lambda model: model.features("digits"), "images: takes uint8"),
        (lambda model: model.features(IMAGES[0, 0, 0]), r"images: takes \[N, H, W, 3\]"),
        (lambda model: model.features(IMAGES, batch_size=0), "batch_size: takes a whole number from 1"),
        (lambda model: model.gradients(IMAGES, LABELS[:2]), r"labels: takes integers \[6\]"),
        (lambda model: model.gradients(IMAGES, LABELS / 2), r"labels: takes integers \[6\]"),
        (lambda model: model.gradients(IMAGES, LABELS + 7), "labels: .*0 to 2"),
        (lambda model: model.features([[1], [1, 2]]), "images: takes an array, not list"),
        (lambda model: model.gradients(IMAGES, LABELS, label_smoothing="some"), "label_smoothing: takes a number"),
        (lambda model: model.gradients(IMAGES, LABELS, label_smoothing=1.5), "label_smoothing: .* not 1.5"),
        (lambda model: model.activations(IMAGES, training="no"), "training: takes True or False, not str"),
        (lambda model: model.load([1, 2]), "weights: takes a dictionary"),
    ],
)
def test_wrong_input_names_the_argument(opened, ask, said):
    with pytest.raises(UsageError, match=said) as refused:
        ask(opened)
    assert len(str(refused.value).splitlines()) == 1
    assert opened.features(IMAGES[:1]).shape == (1, 256)  # it is still there


def test_greyscale_images_are_three_equal_channels(opened):
    grey = IMAGES[..., :1]
    np.testing.assert_array_equal(opened.features(grey), opened.features(np.repeat(grey, 3, axis=-1)))
    np.testing.assert_array_equal(opened.features(grey[..., 0]), opened.features(grey))


@pytest.mark.usefixtures("house")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": 3}, "model: takes a name such as"),
        ({"model": "exampel:x"}, "did you mean 'example'"),
        ({"checkpoint": "drwan"}, "did you mean 'drawn'"),
        ({"checkpoint": 3}, "checkpoint: takes a name"),
        ({"conventions": ["identical", "native"]}, "conventions: takes one set-up, not 2"),
        ({"numeric_mode": "float33"}, "did you mean 'float32'"),
        ({"size": "big"}, "size: takes a whole number"),
        ({"classes": 1}, "classes: takes a whole number from 2"),
        ({"python": "nowhere/python"}, "cannot start nowhere/python"),
    ],
)
def test_what_cannot_be_opened_is_one_line(given, said):
    with pytest.raises(UsageError, match=said) as refused:
        isotune.open_model(**{"model": MODEL, "checkpoint": "random:0", "size": 16} | given)
    assert len(str(refused.value).splitlines()) == 1


def test_a_real_network_gives_its_features_in_its_worker_and_none_here(house):
    script = """
import sys, numpy, isotune
images = numpy.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=numpy.uint8)
with isotune.open_model("torchvision:mobilenet_v2", checkpoint="offline", size=64) as model:
    features, activations = model.features(images), model.activations(images)
    gradients = model.gradients(images, [0, 1])
    print(features.shape, features.dtype, len(activations), len(model.layers), len(gradients), "torch" in sys.modules)
    print(model.architecture, numpy.isfinite(features).all(), float(gradients["loss"]) > 0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=house)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["(2, 1280) float32 105 105 159 False", "mobilenet_v2 True True"]
