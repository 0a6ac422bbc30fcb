"""Pooling at the border: realised, read off, and how to write it.

Average pooling divides by the window (`count_include_pad`) or by what of it lies inside the image. timm's AvgPool2dSame
counts, whatever its argument says: it pads before it pools. Max pooling sees minus infinity outside the image, or zeros
where a network pads by itself. A pool that strides pads as strided convolutions do (`padding`).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from isotune.adapters._torch.axes.lines import PAIR
from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions, agreed, counting_values

if TYPE_CHECKING:
    from torch import nn

    from isotune.adapters._torch.axes.substitutes import Border

_Pair = tuple[int, int]


def realise(net: nn.Module, conventions: Conventions) -> None:
    """Make the pools of `net` meet the border as `conventions` say, in place."""
    from isotune.adapters._torch.axes.substitutes import take_padding_out

    for module in list(net.modules()):
        if (border := _border(module)) is not None:
            _set_border(module, border, _wanted(border, conventions))
        elif _has_functional_pool(module) and conventions.count_include_pad in ("false", "when-strided"):
            module.branch_pool.register_forward_pre_hook(take_padding_out)  # type: ignore[union-attr]


def forms(net: nn.Module) -> list[str | None]:
    """How the pools that stride pad."""
    return [border.form for border in _borders(net) if border.stride != (1, 1)]


def describe(net: nn.Module) -> dict[str, Any]:
    """What average and max pools make of the border."""
    fills = (border.fill for border in _borders(net) if border.counted is None)
    return {
        "count_include_pad": agreed("count_include_pad", _counting(net)),
        "max_pool_padding": agreed("max_pool_padding", ["zeros" if fill == 0 else "minus-infinity" for fill in fills]),
    }


def placeless(net: nn.Module) -> set[str]:
    """The axes to which no pool of `net` answers."""
    there = {"count_include_pad": _counting(net), "max_pool_padding": [b for b in _borders(net) if b.counted is None]}
    return {axis for axis, pools in there.items() if not pools}


def _counting(net: nn.Module) -> list[str]:
    from isotune.adapters._torch.axes.substitutes import take_padding_out

    averages = {(border.stride != (1, 1), border.counted) for border in _borders(net) if border.counted is not None}
    for module in net.modules():
        if _has_functional_pool(module):
            hooks = module.branch_pool._forward_pre_hooks.values()  # type: ignore[union-attr]
            averages.add((False, take_padding_out not in hooks))
    return counting_values(averages)


def _borders(net: nn.Module) -> list[Border]:
    return [border for module in net.modules() if (border := _border(module)) is not None]


def _border(module: nn.Module) -> Border | None:
    """The border of a pool; None for what is none, has no padding, or rounds its output size up."""
    from torch import nn

    from isotune.adapters._torch.axes.substitutes import Border, PaddedPool

    if not isinstance(module, nn.MaxPool2d | nn.AvgPool2d) or module.ceil_mode:
        return None
    for hook in module._forward_pre_hooks.values():
        if isinstance(owner := getattr(hook, "__self__", None), PaddedPool):
            return owner.border
    reach, stride = _pair(module.kernel_size), _pair(module.stride)
    is_max = isinstance(module, nn.MaxPool2d)
    if max(reach) == 1:
        return None
    if type(module).__name__ in ("MaxPool2dSame", "AvgPool2dSame"):
        return Border(reach, stride, "same", -math.inf if is_max else 0.0, None if is_max else True)
    if max(_pair(module.padding)) == 0 or _pair(module.padding) != ((reach[0] - 1) // 2, (reach[1] - 1) // 2):
        return None
    counted = None if is_max else bool(module.count_include_pad)
    return Border(reach, stride, "symmetric", -math.inf if is_max else 0.0, counted)


def _wanted(border: Border, conventions: Conventions) -> Border:
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


def _set_border(module: nn.Module, border: Border, wanted: Border) -> None:
    from torch import nn

    from isotune.adapters._torch.axes.substitutes import PaddedPool

    if border == wanted:
        return
    if wanted == replace(border, counted=wanted.counted) and border.form == "symmetric":
        module.count_include_pad = wanted.counted  # type: ignore[assignment]
        return
    module.__class__ = nn.MaxPool2d if isinstance(module, nn.MaxPool2d) else nn.AvgPool2d  # not timm's, which pad
    module.padding = (0, 0)  # type: ignore[assignment]
    hooks = PaddedPool(wanted)
    module.register_forward_pre_hook(hooks.before)
    if wanted.counted is False:
        module.register_forward_hook(hooks.after)


def _pair(value: Any) -> _Pair:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (int(value), int(value))


def _has_functional_pool(module: nn.Module) -> bool:
    """Inception v3's A, C and E in both libraries call F.avg_pool2d(x, 3, 1, padding=1) before `branch_pool`."""
    return type(module).__name__ in ("InceptionA", "InceptionC", "InceptionE") and hasattr(module, "branch_pool")


# -- the lines to write


_BORDER = f"""
import torch
from torch import nn
from torch.nn import functional

{PAIR}

def take_padding_out(_module, inputs):
    share = functional.avg_pool2d(torch.ones_like(inputs[0][:1, :1]), 3, stride=1, padding=1)
    return (inputs[0] / share,)


for module in model.modules():
    if isinstance(module, nn.AvgPool2d):
        module.count_include_pad = COUNTED
    elif type(module).__name__ in ("InceptionA", "InceptionC", "InceptionE"):  # these call their pools as functions
        module.branch_pool.register_forward_pre_hook(take_padding_out)
"""


_COUNT_BORDER = """
from torch import nn

for module in model.modules():
    if isinstance(module, nn.AvgPool2d):
        module.count_include_pad = True
"""


_ZEROS_AROUND_MAXIMUM = f"""
from torch import nn
from torch.nn import functional

{PAIR}

def pad_with_zeros(height, width):
    return lambda _module, inputs: (functional.pad(inputs[0], (width, width, height, height)),)


for module in model.modules():
    if isinstance(module, nn.MaxPool2d) and max(pair(module.padding)) > 0:
        module.register_forward_pre_hook(pad_with_zeros(*pair(module.padding)))
        module.padding = (0, 0)
"""


REMEDIES: Table = {
    "count_include_pad": {
        "true": (_COUNT_BORDER, ""),
        "false": (_BORDER.replace("COUNTED", "False"), ""),
        "when-strided": (_BORDER.replace("COUNTED", "max(pair(module.stride)) > 1"), ""),
    },
    "max_pool_padding": {
        "minus-infinity": ("", ITSELF.format("torch")),
        "zeros": (
            _ZEROS_AROUND_MAXIMUM,
            "After a ReLU both are the same. The lines keep the padding symmetric.",
        ),
    },
}
