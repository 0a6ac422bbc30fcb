"""Conventions realised on modules of torch, each against its formula or against the library that has it natively."""

from __future__ import annotations

from copy import deepcopy
from typing import get_args

import numpy as np
import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import Conv2dSame
from torch import nn
from torch.nn import functional

from isotune.adapters._torch.axes.loss import cross_entropy
from isotune.adapters._torch.conventions import describe, placeless, realise, remove_randomness
from isotune.conventions import Conventions


def padded_like_tensorflow(images, conv):
    """SAME as TensorFlow documents it: ceil(n/s) outputs, the odd pixel of padding at the end."""
    sides = []
    for size, k, s, d in zip(images.shape[-2:], conv.kernel_size, conv.stride, conv.dilation, strict=True):
        total = max(0, (int(np.ceil(size / s)) - 1) * s + (k - 1) * d + 1 - size)
        sides = [total // 2, total - total // 2, *sides]
    return functional.conv2d(
        functional.pad(images, sides), conv.weight, conv.bias, conv.stride, 0, conv.dilation, conv.groups
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(7, 20), st.integers(7, 20), st.sampled_from([3, 5, 7]), st.sampled_from([2, 3]), st.integers(1, 2))
def test_padding_at_the_end_is_same_at_any_size_and_back_is_symmetric(height, width, kernel, stride, dilation):
    images = torch.randn(2, 4, height, width, dtype=torch.float64)
    padding = (kernel - 1) * dilation // 2
    ours = nn.Conv2d(4, 6, kernel, stride, padding, dilation, groups=2, dtype=torch.float64)
    symmetric = ours(images)
    timms = Conv2dSame(4, 6, kernel, stride, dilation=dilation, groups=2, dtype=torch.float64)
    timms.load_state_dict(ours.state_dict())
    at_end = padded_like_tensorflow(images, ours)

    net = nn.Sequential(ours)
    realise(net, Conventions(stride2_padding="same"))
    torch.testing.assert_close(net(images), at_end, rtol=0, atol=0)
    assert describe(net)["stride2_padding"] == "same"

    net = nn.Sequential(timms)
    torch.testing.assert_close(net(images), at_end, rtol=0, atol=0)
    assert describe(net)["stride2_padding"] == "same"
    realise(net, Conventions(stride2_padding="symmetric"))
    torch.testing.assert_close(net(images), symmetric, rtol=0, atol=0)
    assert describe(net)["stride2_padding"] == "symmetric"


@pytest.mark.parametrize("conv", [nn.Conv2d(3, 4, 3, 1, 1), nn.Conv2d(3, 4, 4, 4), nn.Conv2d(3, 4, 1, 2)])
def test_convolutions_alike_in_every_library_keep_their_padding(conv):
    images = torch.randn(1, 3, 16, 16)
    before = conv(images)
    realise(nn.Sequential(conv), Conventions(stride2_padding="same"))
    assert torch.equal(conv(images), before)


def test_own_changes_nothing():
    net = timm.create_model("tf_mobilenetv3_small_075").eval()
    images = torch.randn(1, 3, 65, 64)
    before = net(images)
    realise(net, Conventions())
    assert torch.equal(net(images), before)


@pytest.mark.parametrize(
    ("name", "axes"),
    [
        ("mobilenet_v3_small", {"count_include_pad", "max_pool_padding", "stride_location"}),
        ("resnet18", {"count_include_pad", "stride_location"}),
        ("resnet50", {"count_include_pad"}),
    ],
)
def test_an_axis_without_a_place_is_nothing_to_a_network_and_one_with_a_place_is_something(name, axes):
    net = torchvision.models.get_model(name).eval()
    images = torch.randn(2, 3, 41, 45)
    assert placeless(net) == axes
    with torch.no_grad():
        before = net(images)
        for axis in ("count_include_pad", "max_pool_padding", "stride_location"):
            changed = []
            for value in {*get_args(Conventions.model_fields[axis].annotation)} - {"last-block"}:  # of another ResNet
                realised = deepcopy(net)
                realise(realised, Conventions(**{axis: value}))
                changed.append(describe(realised) != describe(net) or not torch.equal(realised(images), before))
            assert any(changed) == (axis not in axes)
    pools = nn.Sequential(nn.AvgPool2d(3, 1, 1), nn.MaxPool2d(3, 2, 1))
    assert placeless(pools) == {"stride_location"}


def test_whole_networks_take_the_other_librarys_padding():
    """timm builds MobileNetV2 with either padding; each is turned into the other."""
    images = torch.randn(2, 3, 65, 48, dtype=torch.float64)
    symmetric = timm.create_model("mobilenetv2_050").double().eval()
    same = timm.create_model("mobilenetv2_050", pad_type="same", bn_eps=1e-3).double().eval()
    same.load_state_dict(symmetric.state_dict())
    wanted_same, wanted_symmetric = same(images), symmetric(images)
    assert not torch.allclose(wanted_same, wanted_symmetric)
    realise(symmetric, Conventions(stride2_padding="same", batchnorm_epsilon=1e-3))
    torch.testing.assert_close(symmetric(images), wanted_same, rtol=1e-12, atol=1e-12)
    realise(same, Conventions(stride2_padding="symmetric", batchnorm_epsilon=1e-5))
    torch.testing.assert_close(same(images), wanted_symmetric, rtol=1e-12, atol=1e-12)


def test_pooling_counts_its_border_or_not():
    images = torch.randn(1, 2, 7, 7, dtype=torch.float64)
    for value, count in (("true", True), ("false", False)):
        net = nn.Sequential(nn.AvgPool2d(3, 1, padding=1, count_include_pad=not count))
        realise(net, Conventions(count_include_pad=value))
        wanted = functional.avg_pool2d(images, 3, 1, padding=1, count_include_pad=count)
        assert torch.equal(net(images), wanted)
        assert describe(net)["count_include_pad"] == value


def test_the_pools_that_inception_calls_as_functions_do_not_count_either(monkeypatch):
    net = timm.create_model("inception_v3", num_classes=3).double().eval()
    images = torch.randn(1, 3, 107, 107, dtype=torch.float64)
    realise(net, Conventions(count_include_pad="false"))
    found = net(images)
    assert describe(net)["count_include_pad"] == "false"

    plain = timm.create_model("inception_v3", num_classes=3).double().eval()
    plain.load_state_dict(net.state_dict())
    counted = plain(images)
    pool = functional.avg_pool2d
    monkeypatch.setattr(
        functional, "avg_pool2d", lambda x, **where: pool(x, **where, count_include_pad=not where.get("padding"))
    )
    torch.testing.assert_close(found, plain(images), rtol=1e-10, atol=1e-12)
    assert not torch.allclose(found, counted, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 6), st.integers(1, 4), st.floats(0.01, 1), st.sampled_from(["biased", "unbiased"]))
