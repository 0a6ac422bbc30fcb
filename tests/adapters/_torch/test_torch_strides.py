"""Where a ResNet of bottlenecks strides: each place realised, read off again, and the function that is meant."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from isotune.adapters._torch.axes.strides import set_stride_location, stride_location
from isotune.errors import UsageError

SIZES = [(64, 64), (65, 47)]


def v1() -> nn.Module:
    """torchvision's ResNet of bottlenecks with two blocks a stage, float64, every tensor drawn."""
    resnet = pytest.importorskip("torchvision", reason="needs the extra torch").models.resnet
    torch.manual_seed(0)
    return drawn(resnet.ResNet(resnet.Bottleneck, [2, 2, 2, 2]))


def v2() -> nn.Module:
    """timm's pre-activation ResNet with two blocks a stage, made as resnetv2_50 is, float64, every tensor drawn."""
    timm = pytest.importorskip("timm", reason="needs the extra torch")
    torch.manual_seed(0)
    make = {"conv_layer": timm.layers.create_conv2d, "norm_layer": timm.layers.BatchNormAct2d}
    return drawn(timm.models.resnetv2.ResNetV2([2, 2, 2], (64, 128, 256), **make))


def drawn(net: nn.Module) -> nn.Module:
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if name.endswith("running_var") or ("weight" in name and tensor.ndim == 1):
                tensor.uniform_(0.5, 1.5)
            elif tensor.ndim == 1:
                tensor.normal_(0, 0.1)
    return net.double().eval()


