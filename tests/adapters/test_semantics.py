"""What the installed libraries do by themselves, as adapters/SEMANTICS.md says, and that its rows name real tests.

Keras is asked by tests/adapters/keras_scripts/library_facts.py, in one process an engine; torch, timm
and torchvision here. Their optimizers are in test_semantics_optimizers.py.
"""

from __future__ import annotations

import ast
import inspect
import json
import math
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from keras_processes import process_of
from timm.utils import freeze
from torch import nn
from torch.nn import functional
from torchvision.ops.misc import FrozenBatchNorm2d

from isotune.adapters.timm import TimmAdapter

ROOT = Path(__file__).parents[2]
ENGINES = ("tensorflow", "jax", "torch")
pytestmark = pytest.mark.xdist_group("keras")


@cache
def facts(engine: str = "tensorflow") -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        out = Path(folder) / "facts.json"
        process_of(engine).run("library_facts.py", engine, out)
        return json.loads(out.read_text())


def default(function: Any, name: str) -> Any:
    return inspect.signature(function).parameters[name].default


# -- layers


def test_defaults_of_the_norms():
    keras = facts()["defaults"]
    assert (nn.BatchNorm2d(1).eps, keras["BatchNormalization.epsilon"]) == (1e-5, 1e-3)
    assert (nn.BatchNorm2d(1).momentum, keras["BatchNormalization.momentum"]) == (0.1, 0.99)
    assert (nn.LayerNorm(1).eps, keras["LayerNormalization.epsilon"]) == (1e-5, 1e-3)
    for name in ("convnext_tiny", "vit_b_16"):
        with torch.device("meta"):
            net = torchvision.models.get_model(name)
        assert {module.eps for module in net.modules() if isinstance(module, nn.LayerNorm)} == {1e-6}


def test_batchnorm_constants_of_the_applications():
    found = facts()["norms_of_applications"]
    assert found["MobileNet"] == [[1e-3, 0.99]]
    assert found["MobileNetV2"] == found["MobileNetV3Small"] == [[1e-3, 0.999]]
    assert found["bn_momentum"] == 0.9
    for name in ("ResNet50", "DenseNet121", "NASNetMobile", "EfficientNetV2B0", "ConvNeXtTiny"):
        assert len(set(found[name])) == 1, f"{name}: not every norm says so"
    tensorflow_like = TimmAdapter().native_conventions("tf_efficientnet_b0")
    assert (tensorflow_like.batchnorm_epsilon, tensorflow_like.batchnorm_momentum) == (1e-3, 0.1)


def test_keras_on_torch_loses_a_small_variance_beside_a_large_mean():
    """float32, mean 1000 and variance 0.00995: E[x^2] - E[x]^2 gives -0.125."""
    for engine in ENGINES:
        found, exact = facts(engine)["moments"]
        assert found == pytest.approx(-0.125 if engine == "torch" else exact, rel=1e-4)
    numbers = (1000 + 0.1 * np.random.default_rng(0).normal(size=(4096, 1))).astype(np.float32)
    norm = nn.BatchNorm1d(1, momentum=1.0)
    norm(torch.tensor(numbers))
    assert norm.running_var.item() == pytest.approx(exact, rel=1e-2)


def test_tensorflows_fused_batchnorm_hands_on_the_unbiased_variance():
    assert facts()["fused_batchnorm"] == pytest.approx(8 / 7, rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_freezing_does_to_batchnorm(engine):
    """Keras: trainable=False is inference mode, and so is training=False on a trainable layer."""
    assert facts(engine)["frozen_batchnorm"] == [True, False, False]
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).requires_grad_(False).train()
    before = net[1].running_mean.clone()
    net(torch.randn(2, 3, 4, 4))
    assert not torch.equal(net[1].running_mean, before)
    freeze(net)
    assert isinstance(net[1], FrozenBatchNorm2d)


def test_what_mixed_precision_does_to_norms():
    """Keras computes BatchNorm in float32; torch's autocast on the CPU leaves norms in the input's dtype."""
    assert facts()["bfloat16_batchnorm"] == [2.0**-10, "bfloat16", "float32"]
    maps = torch.randn(2, 4, 5, 5)
    with torch.autocast("cpu", torch.bfloat16):
        convolved = nn.Conv2d(4, 4, 1)(maps)
        dtypes = [layer(convolved).dtype for layer in (nn.Identity(), nn.BatchNorm2d(4), nn.LayerNorm(5))]
        loss = functional.cross_entropy(convolved.mean((2, 3)), torch.tensor([0, 1]))
    assert dtypes == [torch.bfloat16] * 3
    assert loss.dtype == torch.float32


def test_tf32_is_on_by_default_where_it_exists_but_for_torchs_matrix_products():
    assert facts()["tf32"] is True
    code = "import torch; print(torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_keras_on_torch_repeats_the_edge_in_a_strided_same_average():
    """The last window of 0..3 in steps of 2 is (2, 3): 2.5 of a row, and (2, 3, 3) on torch."""
    for engine in ENGINES:
        pools = facts(engine)["pools"]
        assert pools["ones"] == [[1.0] * 4] * 4, "with stride 1 the padding is left out everywhere"
        last = np.mean([10, 11, 14, 15]) if engine != "torch" else np.mean([10, 11, 11, 14, 15, 15, 14, 15, 15])
        assert pools["ramp"][-1][-1] == pytest.approx(last)
    for name, border in (
        ("inception_v3", "true"),
        ("inception_v4", "false"),
        ("inception_resnet_v2", "false"),
    ):
        assert TimmAdapter().native_conventions(name).count_include_pad == border


