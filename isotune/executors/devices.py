"""The GPUs among which workers of this machine are shared out, without a framework."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

VISIBLE = "CUDA_VISIBLE_DEVICES"
_CHOSEN = "ISOTUNE_DEVICE"
_QUERY = ("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")
_SECONDS = 20  # a driver that is being loaded takes its time


def to_share(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Several GPUs, each as CUDA_VISIBLE_DEVICES takes it; none where there is one or none, or ISOTUNE_DEVICE says what
    all compute on."""
    if environment.get(_CHOSEN):
        return []
    if VISIBLE in environment:
        known = [name.strip() for name in environment[VISIBLE].split(",")]
        if "-1" in known:  # CUDA takes those before it
            known = known[: known.index("-1")]
    else:
        known = _installed()
    named = list(dict.fromkeys(name for name in known if name))
    return named if len(named) > 1 else []


def _installed() -> list[str]:
    """By their UUIDs: CUDA's numbers follow another order than the driver's."""
    try:
        said = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in said.stdout.splitlines()]
