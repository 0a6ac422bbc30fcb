"""Which process of which machine: so that another process can tell whether it still runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import psutil


@cache
def machine() -> str:
    """A running system, and within it the processes that this one can see, and when they were born by its clock. The
    name is there for systems that were copied while they ran."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        spaces = [Path(f"/proc/self/ns/{kind}") for kind in ("pid", "time")]  # a kernel before 5.6 has no time
        return " ".join([platform.node(), boot, *(str(each.stat().st_ino) for each in spaces if each.exists())])
    except OSError:
        return f"{platform.node()} {psutil.boot_time():.0f}"


def myself() -> dict[str, Any]:
    """This process, as JSON: host, machine, process, born."""
    process = os.getpid()
    return {"host": platform.node(), "machine": machine(), "process": process, "born": _born(process)}


def _born(process: int) -> str | None:
    """What tells a process from a later one of the same number. Empty: there is none, or it has ended; None: there is
    one, of which this process may not see more."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]  # proc(5): state, and starttime in ticks since boot
    except (OSError, IndexError):
        pass
    try:
        if not Path("/proc/self/stat").exists():
            return str(psutil.Process(process).create_time())
        os.kill(process, 0)  # of another user's process that /proc hides (hidepid)
    except (psutil.NoSuchProcess, ProcessLookupError, OverflowError):
        return ""
    except (psutil.Error, PermissionError):
        pass
    return None


def is_gone(who: Mapping[str, Any]) -> bool:
    """Whether a process, as `myself` told it, was of this machine and runs no more."""
    if who.get("machine") != machine() or not isinstance(who.get("process"), int):
        return False
    return _born(who["process"]) not in (None, who.get("born"))


def is_alive(who: Mapping[str, Any]) -> bool:
    """Whether it is of this machine, and runs or is stopped."""
    return who.get("machine") == machine() and isinstance(who.get("process"), int) and not is_gone(who)
