"""Canonical layers of networks that no one wrote for us."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import nn

from isotune.adapters._torch.dataflow import trace
from isotune.adapters._torch.layers import canonical_layers, classifier_name


def layers_of(net):
    return canonical_layers(net, classifier_name(net))


@pytest.fixture(scope="module")
def mobilenets():
    with torch.device("meta"):
        return [
            (torchvision.models.mobilenet_v2(width_mult=width), timm.create_model(name))
            for width, name in ((1.0, "mobilenetv2_100"), (0.5, "mobilenetv2_050"), (1.4, "mobilenetv2_140"))
        ]


def test_both_libraries_mobilenet_has_the_same_layers_at_every_width(mobilenets):
    for pair in mobilenets:
        one, other = (
            [(f.layer.name, f.layer.kind, f.layer.block, [(s.name, s.shape) for s in f.slots]) for f in layers_of(net)]
            for net in pair
        )
        assert one == other
        assert [name for name, *_ in one[:3]] == ["000.conv", "001.norm", "002.conv"]
        assert one[-1][0] == "head"


def test_mobilenet_is_a_stem_17_inverted_residuals_and_a_last_convolution(mobilenets):
    for net in mobilenets[0]:
        blocks = [found.layer.block for found in layers_of(net)]
        assert sorted(set(blocks)) == list(range(-1, 19))
        assert [blocks.count(block) for block in range(19)] == [2, 4, *[6] * 16, 2]
        assert blocks[-1] == -1


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("resnet50", 1 + 16),
        ("vgg16_bn", 13 + 2),
        ("densenet121", 1 + 58 + 3 + 1),
        ("efficientnet_b0", 1 + 16 + 1),
        ("mobilenet_v3_small", 1 + 11 + 1 + 1),
        ("squeezenet1_0", 1 + 8),
        ("vit_b_16", 1 + 12 + 1),
    ],
)
def test_blocks_of_the_usual_families(name, blocks):
    with torch.device("meta"):
        net = torchvision.models.get_model(name)
    found = [found.layer.block for found in layers_of(net)]
    assert set(found) == set(range(-1, blocks))
    assert found[:-1] == sorted(found[:-1])


def test_both_libraries_vision_transformer_has_the_same_layers_though_other_modules_own_them():
    """torchvision's encoder owns the table of positions, and its attention the projection; timm has others for both."""
    size = (64, 64)
    with torch.device("meta"):
        nets = torchvision.models.vit_b_32(image_size=64), timm.create_model("vit_base_patch32_224", img_size=64)
    one, other = (
        [
            (found.layer.name, found.layer.block, [(slot.name, slot.shape, slot.trainable) for slot in found.slots])
            for found in canonical_layers(net, classifier_name(net), trace(net, size))
        ]
        for net in nets
    )
    assert one == other
    shapes = {slot: shape for *_, slots in one for slot, shape, _ in slots}
    assert shapes["001.token.token"] == (768,)
    assert shapes["002.position.position"] == (5, 768)
    assert shapes["004.dense.kernel"] == (768, 3 * 768)
    assert [name for name, *_ in one[:5]] == ["000.conv", "001.token", "002.position", "003.norm", "004.dense"]
    assert [block for _, block, _ in one[:5]] == [0, 0, 0, 1, 1]


def test_what_stands_loose_leads_to_the_canonical_layout_and_back():
    net = torchvision.models.vit_b_32(image_size=64)
    flow = trace(net, (64, 64))
    for found in canonical_layers(net, classifier_name(net), flow)[:5]:
        for slot in found.slots:
            own = slot.tensor.detach().numpy()
            np.testing.assert_array_equal(slot.from_canonical(slot.to_canonical(own)), own)


def test_layouts_are_canonical_and_lead_back():
    convs = {
        nn.Conv2d(4, 6, (3, 5)): (3, 5, 4, 6),
        nn.Conv2d(4, 4, 3, groups=4): (3, 3, 1, 4),
        nn.Conv2d(4, 6, 3, groups=2): (3, 3, 2, 6),
        nn.Linear(4, 6): (4, 6),
    }
    for module, shape in convs.items():
        kernel = layers_of(nn.Sequential(nn.Sequential(module), nn.Linear(2, 2)))[0].slots[0]
        assert kernel.kind == "kernel"
        assert kernel.shape == shape
        weight = module.weight.detach().numpy()
        canonical = kernel.to_canonical(weight)
        assert canonical.shape == shape
        np.testing.assert_array_equal(kernel.from_canonical(canonical), weight)
        last, first = canonical[..., 1], weight[1]
        np.testing.assert_array_equal(last, first.transpose(1, 2, 0) if weight.ndim == 4 else first)


def test_a_convolution_that_classifies_is_a_dense_head():
    head = layers_of(torchvision.models.squeezenet1_1(num_classes=7))[-1]
    assert [(slot.name, slot.shape) for slot in head.slots] == [("head.kernel", (512, 7)), ("head.bias", (7,))]
    kernel = head.slots[0]
    weight = head.module.weight.detach().numpy()
    np.testing.assert_array_equal(kernel.to_canonical(weight)[:, 3], weight[3, :, 0, 0])
    np.testing.assert_array_equal(kernel.from_canonical(kernel.to_canonical(weight)), weight)


@pytest.mark.parametrize(
    "build", [torchvision.models.swin_t, torchvision.models.vit_b_16, torchvision.models.convnext_tiny]
)
def test_every_floating_point_tensor_of_a_state_dict_is_a_slot_once(build):
    with torch.device("meta"):
        net = build()
    slots = [slot.tensor for found in layers_of(net) for slot in found.slots]
    kept = [tensor for tensor in net.state_dict(keep_vars=True).values() if tensor.is_floating_point()]
    assert len({id(tensor) for tensor in slots}) == len(slots) == len(kept)
    assert {id(tensor) for tensor in slots} == {id(tensor) for tensor in kept}
    names = [slot.name for found in layers_of(net) for slot in found.slots]
    assert len(set(names)) == len(names)
