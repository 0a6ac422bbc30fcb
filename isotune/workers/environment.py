"""The machine and the settings that results depend on."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from pathlib import Path

import numpy as np
import psutil

FLAGS = (
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "MKL_NUM_THREADS",
    "TF_ENABLE_ONEDNN_OPTS",
    "XLA_FLAGS",
    "TF_XLA_FLAGS",
    "CUDA_VISIBLE_DEVICES",
)


def settle_threads(threads: int | None = None, *, shared: bool = False) -> None:
    """Settings of the thread pools, to be made before a framework is imported; what is set already stays.

    shared: other work runs at the same time. OpenMP threads that wait for work then sleep instead of spinning against
    the thread they wait for. Alone they spin, which is every framework's default and is faster.
    """
    if shared:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads:
        os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ISOTUNE_THREADS"), str(threads))


@functools.cache
def machine() -> dict[str, str]:
    """CPU, cores, memory, Python, NumPy, commit, and the flags that are set."""
    facts = {
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "platform": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    if commit := _commit():
        facts["commit"] = commit
    return facts | {flag: os.environ[flag] for flag in FLAGS if flag in os.environ}


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str:
    """The checkout's commit, with `+` when files differ from it; empty for an installed package."""
    folder = Path(__file__).parent.parent
    if not (folder / ".git").exists():
        return ""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        )
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
