"""Where a ResNet of bottlenecks strides, on torchvision's and timm's modules: realised, read off, how to write it.

| value | who | where |
|---|---|---|
| 3x3 | torchvision, timm (v1.5; v2) | first block of a stage, on its 3x3 convolution |
| first-1x1 | Caffe, Keras v1 | first block of a stage, on its first 1x1 convolution |
| last-block | TF-Slim, Keras v2 | last block of the stage before, on its 3x3; its shortcut takes every other pixel |

The tensors are the same in all.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, Literal

from isotune.adapters.remedies import Table
from isotune.conventions import Conventions
from isotune.errors import UsageError

if TYPE_CHECKING:
    from torch import nn

_BOTTLENECKS = ("Bottleneck", "PreActBottleneck")


def realise(net: nn.Module, conventions: Conventions) -> None:
    """Have `net` stride where `conventions` say, in place. UsageError: this kind of ResNet cannot."""
    set_stride_location(net, conventions.stride_location)


def set_stride_location(net: nn.Module, value: str) -> None:
    """Move the strides of `net`, in place; without bottlenecks, or for `own`, nothing happens.

    UsageError: a value that this kind of ResNet does not have.
    """
    if value == "own" or stride_location(net) in (None, value):
        return
    pre_activation = any(type(module).__name__ == "PreActBottleneck" for module in net.modules())
    if value == "first-1x1" and not pre_activation:
        for block in _blocks(net):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
    elif value == "last-block" and pre_activation:
        blocks = list(_blocks(net))
        for last, first in itertools.pairwise(blocks):
            if max(first.conv2.stride) > 1:
                _move_to_end(last, first)
    else:
        kind = "pre-activation (v2)" if pre_activation else "v1"
        allowed = "own, 3x3, last-block" if pre_activation else "own, first-1x1, 3x3"
        raise UsageError(f"stride_location={value}: a {kind} ResNet has {allowed}")


def describe(net: nn.Module) -> dict[str, Any]:
    """Where `net` strides."""
    return {"stride_location": stride_location(net) or "own"}


def placeless(net: nn.Module) -> set[str]:
    """The axis, where no bottleneck of `net` strides."""
    return set() if stride_location(net) else {"stride_location"}


def stride_location(net: nn.Module) -> Literal["3x3", "first-1x1", "last-block"] | None:
    """Where the bottlenecks of `net` stride; None: there are none, or none strides."""
    from isotune.adapters._torch.axes.substitutes import EveryOtherPixel

    for block in _blocks(net):
        if isinstance(getattr(block, "downsample", None), EveryOtherPixel):
            return "last-block"
        if max(block.conv1.stride) > 1:
            return "first-1x1"
        if max(block.conv2.stride) > 1:
            return "3x3"
    return None


def _blocks(net: nn.Module) -> list[Any]:
    """Bottlenecks whose second convolution is the 3x3 one."""
    from torch import nn

    return [
        module
        for module in net.modules()
        if type(module).__name__ in _BOTTLENECKS
        and isinstance(getattr(module, "conv1", None), nn.Conv2d)
        and isinstance(getattr(module, "conv2", None), nn.Conv2d)
    ]


def _move_to_end(last: Any, first: Any) -> None:
    """Move the stride of `first`, the first block of a stage, to `last`, the block before it."""
    from isotune.adapters._torch.axes.substitutes import EveryOtherPixel

    last.conv2.stride, first.conv2.stride = first.conv2.stride, (1, 1)
    first.downsample.conv.stride = (1, 1)
    last.downsample = EveryOtherPixel()
    last.register_forward_pre_hook(last.downsample.keep)


# -- the lines to write


_FIRST_1X1 = """
for block in model.modules():
    if type(block).__name__ == "Bottleneck":
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
"""


REMEDIES: Table = {
    "stride_location": {
        "3x3": ("", "torchvision and timm do so by themselves: nothing is to be written."),
        "first-1x1": (_FIRST_1X1, "For a ResNet v1 of bottlenecks; no other has such a stride."),
        "last-block": ("", "For timm's ResNets v2 isotune does it with OVERRIDE; no other network has such a stride."),
    },
}
