"""Both layouts of torch's networks: tensors lie as asked, and what is computed is the same."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from isotune.adapters import torchvision
from isotune.adapters._torch.adapter import LAYOUTS
from isotune.adapters._torch.conventions import realise
from isotune.adapters._torch.model import TorchModel
from isotune.adapters.base import INPUT, Recipe
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import SGD
from isotune.weights import random_weights

FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
AXES = [
    {},
    {"stride2_padding": "same", "count_include_pad": "false", "max_pool_padding": "zeros", "input_scaling": "caffe"},
]
# float32's BatchNorm in training errs by 1e-5 in channels_last; bfloat16 keeps two digits
TOLERANCE = {"float64": 1e-9, "float32": 1e-3, "bfloat16": 0.1}


class Net(nn.Module):
    """Everything that conventions replace, and a narrow strided 1x1 convolution, which oneDNN gets wrong."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.narrow = nn.Conv2d(8, 16, 1, 2, bias=False)
        self.block = nn.Sequential(
            nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3, 2, 1, groups=16), nn.Hardswish(), nn.AvgPool2d(3, 1, 1)
        )
        self.fc = nn.Linear(16, 5)

    def forward(self, images):
        return self.fc(self.block(self.narrow(self.pool(self.stem(images)))).mean((2, 3)))


def built(layout, mode="float64", axes=None, compiled=False):
    torch.manual_seed(1)
    net, conventions = Net(), Conventions(**(axes or {}))
    realise(net, conventions)
    model = TorchModel(
        net, "fc", conventions, device=torch.device("cpu"), numeric_mode=mode, layout=layout, compiled=compiled
    )
    model.load(random_weights({name: array.shape for name, array in model.weights().items()}, 3))
    return model


def images_and_labels():
    stream = np.random.default_rng(0)
    return stream.integers(0, 256, (6, 67, 50, 3), dtype=np.uint8), stream.integers(0, 5, 6)


def shown(model):
    """Everything that a model shows of a batch, training included."""
    images, labels = images_and_labels()
    arrays = {"features": model.features(images), "logits": model.logits(images), INPUT: model.network_input(images)}
    arrays |= {f"layers/{name}": array for name, array in model.activations(images, training=True)}
    arrays |= {f"gradients/{name}": array for name, array in model.gradients(images, labels, 0.1).items()}
    trained = frozenset(layer.name for layer in model.layers())
    trainer = model.trainer(Recipe(SGD(name="sgd", momentum=0.875, weight_decay=2**-10), trained))
    losses = [float(trainer.step(images, labels, 2**-5)) for _ in range(3)]
    return arrays | {f"trained/{name}": array for name, array in trainer.state().items()} | {"losses": np.array(losses)}


def alike(ours, theirs, tolerance):
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        allowed = tolerance * max(np.abs(array).max(), 1e-6)
        np.testing.assert_allclose(theirs[name], array, rtol=0, atol=allowed, err_msg=name)


@pytest.mark.parametrize("axes", AXES, ids=["own", "others"])
@pytest.mark.parametrize("mode", TOLERANCE)
def test_both_layouts_compute_the_same(mode, axes):
    alike(*(shown(built(layout, mode, axes)) for layout in LAYOUTS), TOLERANCE[mode])


@pytest.mark.parametrize("scaling", ["mean-std", "minus-one-to-one", "none", "caffe"])
@pytest.mark.parametrize(
    "images", [np.s_[:], np.s_[:1], np.s_[:, :1], np.s_[:, :, :1]], ids=["all", "one", "row", "column"]
)
def test_images_are_scaled_alike_to_the_last_bit(scaling, images):
    given = images_and_labels()[0][images]
    contiguous, last = (
        built(layout, "float32", {"input_scaling": scaling}).network_input(given)
        for layout in ("contiguous", "channels_last")
    )
    np.testing.assert_array_equal(contiguous, last)


def test_compiled_in_channels_last_is_the_same_too(monkeypatch):
    """By a compiler without its code generator, which takes a minute."""
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    alike(shown(built("contiguous")), shown(built("channels_last", compiled=True)), TOLERANCE["float64"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_and_weights_lie_in_the_layout_from_the_first_layer_to_the_trained_weights(layout):
    model, seen = built(layout, "float32"), []
    for module in (model.net.stem[0], model.net.block[1]):
        module.register_forward_hook(lambda module, given, output: seen.extend([*given, output, module.weight]))
    images, labels = images_and_labels()
    model.logits(images)
    list(model.activations(images, replaced={INPUT: model.network_input(images)}))
    trained = frozenset(layer.name for layer in model.layers())
    model.trainer(Recipe(SGD(name="sgd", momentum=0.5), trained)).step(images, labels, 0.1)
    assert len(seen) == 3 * 2 * 3
    other = FORMATS[next(each for each in LAYOUTS if each != layout)]
    for tensor in seen:
        assert tensor.is_contiguous(memory_format=FORMATS[layout]), (tensor.shape, tensor.stride())
    assert not seen[0].is_contiguous(memory_format=other), "else the test would say nothing"


def test_the_adapter_builds_what_its_user_gets_unless_asked():
    adapter = torchvision.TorchvisionAdapter()
    asked = {"classes": 2, "checkpoint": None, "conventions": Conventions(), "options": {"width_mult": "0.35"}}
    for layout, lies in ((None, "contiguous"), ("contiguous", "contiguous"), ("channels_last", "channels_last")):
        model = adapter.build("mobilenet_v2", layout=layout, image_size=(32, 32), **asked)
        kernel = model.net.features[0][0].weight
        assert kernel.is_contiguous(memory_format=FORMATS[lies])
        assert sum(kernel.is_contiguous(memory_format=each) for each in FORMATS.values()) == 1
    with pytest.raises(UsageError, match="torchvision has no layout 'rows'; it has contiguous and channels_last only"):
        adapter.build("mobilenet_v2", layout="rows", **asked)
