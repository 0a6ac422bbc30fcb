"""Residual branches of torch's networks: found where the libraries' own modules leave them out, and left out alike."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import timm
import torch
from going_on import differences, drawn, stages
from test_torch_step_graph import STEPS, Again
from timm.models.convnext import ConvNeXt as TimmConvNeXt
from timm.models.resnet import Bottleneck, ResNet
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torchvision.models import convnext, efficientnet, mobilenet_v2, swin_transformer, vision_transformer

from isotune.adapters._torch.conventions import remove_randomness
from isotune.adapters._torch.dataflow import trace
from isotune.adapters._torch.layers import classifier_name
from isotune.adapters._torch.model import TorchModel
from isotune.adapters.base import Recipe
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import SGD, StochasticDepth
from isotune.protocols.depth import drop_rates

SIZE, CLASSES, RATE = (32, 32), 5, 0.25


def efficient() -> nn.Module:
    block = efficientnet.MBConvConfig
    rows = [block(1, 3, 1, 8, 8, 2, 1.0, 1.0), block(4, 3, 2, 8, 12, 2, 1.0, 1.0), block(4, 3, 2, 12, 16, 1, 1.0, 1.0)]
    return efficientnet.EfficientNet(rows, 0.0, stochastic_depth_prob=RATE, num_classes=CLASSES, last_channel=24)


def convnext_of_torchvision() -> nn.Module:
    rows = [convnext.CNBlockConfig(*row) for row in ((8, 8, 1), (8, 12, 1), (12, 12, 2), (12, None, 1))]
    return convnext.ConvNeXt(rows, stochastic_depth_prob=RATE, layer_scale=0.5, num_classes=CLASSES)


def swin() -> nn.Module:
    return swin_transformer.SwinTransformer(
        [4, 4], 12, [2, 2], [2, 2], [4, 4], stochastic_depth_prob=RATE, num_classes=CLASSES
    )


def convnext_of_timm() -> nn.Module:
    return TimmConvNeXt(
        num_classes=CLASSES, depths=(1, 1, 2, 1), dims=(8, 8, 12, 12), ls_init_value=0.5, drop_path_rate=RATE
    )


def resnet() -> nn.Module:
    return ResNet(Bottleneck, (1, 2, 1, 1), CLASSES, channels=(2, 4, 4, 4), drop_path_rate=RATE)


def vit() -> nn.Module:
    return VisionTransformer(
        SIZE, 16, num_classes=CLASSES, embed_dim=12, depth=3, num_heads=2, init_values=0.5, drop_path_rate=RATE
    )


def mobile() -> nn.Module:
    return timm.create_model("mobilenetv2_035", num_classes=CLASSES, drop_path_rate=RATE)


OWN = {
    "torchvision's EfficientNet": (efficient, "linear-over-all"),
    "torchvision's ConvNeXt": (convnext_of_torchvision, "linear"),
    "torchvision's Swin": (swin, "linear"),
    "timm's ConvNeXt": (convnext_of_timm, "linear"),
    "timm's ResNet": (resnet, "linear"),
    "timm's ViT": (vit, "linear"),
    "timm's MobileNetV2": (mobile, "linear-over-all"),
}


class _Rates:
    """What the library's own modules would draw with, in the order of a pass, and masks in the place of their draws."""

    def __init__(self, net: nn.Module) -> None:
        self.rates: list[float] = []
        self.masks: torch.Tensor | None = None
        for module in net.modules():
            if type(module).__name__ in ("StochasticDepth", "DropPath"):
                module.forward = self._instead(getattr(module, "p", None) or getattr(module, "drop_prob", 0.0))

    def _instead(self, rate: float):
        def forward(branch: torch.Tensor) -> torch.Tensor:
            if self.masks is None:
                return branch
            # timm has no module where the rate is 0: those that come draw in the order of their rates
            number = len(self.rates)
            self.rates.append(rate)
            return branch * self.masks[:, number].view(-1, *[1] * (branch.ndim - 1))

        return forward


def modelled(net: nn.Module) -> TorchModel:
    model = TorchModel(
        net, classifier_name(net), Conventions(), dataflow=trace(net, SIZE), numeric_mode="float64",
        device=torch.device("cpu"),
    )  # fmt: skip
    model.image_size = SIZE
    return model


