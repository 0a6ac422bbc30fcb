"""Network conventions realised on an `nn.Module`, and read off it.

`realise` changes a network in place so that it computes under the values asked; `own` leaves the library's.
`describe` says which values a network has. Both work on modules, whatever library they come from:

- strided convolutions: torch pads (k-1)//2 on both sides; SAME pads max(0, (ceil(n/s)-1)*s + k - n) in all, the
  odd pixel at the end, so it depends on the input size (tensorflow's `SAME`, timm/layers/padding.py). Convolutions
  without padding (patch embeddings, Inception's VALID ones) are the same in every library and stay. Pooling stays
  too: Keras pads it explicitly where torch does.
- average pooling with padding: `count_include_pad`.
- BatchNorm epsilon and momentum, and the variance that enters the running average: torch takes n/(n-1) of the
  batch's (torch/nn/modules/batchnorm.py), Keras the batch's own.
- GELU exact or by tanh.

`remove_randomness` takes dropout and stochastic depth out: what is random is drawn outside.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from isotune.conventions import Conventions

_Pair = tuple[int, int]


def realise(net: nn.Module, conventions: Conventions) -> None:
    """Make `net` compute under `conventions`, in place."""
    for module in list(net.modules()):
        if isinstance(module, nn.Conv2d):
            _set_padding(module, conventions.stride2_padding)
        elif isinstance(module, _BatchNorm):
            if conventions.batchnorm_epsilon is not None:
                module.eps = conventions.batchnorm_epsilon
            if conventions.batchnorm_momentum is not None:
                module.momentum = conventions.batchnorm_momentum
            if conventions.batchnorm_running_variance == "biased" and module.track_running_stats:
                _BiasedRunningVariance(module).attach()
        elif _pads_average(module):
            if conventions.pooling_border != "own":
                module.count_include_pad = conventions.pooling_border == "counted"  # type: ignore[assignment]
        elif _has_functional_pool(module) and conventions.pooling_border == "not-counted":
            module.branch_pool.register_forward_pre_hook(_take_padding_out)  # type: ignore[union-attr]
    if conventions.gelu != "own":
        _set_gelu(net, conventions.gelu)


def describe(net: nn.Module) -> dict[str, Any]:
    """The network axes of `net` but for the input scaling. `own` or None: none such, or not all alike."""
    modules = list(net.modules())
    norms = [module for module in modules if isinstance(module, _BatchNorm)]
    pools = ["counted" if m.count_include_pad else "not-counted" for m in modules if _pads_average(m)]
    for module in modules:
        if _has_functional_pool(module):
            hooks = module.branch_pool._forward_pre_hooks.values()  # type: ignore[union-attr]
            pools.append("not-counted" if _take_padding_out in hooks else "counted")
    return {
        "stride2_padding": _only([_padding(m) for m in modules if isinstance(m, nn.Conv2d)], "own"),
        "pooling_border": _only(pools, "own"),
        "batchnorm_epsilon": _only([module.eps for module in norms], None),
        "batchnorm_momentum": _only([module.momentum for module in norms], None),
        "gelu": _only([_gelu(module) for module in modules], "own"),
    }


def _only(values: list[Any], otherwise: Any) -> Any:
    distinct = {value for value in values if value is not None}
    return distinct.pop() if len(distinct) == 1 else otherwise


# -- strided convolutions


def _padding(conv: nn.Conv2d) -> Literal["symmetric", "end", "neither"] | None:
    """How a strided convolution pads; None when it makes no difference."""
    if max(conv.stride) == 1 or max(conv.kernel_size) == 1:
        return None
    if _pads_itself(conv) or any(isinstance(hook, _PadAtEnd) for hook in conv._forward_pre_hooks.values()):
        return "end"
    if conv.padding == _symmetric(conv):
        return None if max(conv.padding) == 0 else "symmetric"
    return None if conv.padding in ((0, 0), "valid") else "neither"


def _symmetric(conv: nn.Conv2d) -> _Pair:
    height, width = ((k - 1) * d // 2 for k, d in zip(conv.kernel_size, conv.dilation, strict=True))
    return height, width


def _pads_itself(conv: nn.Conv2d) -> bool:
    """timm's Conv2dSame, StdConv2dSame and ScaledStdConv2dSame."""
    return type(conv).__name__ == "Conv2dSame" or getattr(conv, "same_pad", False) is True


def _set_padding(conv: nn.Conv2d, value: str) -> None:
    if value == "end" and _padding(conv) == "symmetric" and conv.padding_mode == "zeros":
        conv.padding = (0, 0)
        conv.register_forward_pre_hook(_PadAtEnd(conv))
    elif value == "symmetric" and _padding(conv) == "end" and _pads_itself(conv):
        conv.padding = _symmetric(conv)
        if hasattr(conv, "same_pad"):
            conv.same_pad = False  # type: ignore[assignment]
        else:
            conv.__class__ = nn.Conv2d  # Conv2dSame differs from it by its forward alone


class _PadAtEnd:
    """Forward pre-hook: SAME padding for the input size at hand."""

    def __init__(self, conv: nn.Conv2d) -> None:
        self.reach = [(k - 1) * d + 1 for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
        self.stride = conv.stride

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        (images,) = inputs
        (top, bottom), (left, right) = (
            _same_padding(size, reach, stride)
            for size, reach, stride in zip(images.shape[-2:], self.reach, self.stride, strict=True)
        )
        return (functional.pad(images, (left, right, top, bottom)),)


def _same_padding(size: int, reach: int, stride: int) -> _Pair:
    """(before, after) of SAME: as many outputs as ceil(size / stride), the odd pixel after."""
    total = max(0, (-(-size // stride) - 1) * stride + reach - size)
    return total // 2, total - total // 2


# -- pooling


def _pads_average(module: nn.Module) -> bool:
    return type(module) is nn.AvgPool2d and module.padding not in (0, (0, 0))


def _has_functional_pool(module: nn.Module) -> bool:
    """Inception v3's A, C and E in both libraries call F.avg_pool2d(x, 3, 1, padding=1) before `branch_pool`."""
    return type(module).__name__ in ("InceptionA", "InceptionC", "InceptionE") and hasattr(module, "branch_pool")


def _take_padding_out(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Forward pre-hook: divide a 3x3 average by the share of each window that lies inside the image."""
    (averaged,) = inputs
    share = functional.avg_pool2d(torch.ones_like(averaged[:1, :1]), kernel_size=3, stride=1, padding=1)
    return (averaged / share,)


# -- BatchNorm


class _BiasedRunningVariance:
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


# -- activations and randomness


def _gelu(module: nn.Module) -> str | None:
    if isinstance(module, nn.GELU):
        return "exact" if module.approximate == "none" else "tanh"
    return {"GELU": "exact", "GELUTanh": "tanh"}.get(type(module).__name__)


def _set_gelu(net: nn.Module, value: str) -> None:
    for module in net.modules():
        for name, child in module.named_children():
            if _gelu(child) is not None:
                setattr(module, name, nn.GELU(approximate="none" if value == "exact" else "tanh"))


def remove_randomness(net: nn.Module) -> None:
    """Set every probability of dropping something to zero, in place."""
    for module in net.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif type(module).__name__ == "StochasticDepth":
            module.p = 0.0  # type: ignore[assignment]
        elif type(module).__name__ == "DropPath":
            module.drop_prob = 0.0  # type: ignore[assignment]
        for name in ("drop_rate", "dropout", "attention_dropout"):  # what forward hands to F.dropout
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
