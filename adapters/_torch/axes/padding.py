"""Padding of strided convolutions: realised, read off, and how to write it.

torch pads (k-1)//2 on both sides; SAME pads max(0, (ceil(n/s)-1)*s + k - n) in all, the odd pixel at the end, so it
depends on the input size (TensorFlow's `SAME`, timm/layers/padding.py). Windows without padding (patch embeddings,
Inception's VALID ones) are the same in every library and stay. How a pool pads: `pooling`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from isotune.adapters._torch.axes import pooling
from isotune.adapters._torch.axes.lines import PAIR
from isotune.adapters.remedies import Table
from isotune.conventions import Conventions, agreed

if TYPE_CHECKING:
    from torch import nn

_Pair = tuple[int, int]


def realise(net: nn.Module, conventions: Conventions) -> None:
    """Make the strided convolutions of `net` pad as `conventions` say, in place."""
    from torch import nn

    for module in list(net.modules()):
        if isinstance(module, nn.Conv2d):
            _set_padding(module, conventions.stride2_padding)


def describe(net: nn.Module) -> dict[str, Any]:
    """How what strides in `net` pads."""
    from torch import nn

    convolutions = [_padding(module) for module in net.modules() if isinstance(module, nn.Conv2d)]
    return {"stride2_padding": agreed("stride2_padding", [*convolutions, *pooling.forms(net)])}


def _padding(conv: nn.Conv2d) -> Literal["symmetric", "same", "neither"] | None:
    """How a strided convolution pads; None when it makes no difference."""
    from isotune.adapters._torch.axes.substitutes import PadSame

    if max(conv.stride) == 1 or max(conv.kernel_size) == 1:
        return None
    if _pads_itself(conv) or any(isinstance(hook, PadSame) for hook in conv._forward_pre_hooks.values()):
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
    from torch import nn

    from isotune.adapters._torch.axes.substitutes import PadSame

    if value == "same" and _padding(conv) == "symmetric" and conv.padding_mode == "zeros":
        conv.padding = (0, 0)
        conv.register_forward_pre_hook(PadSame(conv))
    elif value == "symmetric" and _padding(conv) == "same" and _pads_itself(conv):
        conv.padding = _symmetric(conv)
        if hasattr(conv, "same_pad"):
            conv.same_pad = False  # type: ignore[assignment]
        else:
            conv.__class__ = nn.Conv2d  # Conv2dSame differs from it by its forward alone


# -- the lines to write


_PAD_SAME = f'''
import torch
from torch import nn
from torch.nn import functional

{PAIR}

def symmetric(window):
    return tuple((k - 1) * d // 2 for k, d in zip(pair(window.kernel_size), pair(getattr(window, "dilation", 1))))


def pad_at_end(window, inputs):
    """SAME for the size at hand: the odd pixel of padding goes to the end."""
    sides = []
    dilations = pair(getattr(window, "dilation", 1))
    shapes = zip(inputs[0].shape[-2:], pair(window.kernel_size), pair(window.stride), dilations)
    for size, length, stride, dilation in shapes:
        total = max(0, (-(-size // stride) - 1) * stride + (length - 1) * dilation + 1 - size)
        sides = [total // 2, total - total // 2, *sides]
    outside = float("-inf") if isinstance(window, nn.MaxPool2d) else 0.0
    return (functional.pad(inputs[0], sides, value=outside),)


for window in model.modules():
    if isinstance(window, (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)) and max(pair(window.stride)) > 1:
        counted = getattr(window, "count_include_pad", True)
        if pair(window.padding) == symmetric(window) != (0, 0) and counted:
            window.padding = (0, 0)
            window.register_forward_pre_hook(pad_at_end)
'''


_PAD_BOTH_SIDES = """
from timm.layers import Conv2dSame
from torch import nn

for parent in list(model.modules()):
    for name, conv in list(parent.named_children()):
        if isinstance(conv, Conv2dSame):
            padding = tuple((k - 1) * d // 2 for k, d in zip(conv.kernel_size, conv.dilation))
            plain = nn.Conv2d(
                conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, padding, conv.dilation, conv.groups
            )
            plain.weight, plain.bias = conv.weight, conv.bias
            setattr(parent, name, plain)
"""


REMEDIES: Table = {
    "stride2_padding": {
        "symmetric": (
            _PAD_BOTH_SIDES,
            "torchvision pads so by itself; the lines are for the models of timm that pad at the end (`tf_`).",
        ),
        "same": (_PAD_SAME, "Average pools that stride and leave their padding out stay as they are."),
    },
}
