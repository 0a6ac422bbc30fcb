"""The small sweep that is killed and damaged: real networks, one probe each of a few seeds, in seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from isotune.runs.store import Store

MODELS = ("torchvision:mobilenet_v2", "timm:mobilenetv2_100")
SEEDS = 5
PROTOCOL = """
name = "tiny"
title = "A probe of few images"
source = "-"
[input]
size = 32
[images]
train = 60
test = 60
[probe]
l2 = [0.01]
"""


def isotune(house: Path, *arguments: object) -> list[str]:
    """A command of isotune's, to be run in `house`, where the protocol lies."""
    (house / "tiny.toml").write_text(PROTOCOL, encoding="utf-8")
    return [sys.executable, "-m", "isotune.cli", *map(str, arguments)]


def sweep(house: Path, store: Path, jobs: int = 1) -> list[str]:
    """The command of the sweep."""
    return isotune(
        house, "run", "--models", ",".join(MODELS), "--protocols", "tiny.toml", "--datasets", "digits",
        "--seeds", SEEDS, "--conventions", "identical", "--store", store, "--jobs", jobs, "--retry-failed",
    )  # fmt: skip


def environment(house: Path) -> dict[str, str]:
    """With a cache of its own, so that nobody else's is killed or damaged, and one thread whatever the number of
    workers, so that every run sums in the same order."""
    return os.environ | {"ISOTUNE_CACHE": str(house / "cache"), "OMP_NUM_THREADS": "1"}


def done(house: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    """What a command said and how it ended; it may take ten minutes."""
    return subprocess.run(
        command, cwd=house, env=environment(house), capture_output=True, text=True, check=False, timeout=600
    )


def table(store: Path) -> str:
    """What a report would show of a store, to the bit: accuracy, loss and predictions of every cell."""
    rows = {}
    for record in Store(store).all():
        if record.metrics is not None:
            rows[record.cell.key] = [record.metrics.accuracy, record.metrics.loss, record.predictions_digest]
    return json.dumps(rows, sort_keys=True)
