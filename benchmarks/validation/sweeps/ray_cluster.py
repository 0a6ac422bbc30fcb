"""A cell on a warm Ray cluster: what it costs beside itself, and how much of a machine many tiny cells get there.

Tiny cells: the tests' adapter in plain NumPy, two epochs on 64 digits, some milliseconds each, every one with another
seed. They run in one warm worker of this machine, in one seat on a cluster, and in all seats of a cluster of several
nodes of one CPU each, which all are this machine, with caches of their own; its head has no cells. Time is counted from
the tenth cell's end to the last one's, so that starting, importing and building are not in it; the whole is told too.
Overhead: what a cell takes longer in one seat than in one worker. Efficiency: the time that the cells alone would take
on as many cores as there are, or on as many as there are nodes, by the time that they took.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parents[3] / "tests" / "adapters" / "example_adapter"
RECIPE = """
name = "tiny"
title = "Tiny"
source = "this measurement"
images = { train = 64, test = 50 }
input = { size = 16 }
[[stage]]
epochs = 2
batch_size = 16
optimizer = { name = "sgd", momentum = 0.9 }
schedule = { learning_rate = 0.05 }
"""
CELLS, FEW, NODES = 1000, 200, 4  # FEW: where one worker has them all
WARM = 10  # cells before time is counted


def measure(place: Path, *, quick: bool) -> dict[str, Any]:
    from figures import figure

    sys.path.append(str(Path(__file__).parents[1]))
    from packages import install

    from isotune.workers import threads

    cells, few = (CELLS // 10, FEW // 5) if quick else (CELLS, FEW)
    site = str(install([EXAMPLE], place))
    own = {"PYTHONPATH": site, "ISOTUNE_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, str(cells), str(few)], cwd=place, env=os.environ | own, stdout=subprocess.PIPE,
        text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{__file__} ended with status {done.returncode}")
    took = json.loads(done.stdout)
    here, there = (took[where] / (few - WARM) for where in ("here", "there"))
    cores = min(NODES, threads.cores())
    efficiency = here * (cells - WARM) / cores / took["all"]
    return {
        "title": "Cells on a Ray cluster",
        "figures": [
            figure("a tiny cell in one warm worker here", 1000 * here, "ms"),
            figure("overhead of a cell on a warm Ray cluster", 1000 * (there - here), "ms", most=50),
            figure(f"{cells:,} tiny cells on {NODES} nodes of Ray, the whole command", took["whole"], "s"),
            figure(f"efficiency of {NODES} nodes on {threads.cores()} cores, tiny cells", efficiency, ""),
        ],
        "lines": [
            f"In one warm worker here a cell takes {1000 * here:.1f} ms, in one seat on the cluster"
            f" {1000 * there:.1f} ms ({few - WARM} cells each). On {NODES} nodes of one CPU each, which share this"
            f" machine's {threads.cores()} cores with the driver and Ray's own processes, {cells - WARM:,} cells take"
            f" {took['all']:.1f} s, {1000 * took['all'] / (cells - WARM):.1f} ms each;"
            f" {cores} cores that did nothing else would take {here * (cells - WARM) / cores:.1f} s.",
        ],
    }  # fmt: skip


def _timed(count: int, **call: Any) -> tuple[float, float]:
    """Run so many cells: seconds from the WARMth one's end to the last one's, and of the whole."""
    import isotune

    ends: list[float] = []

    def told(what: str, done: int, total: int) -> None:
        if total == count and done == len(ends) + 1 and what.startswith("example:"):
            ends.append(time.perf_counter())

    began = time.perf_counter()
    runs = isotune.run(
        "example:random-features", "digits", tomllib.loads(RECIPE), seeds=count, conventions="identical",
        checkpoint="random:0", store=tempfile.mkdtemp(dir="."), progress=told, **call,
    )  # fmt: skip
    whole = time.perf_counter() - began
    if len(runs.done) != count:
        raise SystemExit(f"{len(runs.failed)} cells failed: {runs.failed[0].error}")
    return ends[-1] - ends[WARM - 1], whole


def _all(cells: int, few: int) -> dict[str, float]:
    """Seconds, with a cluster of this process's own."""
    from ray.cluster_utils import Cluster

    here, _ = _timed(few, jobs=1)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    own = os.environ["ISOTUNE_CACHE"]
    try:
        for number in range(NODES):
            os.environ["ISOTUNE_CACHE"] = f"{own}-{number}"
            cluster.add_node(num_cpus=1, include_dashboard=False)
        os.environ["ISOTUNE_CACHE"] = own
        place = f"ray:{cluster.address},memory=0.5"
        there, _ = _timed(few, executor=place, jobs=1)
        seconds, whole = _timed(cells, executor=place)
    finally:
        cluster.shutdown()
    return {"here": here, "there": there, "all": seconds, "whole": whole}


if __name__ == "__main__":  # as this module asks itself
    print(json.dumps(_all(*map(int, sys.argv[1:]))))
