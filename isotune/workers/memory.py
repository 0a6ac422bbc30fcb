"""Peak memory of this process.

The peak that the operating system keeps (`ru_maxrss`) is that of the whole life of a process, so a
second model in the same worker would inherit the first one's. On Linux it can be reset: writing 5 to
/proc/self/clear_refs sets VmHWM back to the present resident set (man 5 proc).
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import psutil


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
