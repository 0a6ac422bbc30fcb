"""Small networks in torch, as people port them: each function is one network, its arguments what a report is about.

`torch:torch_networks.py:pooled:kind=average` is one side of a pair. Without arguments a function is the original, and
`keras_networks.py` has the same network under the same name. Ten classes, images of 32 pixels, at most 16 channels.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Act = Callable[[Tensor], Tensor]


def block(inside: int, outside: int, stride: int = 1, epsilon: float = 1e-5, momentum: float = 0.1) -> nn.Sequential:
    """A convolution of 3x3 and its norm."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside, eps=epsilon, momentum=momentum)
    )


class Network(nn.Module):
    """Two blocks with something between them, averaged, and a classifier."""

    def __init__(
        self,
        between: Act = torch.relu,
        *,
        act: Act = torch.relu,
        first: nn.Module | None = None,
        second: nn.Module | None = None,
        last: Act = lambda logits: logits,
        before: Act = lambda images: images,
        width: int = 16,
    ) -> None:
        super().__init__()
        self.first = first or block(3, 8, 2)
        self.second = second or block(8, 16, 2)
        self.classifier = nn.Linear(width, 10)
        self.between, self.act, self.last, self.before = between, act, last, before

    def forward(self, images: Tensor) -> Tensor:
        values = self.act(self.second(self.between(self.first(self.before(images)))))
        return self.last(self.classifier(values.mean((2, 3))))


def plain(epsilon: float = 1e-5, momentum: float = 0.1) -> nn.Module:
    def blocks(inside: int, outside: int) -> nn.Module:
        return block(inside, outside, 2, epsilon, momentum)

    return Network(first=blocks(3, 8), second=blocks(8, 16))


def softmax_inside() -> nn.Module:
    """Gives probabilities, and the loss takes the softmax of them."""
    return Network(last=lambda logits: logits.softmax(1))


def sure() -> nn.Module:
    """Whose logits are hundreds apart."""
    return Network(last=lambda logits: 300 * logits)


def transformed(dimension: int = 1) -> nn.Module:
    """Undoes one normalisation and applies another to the first channel: index 0 of `dimension`."""

    def before(images: Tensor) -> Tensor:
        changed = images.clone()
        where = (slice(None), 0) if dimension == 1 else (0,)
        changed[where] = images[where] * (0.229 / 0.5) + (0.485 - 0.5) / 0.5
        return changed

    return Network(before=before)


def pooled(
    kind: str = "max",
    *,
    padding: int = 1,
    ceil: bool = False,
    counted: bool = True,
    zeros: bool = False,
    stride: int = 2,
    positive: bool = True,
) -> nn.Module:
    """A pool of 3x3. zeros: the map is padded by itself, with zeros. positive: a ReLU comes before."""

    def between(values: Tensor) -> Tensor:
        if positive:
            values = torch.relu(values)
        if zeros:
            values = functional.pad(values, (padding,) * 4)
        around = 0 if zeros else padding
        if kind == "max":
            return functional.max_pool2d(values, 3, stride, around, ceil_mode=ceil)
        return functional.avg_pool2d(values, 3, stride, around, ceil_mode=ceil, count_include_pad=counted)

    return Network(between, first=block(3, 8), second=block(8, 16))


def activated(name: str = "leaky", slope: float = 0.1, epsilon: float = 1e-5) -> nn.Module:
    acts: dict[str, Act] = {
        "leaky": lambda values: functional.leaky_relu(values, slope),
        "gelu": functional.gelu,
        "gelu-tanh": lambda values: functional.gelu(values, approximate="tanh"),
    }
    first, second = block(3, 8, 2, epsilon), block(8, 16, 2, epsilon)
    return Network(acts[name], act=acts[name], first=first, second=second)


class Excited(nn.Module):
    """A block, an excitation of its channels, and where the activation stands."""

    def __init__(self, gate: Act, act_last: bool) -> None:
        super().__init__()
        self.first, self.second = block(3, 8, 2), block(8, 16, 2)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.classifier = nn.Linear(16, 10)
        self.gate, self.act_last = gate, act_last

    def forward(self, images: Tensor) -> Tensor:
        values = self.first(images)
        if not self.act_last:
            values = functional.hardswish(values)
        weights = self.gate(self.excite(torch.relu(self.squeeze(values.mean((2, 3), keepdim=True)))))
        values = values * weights
        if self.act_last:
            values = functional.hardswish(values)
        return self.classifier(torch.relu(self.second(values)).mean((2, 3)))


def excited(slope: float = 1 / 6, act_last: bool = True) -> nn.Module:
    """slope: of the hard sigmoid, clip(slope * x + 0.5)."""
    return Excited(lambda values: (slope * values + 0.5).clamp(0, 1), act_last)


def group_normed(epsilon: float = 1e-5) -> nn.Module:
    """epsilon: of the second norm; the first's is 1e-5."""
    first = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.GroupNorm(4, 8))
    return Network(first=first, second=nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.GroupNorm(4, 16, eps=epsilon)))


