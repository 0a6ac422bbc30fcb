"""Numeric modes on torch, and what torch rounds by itself in float64, mended.

TF32 is a flag of the whole process: it is raised for the calls of a model in that mode, and lowered after each. float16
trains under `torch.amp.GradScaler`, since gradients below 6e-8 are zero in it.

The gradient of `hardsigmoid` multiplies by 1/6 held in float32 whatever the dtype
(aten/src/ATen/native/cpu/Activation.cpp, `hardsigmoid_backward_kernel`): 3.0e-8 too much in float64. CELU's holds
1/alpha so. And what a forward makes of a number, `torch.tensor(0.1)`, is float32 unless torch's default is another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from isotune.adapters.base import NumericMode
from isotune.errors import UsageError

_TF32_SINCE = (8, 0)  # Ampere's compute capability
_LARGEST_SCALE = 2.0**16  # what torch.amp.GradScaler begins with
_NARROW = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Precision:
    """One numeric mode on one device.

    dtype: of weights, and of all else in modes without autocast. UsageError: the device has no such mode.
    """

    def __init__(self, mode: NumericMode, device: torch.device) -> None:
        if mode == "tf32" and not _has_tf32(device):
            raise UsageError(
                f"numeric mode 'tf32': the device {device.type!r} has no TF32, which takes an NVIDIA GPU of compute"
                " capability 8.0 or more; float32 is what comes nearest"
            )
        self.mode, self.dtype = mode, torch.float64 if mode == "float64" else torch.float32
        self._device, self._narrow = device.type, _NARROW.get(mode)

    def calls(self) -> AbstractContextManager[None]:
        """Around everything that a model in this mode computes, backward passes included."""
        return _SWITCHES.get(self.mode, nullcontext)()

    def forward(self, net: nn.Module, images: Tensor) -> Tensor:
        """What `net` gives, in `dtype`."""
        if self._narrow is None:
            return net(images)  # type: ignore[no-any-return]
        with torch.autocast(self._device, self._narrow):
            outputs = net(images)
        return outputs.float()  # type: ignore[no-any-return]

    def scaler(self) -> torch.amp.GradScaler | None:
        """A new one for a trainer, in the mode that needs it."""
        return torch.amp.GradScaler(self._device, init_scale=_LARGEST_SCALE) if self.mode == "float16" else None

    def gradients(self, loss: Tensor, tensors: Sequence[Tensor]) -> list[Tensor | None]:
        """Of a scalar; None of what it does not depend on. In float16 under the largest scale that keeps all finite."""
        if self.mode != "float16":
            return list(torch.autograd.grad(loss, tensors, allow_unused=True))
        scale = _LARGEST_SCALE
        while True:
            parts = torch.autograd.grad(loss * scale, tensors, allow_unused=True, retain_graph=True)
            if scale <= 1 or all(part is None or bool(part.isfinite().all()) for part in parts):
                return [None if part is None else part / scale for part in parts]
            scale /= 2


def _has_tf32(device: torch.device) -> bool:
    is_nvidia = device.type == "cuda" and torch.version.cuda is not None
    return is_nvidia and torch.cuda.get_device_capability(device) >= _TF32_SINCE


@contextmanager
def _tf32() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


class _WrittenOut(TorchFunctionMode):
    """While inside, what torch rounds by itself is computed otherwise, whoever calls it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _INSTEAD.get(func, func)(*args, **(kwargs or {}))


def _hardsigmoid(values: Tensor, inplace: bool = False) -> Tensor:
    return functional.relu6(values + 3) / 6


def _celu(values: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    return values.clamp(min=0) + alpha * (values.clamp(max=0) / alpha).expm1()


_INSTEAD: dict[Any, Callable[..., Tensor]] = {
    functional.hardsigmoid: _hardsigmoid,
    torch._C._nn.hardsigmoid: _hardsigmoid,
    functional.celu: _celu,
    torch.celu: _celu,
}


@contextmanager
def settings_kept() -> Iterator[None]:
    """The default dtype is put back on leaving."""
    before = torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _float64() -> Iterator[None]:
    with settings_kept(), _WrittenOut():
        torch.set_default_dtype(torch.float64)
        yield


_SWITCHES: dict[str, Callable[[], AbstractContextManager[None]]] = {"tf32": _tf32, "float64": _float64}
