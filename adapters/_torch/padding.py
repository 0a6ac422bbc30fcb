"""Padding of strided convolutions and of pooling on an `nn.Module`: realised, and read off.

- Strided convolutions and strided pooling: torch pads (k-1)//2 on both sides; SAME pads max(0, (ceil(n/s)-1)*s + k - n)
  in all, the odd pixel at the end, so it depends on the input size (TensorFlow's `SAME`, timm/layers/padding.py).
  Windows without padding (patch embeddings, Inception's VALID ones) are the same in every library and stay.
- Average pooling divides by the window (`count_include_pad`) or by what of it lies inside the image. timm's
  AvgPool2dSame counts, whatever its argument says: it pads before it pools.
- Max pooling sees minus infinity outside the image, or zeros where a network pads by itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from isotune.conventions import Conventions, counting_values

_Pair = tuple[int, int]
Form = Literal["symmetric", "same"]


def realise_windows(net: nn.Module, conventions: Conventions) -> None:
    """Make the windows of `net` pad as `conventions` say, in place."""
    for module in list(net.modules()):
        if isinstance(module, nn.Conv2d):
            _set_padding(module, conventions.stride2_padding)
        elif (border := _border(module)) is not None:
            _set_border(module, border, _wanted(border, conventions))
        elif _has_functional_pool(module) and conventions.count_include_pad in ("false", "when-strided"):
            module.branch_pool.register_forward_pre_hook(_take_padding_out)  # type: ignore[union-attr]


def describe_windows(net: nn.Module) -> dict[str, list[Any]]:
    """Of each axis the values met in `net`, None where a window makes no difference."""
    modules = list(net.modules())
    borders = [border for module in modules if (border := _border(module)) is not None]
    strided = [border.form for border in borders if border.stride != (1, 1)]
    averages = {(border.stride != (1, 1), border.counted) for border in borders if border.counted is not None}
    for module in modules:
        if _has_functional_pool(module):
            hooks = module.branch_pool._forward_pre_hooks.values()  # type: ignore[union-attr]
            averages.add((False, _take_padding_out not in hooks))
    fills = [border.fill for border in borders if border.counted is None]
    return {
        "stride2_padding": [*(_padding(m) for m in modules if isinstance(m, nn.Conv2d)), *strided],
        "count_include_pad": counting_values(averages),
        "max_pool_padding": ["zeros" if fill == 0 else "minus-infinity" for fill in fills],
    }


# -- strided convolutions


def _padding(conv: nn.Conv2d) -> Literal["symmetric", "same", "neither"] | None:
    """How a strided convolution pads; None when it makes no difference."""
    if max(conv.stride) == 1 or max(conv.kernel_size) == 1:
        return None
    if _pads_itself(conv) or any(isinstance(hook, _PadAtEnd) for hook in conv._forward_pre_hooks.values()):
        return "same"
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
    if value == "same" and _padding(conv) == "symmetric" and conv.padding_mode == "zeros":
        conv.padding = (0, 0)
        conv.register_forward_pre_hook(_PadAtEnd(conv))
    elif value == "symmetric" and _padding(conv) == "same" and _pads_itself(conv):
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
        return (_padded(inputs[0], self.reach, self.stride, "same", 0.0),)


def _padded(images: Tensor, reach: Any, strides: Any, form: Form, fill: float) -> Tensor:
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
class _Border:
    """How a pooling window meets the border."""

    reach: _Pair
    stride: _Pair
    form: Form
    fill: float  # of max pooling, outside the image
    counted: bool | None  # of average pooling: whether padding counts; None: max pooling


class _Realised:
    """Forward hooks that pad before a pool without padding, and take the padding out of an average."""

    def __init__(self, border: _Border) -> None:
        self.border = border

    def before(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        border = self.border
        self.shape = inputs[0][:1, :1]
        return (_padded(inputs[0], border.reach, border.stride, border.form, border.fill),)

    def after(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        border = self.border
        ones = _padded(torch.ones_like(self.shape), border.reach, border.stride, border.form, 0.0)
        return output / functional.avg_pool2d(ones, border.reach, border.stride)


def _border(module: nn.Module) -> _Border | None:
    """The border of a pool; None for what is none, has no padding, or rounds its output size up."""
    if not isinstance(module, nn.MaxPool2d | nn.AvgPool2d) or module.ceil_mode:
        return None
    for hook in module._forward_pre_hooks.values():
        if isinstance(found := getattr(hook, "__self__", None), _Realised):
            return found.border
    reach, stride = _pair(module.kernel_size), _pair(module.stride)
    is_max = isinstance(module, nn.MaxPool2d)
    if max(reach) == 1:
        return None
    if type(module).__name__ in ("MaxPool2dSame", "AvgPool2dSame"):
        return _Border(reach, stride, "same", -math.inf if is_max else 0.0, None if is_max else True)
    if max(_pair(module.padding)) == 0 or _pair(module.padding) != ((reach[0] - 1) // 2, (reach[1] - 1) // 2):
        return None
    counted = None if is_max else bool(module.count_include_pad)
    return _Border(reach, stride, "symmetric", -math.inf if is_max else 0.0, counted)


def _wanted(border: _Border, conventions: Conventions) -> _Border:
    strided = border.stride != (1, 1)
    if strided and conventions.stride2_padding != "own":
        border = replace(border, form=conventions.stride2_padding)
    if border.counted is None:
        if conventions.max_pool_padding != "own":
            border = replace(border, fill=0.0 if conventions.max_pool_padding == "zeros" else -math.inf)
    elif conventions.count_include_pad != "own":
        counted = conventions.count_include_pad == "true" or (
            strided and conventions.count_include_pad == "when-strided"
        )
        border = replace(border, counted=counted)
    return border


def _set_border(module: nn.Module, border: _Border, wanted: _Border) -> None:
    if border == wanted:
        return
    if wanted == replace(border, counted=wanted.counted) and border.form == "symmetric":
        module.count_include_pad = wanted.counted  # type: ignore[assignment]
        return
    module.__class__ = nn.MaxPool2d if isinstance(module, nn.MaxPool2d) else nn.AvgPool2d  # not timm's, which pad
    module.padding = (0, 0)  # type: ignore[assignment]
    hooks = _Realised(wanted)
    module.register_forward_pre_hook(hooks.before)
    if wanted.counted is False:
        module.register_forward_hook(hooks.after)


def _pair(value: Any) -> _Pair:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (int(value), int(value))


def _has_functional_pool(module: nn.Module) -> bool:
    """Inception v3's A, C and E in both libraries call F.avg_pool2d(x, 3, 1, padding=1) before `branch_pool`."""
    return type(module).__name__ in ("InceptionA", "InceptionC", "InceptionE") and hasattr(module, "branch_pool")


def _take_padding_out(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Forward pre-hook: divide a 3x3 average by the share of each window that lies inside the image."""
    (averaged,) = inputs
    share = functional.avg_pool2d(torch.ones_like(averaged[:1, :1]), kernel_size=3, stride=1, padding=1)
    return (averaged / share,)
