"""The small sweep that jobs run: two libraries, real weights, a fine-tuning of some seconds for each of a few seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cluster import Cluster

from isotune.runs.store import Store

T = TypeVar("T")
CELLS = 12
SWEEP = """
models = ["torchvision:mobilenet_v2", "timm:mobilenetv2_100"]
protocols = ["tiny.toml"]
conventions = ["identical"]
seeds = 6
jobs = {jobs}
executor = {{ name = "slurm", partition = "{partition}", time = "{time}" }}
"""
PROTOCOL = """
name = "tiny"
title = "A fine-tuning of few images"
source = "-"
[images]
train = 200
test = 200
[input]
size = 64
[[stage]]
epochs = 4
batch_size = 20
optimizer = { name = "sgd", momentum = 0.9 }
schedule = { learning_rate = 0.01 }
"""


class House:
    """A folder in which the sweep is run. environment: with a cache of its own, and one thread, so that every run sums
    in the same order wherever it is."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder, self.cluster = folder, cluster
        self.environment = cluster.environment | {"ISOTUNE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        (folder / "tiny.toml").write_text(PROTOCOL, encoding="utf-8")
        self.write()

    def write(self, *, jobs: int = 4, partition: str = "work", limit: str = "1h") -> None:
        """The sweep file."""
        text = SWEEP.format(jobs=jobs, partition=partition, time=limit)
        (self.folder / "sweep.toml").write_text(text, encoding="utf-8")

    def start(self, store: str, *arguments: str) -> subprocess.Popen[str]:
        """`isotune run sweep.toml`, under way."""
        return self._isotune("run", "sweep.toml", "--store", store, *arguments)

    def run(self, store: str, *arguments: str) -> tuple[int, str, float]:
        """Exit status, what it said, seconds."""
        return ended(self.start(store, *arguments))

    def status(self, store: str) -> tuple[dict, str]:
        """What `isotune status` says: as JSON, and in words."""
        _, said, _ = ended(self._isotune("status", store, "--json"))
        _, words, _ = ended(self._isotune("status", store))
        return json.loads(said.splitlines()[-1]), words

    def done(self, store: str) -> int:
        """Cells with a result."""
        return len(list((self.folder / store).glob("*/record.json")))

    def table(self, store: str) -> dict[str, list]:
        """Accuracy, loss and digest of the predictions of every cell that is done, to the bit; and, of every cell, how
        many results there are."""
        rows: dict[str, list] = {}
        for record in Store(self.folder / store).all():
            if record.metrics is not None:
                row = [record.metrics.accuracy, record.metrics.loss, record.predictions_digest]
                rows.setdefault(record.cell.key, []).append(row)
        return rows

    def running(self) -> str:
        """The number of a job that runs; it is waited for."""
        return until(
            lambda: next((job for job, (state, _) in self.cluster.jobs().items() if state == "RUNNING"), ""),
            "no job runs",
        )

    def _isotune(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "isotune.cli", *arguments], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str, float]:
    """A process's exit status, what it said, seconds until it ended."""
    began = time.monotonic()
    said, _ = process.communicate(timeout=1200)
    return process.returncode, said, time.monotonic() - began


def until(see: Callable[[], T], otherwise: str, seconds: float = 300) -> T:
    """What `see` gives, once it gives something."""
    ends = time.monotonic() + seconds
    while not (seen := see()):
        if time.monotonic() > ends:
            raise RuntimeError(otherwise)
        time.sleep(0.3)
    return seen


def alive(words: str) -> list[int]:
    """Processes whose command begins with these words."""
    numbers = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if int(each.name) != os.getpid() and (each / "cmdline").read_text().replace("\0", " ").startswith(words):
                numbers.append(int(each.name))
        except OSError:
            continue
    return numbers
