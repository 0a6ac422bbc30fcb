"""What the faults of BatchNorm are put together from: the usual computation in parts, and a way to replace it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional


def norms(model: Any) -> list[nn.BatchNorm2d]:
    """A model's BatchNorm layers, in the order in which they are registered."""
    return [module for module in model.net.modules() if isinstance(module, nn.BatchNorm2d)]


def replace_forward(model: Any, forward: Callable[[nn.BatchNorm2d, Tensor], Tensor]) -> None:
    """Let every BatchNorm of the model compute forward(norm, x) from now on."""
    for norm in norms(model):
        norm.forward = lambda x, norm=norm: forward(norm, x)


def batch_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of a batch [N, C, H, W], each [C]."""
    return x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)


def batch_norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """What the layer computes when nothing is changed; updates its running statistics in training mode."""
    return functional.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training, norm.momentum, norm.eps
    )


def per_channel(values: Tensor | None) -> Tensor:
    """Values [C] as [1, C, 1, 1], to be combined with maps [N, C, H, W]."""
    assert values is not None
    return values.view(1, -1, 1, 1)


def scale_and_shift(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """The layer's last step, of an x that is normalised already."""
    return x * per_channel(norm.weight) + per_channel(norm.bias)