def images(size: tuple[int, int]) -> torch.Tensor:
    return torch.randn(2, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def blocks(net: nn.Module) -> list[nn.Module]:
    return [module for module in net.modules() if type(module).__name__ in ("Bottleneck", "PreActBottleneck")]


def strides(net: nn.Module) -> list[tuple[int, int]]:
    """Of each block: the stride of its first 1x1 and of its 3x3 convolution."""
    return [(block.conv1.stride[0], block.conv2.stride[0]) for block in blocks(net)]


def every_output(net: nn.Module, batch: torch.Tensor) -> list[torch.Tensor]:
    """The output of each block, then the logits."""
    seen: list[torch.Tensor] = []
    hooks = [block.register_forward_hook(lambda _module, _given, out: seen.append(out)) for block in blocks(net)]
    with torch.no_grad():
        seen.append(net(batch))
    for hook in hooks:
        hook.remove()
    return seen


# -- the functions that are meant, written by hand


def normal(norm: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)


def v1_block(block: nn.Module, x: torch.Tensor, first: int, second: int) -> torch.Tensor:
    """He et al. 2016: strides of the first 1x1 and of the 3x3; the shortcut takes both."""
    y = F.relu(normal(block.bn1, F.conv2d(x, block.conv1.weight, stride=first)))
    y = F.relu(normal(block.bn2, F.conv2d(y, block.conv2.weight, stride=second, padding=1)))
    y = normal(block.bn3, F.conv2d(y, block.conv3.weight))
    if block.downsample is not None:
        x = normal(block.downsample[1], F.conv2d(x, block.downsample[0].weight, stride=first * second))
    return F.relu(y + x)


def v2_block(block: nn.Module, projection: nn.Module | None, x: torch.Tensor, stride: int) -> torch.Tensor:
    """keras/src/applications/resnet.py, `residual_block_v2`: only an identity shortcut strides, by dropping pixels."""
    before = F.relu(normal(block.norm1, x))
    shortcut = F.max_pool2d(x, 1, stride=stride) if projection is None else F.conv2d(before, projection.weight)
    y = F.conv2d(before, block.conv1.weight)
    y = F.conv2d(F.relu(normal(block.norm2, y)), block.conv2.weight, stride=stride, padding=1)
    return F.conv2d(F.relu(normal(block.norm3, y)), block.conv3.weight) + shortcut


# -- tests


def test_where_the_libraries_stride_is_read_off():
    assert stride_location(v1()) == "3x3"
    assert stride_location(v2()) == "3x3"
    models = pytest.importorskip("torchvision", reason="needs the extra torch").models
    timm = pytest.importorskip("timm", reason="needs the extra torch")
    with torch.device("meta"):
        assert stride_location(models.resnet50()) == "3x3"
        assert stride_location(timm.create_model("resnet50")) == "3x3"
        assert stride_location(timm.create_model("resnetv2_50")) == "3x3"
        basic = models.resnet18()  # no bottlenecks: nothing to move
    assert stride_location(basic) is None
    set_stride_location(basic, "first-1x1")
    assert stride_location(basic) is None


@pytest.mark.parametrize("size", SIZES)
def test_a_v1_strides_on_its_first_1x1(size):
    plain, net = v1(), v1()
    set_stride_location(net, "first-1x1")
    assert stride_location(net) == "first-1x1"
    assert strides(plain) == [(1, 1), (1, 1), *[(1, 2), (1, 1)] * 3]
    assert strides(net) == [(1, 1), (1, 1), *[(2, 1), (1, 1)] * 3]
    ours, theirs = every_output(net, images(size)), every_output(plain, images(size))
    assert [out.shape for out in ours] == [out.shape for out in theirs]
    assert torch.equal(ours[1], theirs[1])  # the first stage strides nowhere
    assert not torch.allclose(ours[2], theirs[2])
    for place in (2, 4, 6):
        with torch.no_grad():
            for outputs, own in ((ours, (2, 1)), (theirs, (1, 2))):
                wanted = v1_block(blocks(plain)[place], outputs[place - 1], *own)
                torch.testing.assert_close(outputs[place], wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", SIZES)
def test_a_v2_strides_on_its_stages_last_block(size):
    plain, net = v2(), v2()
    set_stride_location(net, "last-block")
    assert stride_location(net) == "last-block"
    assert strides(plain) == [(1, 1), (1, 1), (1, 2), (1, 1), (1, 2), (1, 1)]
    assert strides(net) == [(1, 1), (1, 2), (1, 1), (1, 2), (1, 1), (1, 1)]
    ours, theirs = every_output(net, images(size)), every_output(plain, images(size))
    sizes, others = ([tuple(out.shape[2:]) for out in outputs] for outputs in (ours, theirs))
    assert [sizes[place] for place in (0, 2, 4, 5)] == [others[place] for place in (0, 2, 4, 5)]
    assert (sizes[1], sizes[3]) == (others[2], others[4])  # a block earlier
    assert not torch.allclose(ours[-1], theirs[-1])
    with torch.no_grad():
        for place, block in enumerate(blocks(plain)):
            projection = None if block.downsample is None else block.downsample.conv
            if place:
                wanted = v2_block(block, projection, ours[place - 1], strides(net)[place][1])
                torch.testing.assert_close(ours[place], wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("make", "value"), [(v1, "first-1x1"), (v2, "last-block")])
def test_the_tensors_are_the_same_wherever_a_network_strides(make, value):
    plain, net = make(), make()
    set_stride_location(net, value)
    ours, theirs = net.state_dict(), plain.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize(("make", "value"), [(v1, "first-1x1"), (v2, "last-block")])
def test_what_is_there_already_stays_and_a_copy_is_the_same_function(make, value):
    net = make()
    set_stride_location(net, value)
    before, batch = strides(net), images((40, 40))
    wanted = every_output(net, batch)[-1]
    set_stride_location(net, value)
    set_stride_location(net, "own")
    assert strides(net) == before
    assert torch.equal(every_output(copy.deepcopy(net), batch)[-1], wanted)


def test_gradients_pass_through_the_shortcut_that_drops_pixels():
    plain, net = v2(), v2()
    set_stride_location(net, "last-block")
    maps = torch.randn(2, 64, 9, 12, dtype=torch.float64, requires_grad=True)
    ours, theirs = blocks(net)[1](maps), v2_block(blocks(plain)[1], None, maps, 2)
    (found,), (wanted,) = (torch.autograd.grad(out.square().sum(), maps) for out in (ours, theirs))
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("make", "value", "said"),
    [
        (v1, "last-block", r"stride_location=last-block: a v1 ResNet has own, first-1x1, 3x3$"),
        (v2, "first-1x1", r"stride_location=first-1x1: a pre-activation \(v2\) ResNet has own, 3x3, last-block$"),
        (v1, "5x5", r"stride_location=5x5: a v1 ResNet has own, first-1x1, 3x3$"),
    ],
)
def test_a_place_that_a_network_does_not_have_is_refused_with_those_it_has(make, value, said):
    net = make()
    with pytest.raises(UsageError, match=said):
        set_stride_location(net, value)
    assert strides(net) == strides(make())