@pytest.mark.parametrize("name", OWN)
def test_branches_and_rates_are_those_of_the_librarys_own_modules(name):
    """Loss and weights of a step with masks, against the same masks in the modules' place; timm has none at rate 0."""
    make, law = OWN[name]
    torch.manual_seed(0)
    own = make()
    rates = _Rates(own)
    theirs, images, labels = modelled(own), *batch()
    torch.manual_seed(0)
    ours = make()
    remove_randomness(ours)
    model = modelled(ours)
    drawn(model, 3)
    expected = drop_rates(StochasticDepth(rate=RATE, law=law), model.layers(), model.branches())
    masks = np.random.default_rng(1).integers(0, 2, (len(images), len(expected))) * 2.0
    masks[:, expected == 0] = 1
    theirs.load(model.weights())
    silent = name.startswith("timm's")
    rates.masks = torch.from_numpy(masks[:, expected > 0] if silent else masks)
    every = Recipe(SGD(), frozenset(layer.name for layer in model.layers()))
    losses = [
        model.trainer(every).step(images, labels, 2**-4, None, masks),
        theirs.trainer(every).step(images, labels, 2**-4),
    ]
    np.testing.assert_allclose(rates.rates, [rate for rate in expected if rate or not silent], rtol=1e-6)
    assert float(losses[0]) == float(losses[1])
    for tensor, array in theirs.weights().items():
        np.testing.assert_array_equal(array, model.weights()[tensor], err_msg=tensor)