def test_running_statistics_follow_their_formula(batch, side, momentum, variance):
    norm = nn.BatchNorm2d(3).double()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    before = norm.running_mean.numpy().copy(), norm.running_var.numpy().copy()
    net = nn.Sequential(norm)
    realise(net, Conventions(batchnorm_momentum=momentum, batchnorm_running_variance=variance))
    images = torch.randn(batch, 3, side, side, dtype=torch.float64, requires_grad=True)
    net(images).square().sum().backward()
    values = images.detach().numpy()
    mean, var = values.mean((0, 2, 3)), values.var((0, 2, 3), ddof=int(variance == "unbiased"))
    for found, old, new in zip((norm.running_mean, norm.running_var), before, (mean, var), strict=True):
        np.testing.assert_allclose(found.numpy(), (1 - momentum) * old + momentum * new, rtol=1e-11)
    settled = norm.running_var.clone()
    net.eval()(images)
    assert torch.equal(norm.running_var, settled)


def test_batchnorm_constants_are_set_and_read_off():
    net = timm.create_model("mobilenetv2_035")
    assert describe(net)["batchnorm_epsilon"] == 1e-5
    realise(net, Conventions(batchnorm_epsilon=1e-3, batchnorm_momentum=0.01, layernorm_epsilon=1e-4))
    assert (describe(net)["batchnorm_epsilon"], describe(net)["batchnorm_momentum"]) == (1e-3, 0.01)
    assert describe(net)["layernorm_epsilon"] is None, "it has none"


@pytest.mark.parametrize("name", ["convnext_atto", "vit_tiny_patch16_224"])
def test_the_epsilon_of_layernorm_is_set_and_read_off_and_own_where_there_are_two(name):
    net = timm.create_model(name)
    assert describe(net)["layernorm_epsilon"] == 1e-6
    norms = [module for module in net.modules() if isinstance(module, nn.LayerNorm)]
    norms[0].eps = 1e-5
    assert describe(net)["layernorm_epsilon"] is None
    realise(net, Conventions())
    assert [norm.eps for norm in norms][:2] == [1e-5, 1e-6], "None leaves the library's"
    realise(net, Conventions(layernorm_epsilon=1e-3))
    assert {norm.eps for norm in norms} == {1e-3}
    assert (describe(net)["layernorm_epsilon"], describe(net)["batchnorm_epsilon"]) == (1e-3, None)