@pytest.mark.parametrize("engine", ENGINES)
def test_activations_of_one_name(engine):
    points = torch.tensor([-4.0, -1.0, 0.5, 2.7])
    expected = {
        "activations.gelu": functional.gelu(points),
        "ops.gelu": functional.gelu(points, approximate="tanh"),
        "hard_sigmoid": functional.relu6(points + 3) / 6,
        "hard_silu": points * functional.relu6(points + 3) / 6,
    }
    for name, values in expected.items():
        assert facts(engine)["activations"][name] == pytest.approx(values.tolist(), abs=1e-6), name
    for name, ours in (("hard_sigmoid", functional.hardsigmoid), ("hard_silu", functional.hardswish)):
        torch.testing.assert_close(ours(points), expected[name])


@pytest.mark.parametrize("engine", ENGINES)
def test_dropout_is_inverted_everywhere(engine):
    assert facts(engine)["dropout"] == [[0.0, 1.25], [1.0]]
    assert set(nn.Dropout(0.2)(torch.ones(1000)).tolist()) == {0.0, 1.25}


# -- loss, head, input


@pytest.mark.parametrize("engine", ENGINES)
def test_keras_on_tensorflow_takes_the_logits_behind_a_softmax(engine):
    """A sure mistake by 50: from a softmax head the loss is 50 with TensorFlow, 16.1 with JAX and torch."""
    losses = facts(engine)["cross_entropies"]
    assert losses["logits"] == pytest.approx(50)
    assert losses["probabilities"] == pytest.approx(-math.log(1e-7), rel=1e-6)
    assert losses["softmax"] == pytest.approx(50 if engine == "tensorflow" else -math.log(1e-7), rel=1e-6)
    assert losses.get("softmax in a graph", 50) == pytest.approx(50)
    assert losses["unnormalised"] == pytest.approx(math.log(2), rel=1e-6)
    assert facts()["defaults"]["CategoricalCrossentropy.from_logits"] is False
    assert facts()["defaults"]["MobileNetV2.classifier_activation"] == "softmax"


@pytest.mark.parametrize("engine", ENGINES)
def test_smoothed_labels_are_the_same_in_both(engine):
    losses = facts(engine)["cross_entropies"]
    ours = functional.cross_entropy(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([1]), label_smoothing=0.1)
    assert losses["smoothed"] == pytest.approx(ours.item(), rel=1e-6)
    assert losses["binary"] == pytest.approx(-0.95 * math.log(0.75) - 0.05 * math.log(0.25), rel=1e-6)
    assert facts()["defaults"]["SparseCategoricalCrossentropy.label_smoothing"] == "missing"


def test_each_library_draws_a_new_head_in_its_own_way():
    """Of ten classes, by the constructor: greatest weight (or deviation) and greatest bias."""
    torch.manual_seed(0)
    models = torchvision.models
    linear = nn.Linear(1280, 10)
    drawn = {
        "nn.Linear": (linear, 1 / math.sqrt(1280), linear.weight.abs().max()),
        "timm mobilenetv2": (timm.create_model("mobilenetv2_035", num_classes=10).classifier, 1 / math.sqrt(10), None),
        "torchvision mobilenet_v2": (models.mobilenet_v2(num_classes=10).classifier[1], 0.01, "deviation"),
        "torchvision resnet18": (models.resnet18(num_classes=10).fc, 1 / math.sqrt(512), None),
    }
    for name, (layer, expected, kind) in drawn.items():
        found = layer.weight.std() if isinstance(kind, str) else layer.weight.abs().max()
        assert found.item() == pytest.approx(expected, rel=0.03), name
        has_bias = bool(layer.bias.abs().max() > 0)
        assert has_bias == (name in ("nn.Linear", "torchvision resnet18")), name
    keras = facts()["defaults"]
    assert (keras["Dense.kernel_initializer"], keras["Dense.bias_initializer"]) == ("glorot_uniform", "zeros")


def test_defaults_of_resizing():
    keras = facts()["defaults"]
    assert default(torchvision.transforms.Resize, "antialias") is True
    assert (keras["Resizing.interpolation"], keras["Resizing.antialias"]) == ("bilinear", False)
    assert (keras["load_img.interpolation"], keras["load_img.keep_aspect_ratio"]) == ("nearest", False)
    assert keras["image_dataset_from_directory.interpolation"] == "bilinear"
    assert keras["image_dataset_from_directory.crop_to_aspect_ratio"] is False


def test_preprocess_input_overwrites_a_float_array():
    assert facts()["preprocessing_in_place"] == [True, False]


# -- the document


ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split(" | ")]
    for line in (ROOT / "adapters/SEMANTICS.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| topic")
]


def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_row_of_the_document_names_its_tests(row):
    assert len(row) == 7
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[5])
    assert named
    for path, name in named:
        assert name in functions_of(path), (row[0], name)


def test_every_axis_has_its_row():
    from isotune.conventions import Conventions

    named = {axis for row in ROWS for axis in re.findall(r"`(\w+)`", row[4])}
    assert set(Conventions.model_fields) <= named
