"""Vision transformers of torchvision and timm: one function from the same weights, though other modules own them.

Small networks of the libraries' own classes; the real ones are in reports/parity.md.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from timm.models.swin_transformer import SwinTransformer as TimmSwin
from timm.models.swin_transformer_v2 import SwinTransformerV2 as TimmSwinV2
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torchvision.models import swin_transformer as swin
from torchvision.models.vision_transformer import VisionTransformer

from isotune.adapters._torch.adapter import load
from isotune.adapters._torch.architectures.swin_v2 import separate_biases
from isotune.adapters._torch.conventions import realise, remove_randomness
from isotune.adapters._torch.dataflow import trace
from isotune.adapters._torch.layers import canonical_layers, classifier_name
from isotune.adapters._torch.model import TorchModel
from isotune.adapters.base import Recipe
from isotune.conventions import Conventions
from isotune.protocols import Adam
from isotune.weights import random_weights

load("timm")
CLASSES = 5
RULES = Conventions(layernorm_epsilon=1e-5, clipping="per-variable")


def vision_transformers(size):
    return (
        VisionTransformer(size[0], 16, num_layers=2, num_heads=2, hidden_dim=24, mlp_dim=48, num_classes=CLASSES),
        TimmViT(size, 16, embed_dim=24, depth=2, num_heads=2, mlp_ratio=2, num_classes=CLASSES),
    )


def swins(size, timm_class=TimmSwin, **version):
    """Two stages of windows of 4x4 patches of 4x4 pixels."""
    return (
        swin.SwinTransformer([4, 4], 24, [2, 2], [2, 4], [4, 4], num_classes=CLASSES, **version),
        timm_class(size, 4, embed_dim=24, depths=(2, 2), num_heads=(2, 4), window_size=4, num_classes=CLASSES),
    )


def swins_v2(size):
    version = {"block": swin.SwinTransformerBlockV2, "downsample_layer": swin.PatchMergingV2}
    theirs, timms = swins(size, TimmSwinV2, **version)
    separate_biases(theirs)
    return theirs, timms


def models(pair, size):
    """Both as models in float64, with the same weights."""
    made = []
    for net in pair:
        remove_randomness(net)
        realise(net, RULES)
        flow = trace(net, size)
        assert flow.steps, "the dataflow was not seen"
        made.append(
            TorchModel(
                net, classifier_name(net), RULES, dataflow=flow, numeric_mode="float64", device=torch.device("cpu")
            )
        )
    shapes = [{name: array.shape for name, array in model.weights().items()} for model in made]
    assert list(shapes[0].items()) == list(shapes[1].items())
    weights = random_weights(shapes[0], 3)
    for model in made:
        model.load(weights)
        assert all(np.array_equal(array, weights[name]) for name, array in model.weights().items())
    return made


def shown(model, size):
    """Features, layers, gradients, and weights and slots after three steps with each variable clipped by itself."""
    stream = np.random.default_rng(1)
    images, labels = stream.integers(0, 256, (3, *size, 3), dtype=np.uint8), stream.integers(0, CLASSES, 3)
    yield "features", model.features(images)
    yield from ((f"layer {name}", array) for name, array in model.activations(images))
    yield from ((f"gradient {name}", array) for name, array in model.gradients(images, labels, 0.1).items())
    optimizer = Adam(name="adam", weight_decay=1e-3, clip_norm=1e-3)
    trainer = model.trainer(Recipe(optimizer, frozenset(layer.name for layer in model.layers())))
    for _ in range(3):
        float(trainer.step(images, labels, 1e-3))
    yield from model.weights().items()
    yield from trainer.state().items()


@pytest.mark.parametrize(("build", "size"), [(vision_transformers, (48, 48)), (swins, (32, 64)), (swins_v2, (32, 64))])
def test_two_libraries_are_one_function_and_train_as_one(build, size):
    ours, theirs = (dict(shown(model, size)) for model in models(build(size), size))
    both = ours.keys() & theirs.keys()
    assert {name for name in ours if not name.startswith("layer ")} <= both
    assert sum(name.startswith("layer ") for name in both) > 8
    for name in both:
        far = np.abs(ours[name].reshape(theirs[name].shape) - theirs[name]).max()
        assert far <= 1e-9 * max(np.abs(ours[name]).max(), 1e-6), name


@pytest.mark.parametrize("build", [swins, swins_v2])
def test_where_maps_are_no_whole_number_of_windows_the_libraries_pad_at_different_places(build):
    """torchvision pads and then rolls, timm rolls and then pads: the reason for the sizes of the proofs."""
    size = (28, 28)  # maps of 7x7, windows of 4x4
    ours, theirs = (next(iter(shown(model, size)))[1] for model in models(build(size), size))
    assert np.abs(ours - theirs).max() > 1e-3 * np.abs(ours).max()


def test_biases_that_are_apart_are_one_tensor_in_a_file_and_change_nothing():
    torch.manual_seed(0)
    version = {"block": swin.SwinTransformerBlockV2, "downsample_layer": swin.PatchMergingV2}
    made = swin.SwinTransformer([4, 4], 24, [2], [2], [4, 4], num_classes=CLASSES, **version).eval()
    for name, parameter in made.named_parameters():
        if name.endswith("qkv.bias"):
            torch.nn.init.normal_(parameter)
    state = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        before = made(images)
        separate_biases(made)
        assert torch.equal(made(images), before)
    parted = made.state_dict()
    assert parted.keys() == state.keys()
    for name, tensor in state.items():  # the keys' third is in no pass
        kept = torch.ones_like(tensor)
        if name.endswith("qkv.bias"):
            kept[24:48] = 0
        assert torch.equal(parted[name], tensor * kept)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    assert not made.load_state_dict(state).missing_keys
    with torch.no_grad():
        assert torch.equal(made(images), before)


def test_a_constant_that_a_library_stores_is_no_weight():
    for net in swins_v2((32, 32)):
        slots = [slot.name for found in canonical_layers(net, None) for slot in found.slots]
        assert any(name.endswith("logit_scale") for name in slots)
        assert not any("relative_coords_table" in name for name in slots)
