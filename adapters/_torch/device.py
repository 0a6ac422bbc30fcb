"""The device that torch computes on, the flags under which it does, and what of it results depend on.

cuda when there is one, else cpu; `ISOTUNE_DEVICE` overrides. On CUDA, float32 means float32: TF32 is switched off
for matrix products and convolutions, but in the numeric mode of that name (`numeric`). cudnn may then choose among its
algorithms by rule (`benchmark` stays off, so that the choice does not depend on timings) and is held to those that give
the same bits every time.
"""

from __future__ import annotations

import gc
import os
import platform
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch

from isotune.adapters._torch import step_graph
from isotune.errors import UsageError

# What layers of torch, torchvision and timm say when a map has become too small, or must have one size.
_SIZE_ERROR = re.compile(
    r"Kernel size can't be greater|Output size is too small|size of tensor a|is invalid for input of size"
    r"|(?i:(input|image) (image )?(height|width|size))|stack expects each tensor to be equal size"
    r"|Sizes of tensors must match"
)
# What torch and the libraries under it say when memory has run out, where it is not torch.OutOfMemoryError.
_MEMORY_ERROR = re.compile(r"out of memory|can't allocate memory|STATUS_ALLOC_FAILED")
_ASKED = re.compile(r"[Tt]ried to allocate ([\d.]+) (bytes|[KMG]iB)")
_UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def device() -> torch.device:
    """The device to compute on, flags set. UsageError: ISOTUNE_DEVICE names none that torch has."""
    asked = os.environ.get("ISOTUNE_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(asked)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        if _MEMORY_ERROR.search(str(error)):  # the card is full before this process has its context
            raise _out_of_memory(error) from None
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
            "cuda_graphs": str(step_graph.enabled(where)),
        }
    return settings


def clocks() -> dict[str, float]:
    """What the GPU is doing: `clock_mhz` of its multiprocessors, `temperature_c`, `power_w`, `utilization_percent` over
    the last second. Without what cannot be read (it takes the package nvidia-ml-py); empty on the CPU.

    Read it around what is timed, not within: each takes up to a few milliseconds.
    """
    if not torch.cuda.is_available() or device().type != "cuda":
        return {}
    readings: dict[str, Callable[[], float]] = {
        "clock_mhz": torch.cuda.clock_rate,
        "temperature_c": torch.cuda.temperature,
        "power_w": lambda: torch.cuda.power_draw() / 1000,  # milliwatts
        "utilization_percent": torch.cuda.utilization,
    }
    clocks = {}
    for name, read in readings.items():
        with suppress(Exception):  # no pynvml, or a driver that does not tell: of many classes
            clocks[name] = float(read())
    return clocks


@contextmanager
def loud(compiled: bool) -> Iterator[None]:
    """Errors that a user can act on, in one line: of the compiler, of BatchNorm on one value a channel, of a network
    on images of a size that it cannot take, of memory that has run out."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UsageError(
            "a batch of one image leaves BatchNorm one value a channel; set drop_last = true or another batch_size"
        ) from None
    except Exception as error:
        if isinstance(error, torch.OutOfMemoryError) or (
            isinstance(error, RuntimeError) and _MEMORY_ERROR.search(str(error))
        ):
            raise _out_of_memory(error) from None
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        if compiled and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise UsageError(f"torch.compile failed ({reason}); run without compilation") from error
        if isinstance(error, RuntimeError | AssertionError) and _SIZE_ERROR.search(str(error)):
            raise UsageError(f"the network cannot take images of this size ({reason}); choose another") from None
        raise


def _out_of_memory(error: Exception) -> UsageError:
    """The error of one line. What the failed work held is let go, for this process's other work and for others."""
    asked = _ASKED.search(str(error))
    size = f"{_gib(float(asked[1]) * _UNITS[asked[2]])} more was asked for" if asked else "no more could be had"
    where, held = "", ""
    on_card = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if on_card:
        with suppress(RuntimeError):
            free, total = torch.cuda.mem_get_info()
            own = torch.cuda.memory_reserved()
            where = f" on {torch.cuda.get_device_name()}"
            held = f"; of its {_gib(total)} this process holds {_gib(own)}, other processes and the driver"
            held += f" {_gib(max(0, total - free - own))}"
    if error.__traceback__ is not None:
        traceback.clear_frames(error.__traceback__)  # their locals are activations and gradients
    gc.collect()
    if on_card:
        with suppress(RuntimeError):
            torch.cuda.empty_cache()
    return UsageError(f"out of memory{where}: {size}{held}; take a smaller batch_size or smaller images")


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"
