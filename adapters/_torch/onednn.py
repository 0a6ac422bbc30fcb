"""A way around a fault of oneDNN, torch's convolutions on the CPU.

The weight gradient of a strided 1x1 convolution with fewer input channels than a vector has lanes (16 with AVX-512)
writes past its workspace when tensors are channels_last: it crashes, or is silently wrong
(https://github.com/uxlfoundation/oneDNN/issues/6035; torch 2.13, met in timm's FastViT). With stride 1 it is right.
"""

from __future__ import annotations

from torch import Tensor, nn

_LANES = 16


def avoid_narrow_strided_pointwise(net: nn.Module) -> None:
    """Let such convolutions of `net` take their strides beforehand, in place: the same function, exactly."""
    for module in net.modules():
        if (
            isinstance(module, nn.Conv2d)
            and set(module.kernel_size) == {1}
            and max(module.stride) > 1
            and module.padding == (0, 0)
            and module.in_channels // module.groups < _LANES
        ):
            module.register_forward_pre_hook(_Subsample(*module.stride))
            module.stride = (1, 1)


class _Subsample:
    """Forward pre-hook: every stride-th pixel."""

    def __init__(self, down: int, across: int) -> None:
        self.down, self.across = down, across

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0][:, :, :: self.down, :: self.across],)