@pytest.mark.parametrize(("value", "approximate"), [("exact", "none"), ("tanh", "tanh")])
def test_gelu_in_either_form_whatever_class_the_library_uses(value, approximate):
    values = torch.linspace(-4, 4, 50, dtype=torch.float64)
    for module in (nn.GELU(), nn.GELU("tanh"), timm.layers.activations.GELU(), timm.layers.activations.GELUTanh()):
        net = nn.Sequential(nn.Sequential(module))
        realise(net, Conventions(gelu=value))
        assert torch.equal(net(values), functional.gelu(values, approximate=approximate))
        assert describe(net)["gelu"] == value


@pytest.mark.parametrize(("value", "steepness"), [("sixth", 1 / 6), ("fifth", 0.2), ("half", 0.5)])
def test_hard_sigmoids_of_either_library_take_every_form_and_back(value, steepness):
    values = torch.linspace(-4, 4, 50, dtype=torch.float64)
    for module in (nn.Hardsigmoid(), timm.layers.activations.HardSigmoid(), timm.layers.activations_me.HardSigmoidMe()):
        net = nn.Sequential(nn.Sequential(module))
        realise(net, Conventions())
        assert net[0][0] is module
        assert describe(net)["hard_sigmoid"] == "sixth"
        for form in ("half", value):
            realise(net, Conventions(hard_sigmoid=form))
        torch.testing.assert_close(net(values), (steepness * values + 0.5).clamp(0, 1), rtol=0, atol=1e-15)
        assert describe(net)["hard_sigmoid"] == value


def test_the_slope_of_leaky_relus_is_read_off_and_set():
    net = nn.Sequential(nn.LeakyReLU(), nn.Sequential(nn.LeakyReLU(0.01)), nn.ReLU())
    assert describe(net)["leaky_relu_slope"] == 0.01
    realise(net, Conventions(leaky_relu_slope=0.3))
    assert net(torch.tensor(-2.0)) == 0, "a ReLU keeps its own"
    assert net[:2](torch.tensor(-1.0)).item() == pytest.approx(-0.09)
    net[0].negative_slope = 0.1
    assert describe(net)["leaky_relu_slope"] is None, "not all alike"


@pytest.mark.parametrize("name", ["efficientnet_b0", "deit_tiny_patch16_224", "densenet121"])
def test_nothing_random_is_left_in_training(name):
    net = timm.create_model(name, drop_rate=0.5, **({} if name == "densenet121" else {"drop_path_rate": 0.5}))
    remove_randomness(net)
    net.train()
    images = torch.randn(2, 3, 224 if "deit" in name else 64, 224 if "deit" in name else 64)
    state = torch.get_rng_state()
    with torch.no_grad():
        assert torch.equal(net(images), net(images))
    assert torch.equal(torch.get_rng_state(), state)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 6), st.sampled_from([0.0, 0.1, 0.5]), st.floats(0.1, 100), st.integers(0, 2**16))
def test_cross_entropy_in_either_form_follows_its_formula(classes, smoothing, spread, seed):
    stream = np.random.default_rng(seed)
    logits, labels = stream.normal(0, spread, (5, classes)), stream.integers(0, classes, 5)
    target = np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    wanted = {
        "logits": -(target * log_p).sum(1).mean(),
        "clipped-probabilities": -(target * np.log(np.clip(np.exp(log_p), 1e-7, 1 - 1e-7))).sum(1).mean(),
    }
    for form, value in wanted.items():
        found = cross_entropy(form)(torch.tensor(logits), torch.tensor(labels), smoothing)
        np.testing.assert_allclose(found.item(), value, rtol=1e-8, atol=1e-12)


def test_the_gradient_vanishes_where_probabilities_are_clipped():
    logits = torch.tensor([[50.0, 0.0]], dtype=torch.float64, requires_grad=True)
    cross_entropy("clipped-probabilities")(logits, torch.tensor([1]), 0.0).backward()
    assert torch.equal(logits.grad, torch.zeros_like(logits))