class Transformer(nn.Module):
    """Sixteen patches, one layer of attention and of dense ones."""

    def __init__(self, epsilon: float, per_head: bool, token: str) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 8, 8)
        self.norm1, self.norm2 = (nn.LayerNorm(16, eps=epsilon) for _ in range(2))
        self.query, self.key, self.value, self.projection = (nn.Linear(16, 16) for _ in range(4))
        self.wide, self.narrow = nn.Linear(16, 32), nn.Linear(32, 16)
        self.classifier = nn.Linear(16, 10)
        self.scale = (16 // 4 if per_head else 16) ** -0.5
        self.token = token

    def forward(self, images: Tensor) -> Tensor:
        values = self.patches(images).flatten(2).transpose(1, 2)
        count, length = values.shape[:2]
        normed = self.norm1(values)
        query, key, value = (
            each(normed).reshape(count, length, 4, 4).transpose(1, 2) for each in (self.query, self.key, self.value)
        )
        attention = (query @ key.transpose(2, 3) * self.scale).softmax(-1)
        values = values + self.projection((attention @ value).transpose(1, 2).reshape(count, length, 16))
        values = values + self.narrow(functional.gelu(self.wide(self.norm2(values))))
        return self.classifier(values.mean(1) if self.token == "mean" else values[:, 0])


def transformer(epsilon: float = 1e-5, per_head: bool = True, token: str = "first") -> nn.Module:
    return Transformer(epsilon, per_head, token)


def rearranged(how: str = "depth-first") -> nn.Module:
    """Two pixels by two become channels: `depth-first`, a channel's four side by side; `space-first`, a pixel's."""

    def between(values: Tensor) -> Tensor:
        if how == "depth-first":
            return functional.pixel_unshuffle(values, 2)
        count, channels, height, width = values.shape
        cells = values.reshape(count, channels, height // 2, 2, width // 2, 2)
        return cells.permute(0, 3, 5, 1, 2, 4).reshape(count, 4 * channels, height // 2, width // 2)

    return Network(between, first=block(3, 4), second=block(16, 16, 2))


def enlarged(align_corners: bool = False) -> nn.Module:
    def between(values: Tensor) -> Tensor:
        return functional.interpolate(values, scale_factor=2, mode="bilinear", align_corners=align_corners)

    return Network(between)


def shuffled(groups_first: bool = True) -> nn.Module:
    """Channels change between two groups of four, or between four of two."""

    def between(values: Tensor) -> Tensor:
        count, channels, height, width = values.shape
        groups = 2 if groups_first else channels // 2
        mixed = values.reshape(count, groups, channels // groups, height, width).transpose(1, 2)
        return torch.relu(mixed.reshape(count, channels, height, width))

    return Network(between)


def response_normed(divided: bool = True) -> nn.Module:
    """Local response normalisation over five channels. divided: alpha by the five."""

    def between(values: Tensor) -> Tensor:
        return functional.local_response_norm(torch.relu(values), 5, alpha=0.5 if divided else 2.5)

    return Network(between)


def deviations(unbiased: bool = True) -> nn.Module:
    """Each map divided by its deviation."""
    return Network(lambda values: values / values.std((2, 3), keepdim=True, unbiased=unbiased))


class Residual(nn.Module):
    """A bottleneck that strides, and its shortcut."""

    def __init__(self, stride_first: bool, norm_first: bool, last_scale: float) -> None:
        super().__init__()
        self.stem = block(3, 16)
        strides = (2, 1) if stride_first else (1, 2)
        self.conv1 = nn.Conv2d(16, 4, 1, strides[0], bias=False)
        self.conv2 = nn.Conv2d(4, 4, 3, strides[1], 1, bias=False)
        self.conv3 = nn.Conv2d(4, 16, 1, bias=False)
        widths = (16, 4, 4) if norm_first else (4, 4, 16)
        self.norm1, self.norm2, self.norm3 = (nn.BatchNorm2d(width) for width in widths)
        self.shortcut = nn.Conv2d(16, 16, 1, 2, bias=False)
        self.classifier = nn.Linear(16, 10)
        self.norm_first = norm_first
        nn.init.constant_(self.norm3.weight, last_scale)

    def forward(self, images: Tensor) -> Tensor:
        values = torch.relu(self.stem(images))
        branch = values
        for conv, norm in ((self.conv1, self.norm1), (self.conv2, self.norm2), (self.conv3, self.norm3)):
            branch = conv(torch.relu(norm(branch))) if self.norm_first else norm(conv(branch))
            if conv is not self.conv3 and not self.norm_first:
                branch = torch.relu(branch)
        return self.classifier(torch.relu(self.shortcut(values) + branch).mean((2, 3)))


def residual(stride_first: bool = False, norm_first: bool = False, last_scale: float = 1.0) -> nn.Module:
    """With weights from one seed. norm_first: pre-activation, ResNet v2. last_scale: that the last norm starts with."""
    torch.manual_seed(0)
    return Residual(stride_first, norm_first, last_scale)


class Loaded(nn.Module):
    """Three convolutions, of which two are alike, and dense layers on the flattened map."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, 4, 1)
        self.second, self.third = (nn.Conv2d(8, 8, 3, 1, 1) for _ in range(2))
        self.dense, self.classifier = nn.Linear(8 * 8 * 8, 16), nn.Linear(16, 10)

    def forward(self, images: Tensor) -> Tensor:
        values = torch.relu(self.first(images))
        values = torch.relu(self.third(torch.relu(self.second(values))))
        return self.classifier(torch.relu(self.dense(values.flatten(1))))


def loaded() -> nn.Module:
    """With tensors that anybody can draw: a kernel's from the checksum of its layer's name, zeros for biases."""
    net = Loaded()
    for name, layer in net.named_children():
        layer.weight.data = torch.from_numpy(drawn(name, tuple(layer.weight.shape)))
        layer.bias.data.zero_()
    return net


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A kernel in torch's layout, float32."""
    fan_in = np.prod(shape[1:])
    return (np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)
