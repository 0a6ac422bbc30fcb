"""Memory of this process: its peak, and what its allocator keeps.

The peak that the operating system keeps (`ru_maxrss`) is that of the whole life of a process, so a
second model in the same worker would inherit the first one's. On Linux it can be reset: writing 5 to
/proc/self/clear_refs sets VmHWM back to the present resident set (man 5 proc).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path

import psutil

# glibc's parameters (man 3 mallopt): number and bytes. 32 MiB is the largest threshold that it takes.
_KEPT = {
    "MALLOC_TRIM_THRESHOLD_": (-1, 1 << 30),
    "MALLOC_TOP_PAD_": (-2, 64 << 20),
    "MALLOC_MMAP_THRESHOLD_": (-3, 32 << 20),
}
_OTHERS = ("MALLOC_MMAP_MAX_", "MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "LD_PRELOAD")  # the user has settled it
FLAGS = (*_KEPT, *_OTHERS)  # on record


def keep_freed() -> None:
    """Have glibc keep what a training step frees for the next step, where the user has settled nothing of its own.

    By default it returns the larger activations to the kernel, which clears them again page by page in the next step:
    90,000 page faults and a quarter of a second of the kernel's time in a step of torch's MobileNetV2 on 64 images of
    96 pixels, 30,000 with this (benchmarks/validation/speed/freed_memory.py). It changes no number.
    """
    if any(name in os.environ for name in FLAGS) or not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl's has none
    if mallopt is not None and all(mallopt(number, size) for number, size in _KEPT.values()):
        os.environ |= {name: str(size) for name, (_, size) in _KEPT.items()}  # children, and the record


def resident() -> int:
    """Bytes resident now."""
    return int(psutil.Process().memory_info().rss)


def reset_peak() -> None:
    """Start a new peak where the system allows it (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> int | None:
    """Peak resident bytes since `reset_peak` on Linux, of the process elsewhere; None where unknown."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # kilobytes everywhere but on macOS
