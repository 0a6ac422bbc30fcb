"""The device that torch computes on, the flags under which it does, and what of it results depend on.

cuda when there is one, else cpu; `ISOTUNE_DEVICE` overrides. On CUDA, float32 means float32: TF32 is switched off
for matrix products and convolutions. cudnn may then choose among its algorithms by rule (`benchmark` stays off,
so that the choice does not depend on timings) and is held to those that give the same bits every time.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from isotune.errors import UsageError

# What layers of torch, torchvision and timm say when a map has become too small, or must have one size.
_SIZE_ERROR = re.compile(
    r"Kernel size can't be greater|Output size is too small|size of tensor a|is invalid for input of size"
    r"|(?i:(input|image) (image )?(height|width|size))|stack expects each tensor to be equal size"
    r"|Sizes of tensors must match"
)


def device() -> torch.device:
    """The device to compute on, flags set. UsageError: ISOTUNE_DEVICE names none that torch has."""
    asked = os.environ.get("ISOTUNE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(asked)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"ISOTUNE_DEVICE={asked!r} is no device that torch has here ({reason}); try 'cpu'") from None
    if chosen.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
    return chosen


def synchronize(where: torch.device) -> None:
    """Return when the device has done all that was asked of it."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)


def environment() -> dict[str, str]:
    """The device and the settings that results depend on."""
    where = device()
    settings = {
        "engine": "torch",
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else f"cpu ({platform.machine()})",
        "threads": str(torch.get_num_threads()),
        "interop_threads": str(torch.get_num_interop_threads()),
        "memory_format": "channels_last",
        "deterministic_algorithms": str(torch.are_deterministic_algorithms_enabled()),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkldnn": str(torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled),  # type: ignore[no-untyped-call]
    }
    if where.type == "cuda":
        settings |= {
            "cuda": str(torch.version.cuda),
            "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
            "cudnn_benchmark": str(torch.backends.cudnn.benchmark),
            "cudnn_deterministic": str(torch.backends.cudnn.deterministic),
            "tf32": str(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32),
        }
    return settings


@contextmanager
def loud(compiled: bool) -> Iterator[None]:
    """Errors that a user can act on, in one line: of the compiler, of BatchNorm on one value a channel, of a network
    on images of a size that it cannot take."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            "a batch of one image leaves BatchNorm one value a channel; set drop_last = true or another batch_size"
        ) from None
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        if compiled and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise UsageError(f"torch.compile failed ({reason}); run without compilation") from error
        if isinstance(error, RuntimeError | AssertionError) and _SIZE_ERROR.search(str(error)):
            raise UsageError(f"the network cannot take images of this size ({reason}); choose another") from None
        raise