def batch(count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    stream = np.random.default_rng(0)
    return stream.integers(0, 256, (count, *SIZE, 3), dtype=np.uint8), stream.integers(0, CLASSES, count)


class Block(nn.Module):
    """A branch that is added in one of the ways that forwards have."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way, self.conv, self.norm = way, nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branch = self.norm(self.conv(x.relu()))
        if self.way == "+=":
            branch += x
            return branch
        if self.way == "shortcut +=":
            shortcut = x * 1
            shortcut += branch
            return shortcut
        return {
            "+": lambda: x + branch,
            "add": lambda: torch.add(branch, x),
            "method": lambda: branch.add(x, alpha=0.5),
            "in place": lambda: branch.add_(x),
            "sum": lambda: sum([x, branch]),
            "named": lambda: torch.add(input=branch, other=x),
            "stack": lambda: torch.stack([x, branch]).sum(0),
            "lerp": lambda: torch.lerp(x, branch, 0.5),
        }[self.way]()


class Net(nn.Module):
    def __init__(self, *ways: str) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2, 1)
        self.blocks = nn.Sequential(*map(Block, ways))
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.blocks(self.stem(x)).mean((2, 3)))


WAYS = ("+", "+=", "shortcut +=", "add", "method", "in place", "sum")


def small(number: int, *ways: str, **how: object) -> TorchModel:
    torch.manual_seed(number)
    model = TorchModel(Net(*ways), "fc", Conventions(), device=torch.device("cpu"), **how)  # type: ignore[arg-type]
    model.image_size = SIZE
    drawn(model, number)
    return model


@pytest.mark.parametrize("way", WAYS)
def test_a_branch_is_left_out_however_it_is_added(way):
    """Masked 0 it is as if what precedes the sum gave zeros, in the loss of each image."""
    model, (images, labels) = small(0, way, numeric_mode="float64"), batch()
    masks = np.array([[0.0], [1], [0], [1]])
    every = Recipe(SGD(), frozenset(layer.name for layer in model.layers()))
    loss = float(model.trainer(every).step(images, labels, 0.0, None, masks))
    block = model.net.get_submodule("blocks.0")
    hook = block.get_submodule("norm").register_forward_hook(
        lambda _module, _inputs, output: output * torch.from_numpy(masks)[..., None, None]
    )
    assert float(model.trainer(every).step(images, labels, 0.0)) == loss
    hook.remove()


@pytest.mark.parametrize(
    ("ways", "said"),
    [
        (("+", "named"), "is not seen"),
        (("+", "stack"), "two paths meet in Stack"),
        (("lerp", "+"), "two paths meet in Lerp"),
        (("stack",), "adds nothing to a shortcut"),
        ((), "adds nothing to a shortcut"),
    ],
)
def test_a_branch_that_is_added_unseen_is_refused(ways, said):
    with pytest.raises(UsageError, match=said):
        small(0, *ways).branches()


def test_a_pass_with_other_additions_than_those_seen_is_refused():
    model, (images, labels) = small(0, "+", "add"), batch()
    model.branches()
    trainer = model.trainer(Recipe(SGD(), frozenset({"head"})))
    with pytest.raises(UsageError, match=r"branch masks are \[4, 3\]"):
        trainer.step(images, labels, 0.1, None, np.ones((4, 3)))
    model.net.blocks[1] = nn.Identity()  # type: ignore[index]
    with pytest.raises(UsageError, match="a step makes 1 additions, where 2 were seen"):
        trainer.step(images, labels, 0.1, None, np.ones((4, 2)))


def test_a_network_that_leaves_branches_out_by_itself_is_refused():
    with pytest.raises(UsageError, match="the network has its own, in features"):
        modelled(efficient()).branches()


def test_a_training_goes_on_to_the_same_end(tmp_path):
    depth = StochasticDepth(rate=0.5, law="constant")
    recipe = stages(SGD(momentum=0.9), SGD(), stochastic_depth=depth)
    assert differences(lambda number: small(number, *WAYS), recipe, tmp_path, size=SIZE) == []
    per_pass = stages(SGD(), accumulate=2, drop_last=True, stochastic_depth=depth.model_copy(update={"per": "batch"}))
    assert differences(lambda number: small(number, *WAYS), per_pass, tmp_path / "parts", size=SIZE, kills=(1, 3)) == []


def test_a_step_that_became_a_graph_leaves_out_what_its_masks_say(monkeypatch):
    images, labels = batch()
    masks = np.random.default_rng(0).integers(0, 2, (STEPS, len(labels), len(WAYS))) * 2.0
    ends = []
    for graphed in (False, True):
        model = small(0, *WAYS)
        if graphed:
            monkeypatch.setattr(model, "recorder", partial(Again, model))
        trainer = model.trainer(Recipe(SGD(), frozenset(layer.name for layer in model.layers())))
        losses = [float(trainer.step(images, labels, 2**-6, None, each)) for each in masks]
        ends.append((losses, model.weights().digest()))
    assert trainer.graph.said == "captured"
    assert ends[0] == ends[1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, while it compiles
def test_a_compiled_step_leaves_the_same_branches_out():
    images, labels = batch()
    masks = np.random.default_rng(0).integers(0, 2, (2, 4, len(WAYS))) * 2.0
    losses = []
    for compiled in (False, True):
        model = small(0, *WAYS, numeric_mode="float64", compiled=compiled)
        trainer = model.trainer(Recipe(SGD(), frozenset(layer.name for layer in model.layers())))
        losses.append([float(trainer.step(images, labels, 2**-6, None, each)) for each in masks])
    np.testing.assert_allclose(*losses, rtol=1e-9)


def test_two_libraries_name_the_same_branches():
    """And the blocks that these are in: of torchvision and of timm."""
    pairs = (
        (timm.create_model("mobilenetv2_050"), mobilenet_v2(width_mult=0.5)),
        (
            VisionTransformer(SIZE, 16, embed_dim=12, depth=3, num_heads=2),
            vision_transformer.VisionTransformer(SIZE[0], 16, 3, 2, 12, 48),
        ),
        (convnext_of_timm(), convnext_of_torchvision()),
    )
    for net in pairs[2]:
        remove_randomness(net)
    for models in ([modelled(net) for net in pair] for pair in pairs):
        named = [model.branches() for model in models]
        assert named[0] == named[1]
        blocks = [{layer.name: layer.block for layer in model.layers()} for model in models]
        of_branches = [[each[name] for name in named[0]] for each in blocks]
        assert of_branches[0] == of_branches[1]
    assert of_branches[0] == [1, 3, 5, 6, 8]  # between stages a block of a norm and a convolution
