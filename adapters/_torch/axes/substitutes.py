"""What takes the place of a network's own computation under a convention: hooks and modules, all of torch.

The modules of the axes (`padding`, `pooling`, `strides`, `norms`, `piecewise`) put them there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

_Pair = tuple[int, int]
Form = Literal["symmetric", "same"]

# -- padding


class PadSame:
    """Forward pre-hook: SAME padding for the input size at hand."""

    def __init__(self, conv: nn.Conv2d) -> None:
        self.reach = [(k - 1) * d + 1 for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
        self.stride = conv.stride

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (padded(inputs[0], self.reach, self.stride, "same", 0.0),)


def padded(images: Tensor, reach: Any, strides: Any, form: Form, fill: float) -> Tensor:
    """Padded so that a window of `reach` without padding of its own pads as `form` says."""
    sides: list[int] = []
    for size, window, stride in zip(images.shape[-2:], reach, strides, strict=True):
        before, after = _same(size, window, stride) if form == "same" else ((window - 1) // 2,) * 2
        sides = [before, after, *sides]
    return functional.pad(images, sides, value=fill)


def _same(size: int, reach: int, stride: int) -> _Pair:
    """(before, after) of SAME: as many outputs as ceil(size / stride), the odd pixel after."""
    total = max(0, (-(-size // stride) - 1) * stride + reach - size)
    return total // 2, total - total // 2


# -- pooling


@dataclass(frozen=True)
class Border:
    """How a pooling window meets the border."""

    reach: _Pair
    stride: _Pair
    form: Form
    fill: float  # of max pooling, outside the image
    counted: bool | None  # of average pooling: whether padding counts; None: max pooling


class PaddedPool:
    """Forward hooks that pad before a pool without padding, and take the padding out of an average."""

    def __init__(self, border: Border) -> None:
        self.border = border

    def before(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        border = self.border
        self.shape = inputs[0][:1, :1].detach()  # else the step's autograd graph would live on into the next
        return (padded(inputs[0], border.reach, border.stride, border.form, border.fill),)

    def after(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        border = self.border
        ones = padded(torch.ones_like(self.shape), border.reach, border.stride, border.form, 0.0)
        return output / functional.avg_pool2d(ones, border.reach, border.stride)


def take_padding_out(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Forward pre-hook: divide a 3x3 average by the share of each window that lies inside the image."""
    (averaged,) = inputs
    share = functional.avg_pool2d(torch.ones_like(averaged[:1, :1]), kernel_size=3, stride=1, padding=1)
    return (averaged / share,)


# -- strides


class EveryOtherPixel(nn.Module):
    """In the place of a block's `downsample`: the block's own input, which a hook on the block keeps, subsampled."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Tensor | None = None

    def keep(self, _block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.kept = inputs[0]

    def forward(self, _preactivated: Tensor) -> Tensor:
        assert self.kept is not None
        shortcut, self.kept = self.kept[:, :, ::2, ::2], None
        return shortcut


# -- BatchNorm


class BiasedRunningVariance:
    """Hooks that make the batch's biased variance enter the running average.

    torch sets new = (1-m)*old + m*u with u = n/(n-1) of the biased variance; hence
    (1-m)*old + m*u*(n-1)/n = new*(n-1)/n + (1-m)*old/n. torch/nn/modules/batchnorm.py.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        self.norm = norm
        self.old: Tensor | None = None

    def attach(self) -> None:
        self.norm.register_forward_pre_hook(self.before)
        self.norm.register_forward_hook(self.after)

    def before(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        running = self.norm.running_var
        self.old = running.clone() if self.norm.training and running is not None else None

    def after(self, _module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        running, momentum = self.norm.running_var, self.norm.momentum
        if self.old is None or running is None:
            return
        if momentum is None:  # a cumulative average
            momentum = 1 / float(self.norm.num_batches_tracked or 1)
        count = inputs[0].numel() // inputs[0].shape[1]
        # `.data`: autograd has noted the buffer's version, although in training mode the backward pass never reads it
        running.data.mul_((count - 1) / count).add_(self.old * (1 - momentum), alpha=1 / count)
        self.old = None


# -- activations


class HardSigmoid(nn.Module):
    """clip(a*x + 1/2) between 0 and 1. form: the name of its steepness a (`piecewise`)."""

    def __init__(self, form: str, steepness: float) -> None:
        super().__init__()
        self.form, self.steepness = form, steepness

    def forward(self, values: Tensor) -> Tensor:
        return (values * self.steepness + 0.5).clamp(0, 1)
