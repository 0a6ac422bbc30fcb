"""What does a cell cost on a Ray cluster beside itself, and how much of a machine do many tiny cells get there?

    python benchmarks/validation/sweeps/ray_cluster.py [--cells 1000] [--nodes 4] [--out FILE.json]

Tiny cells: the tests' adapter in plain NumPy, two epochs on 64 digits, some milliseconds each, every one with another
seed. They run in one warm worker of this machine, in one seat on a cluster, and on a cluster of several nodes of one
CPU each, which all are this machine, with caches of their own. Time is counted from the first cell's end to the last
one's, so that starting and importing are not in it; the whole is told too. Prints JSON:

    cell_ms            of a cell in one warm worker here
    ray_cell_ms        of a cell in one seat of a cluster; overhead_ms: what that is more
    seconds, whole_seconds, cells, nodes, cores    on the cluster of several nodes
    efficiency         the time that as many cores would take for the cells alone, by the time that it took
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
EXAMPLE = HERE.parents[2] / "tests" / "adapters" / "example_adapter"
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
FEW = 200  # cells where one worker has them all
WARM = 10  # the first ones of a run, which build the model


def timed(count: int, **call: Any) -> tuple[float, float]:
    """Run so many cells: seconds from the WARMth one's end to the last one's, and of the whole."""
    import isotune

    ends: list[float] = []
    began = time.perf_counter()
    runs = isotune.run(
        "example:random-features", "digits", isotune.Protocol.model_validate(_recipe()), seeds=count,
        conventions="identical", checkpoint="random:0", store=tempfile.mkdtemp(dir="."),
        progress=lambda what, done, total: ends.append(time.perf_counter()) if " seed " in what and done else None,
        **call,
    )  # fmt: skip
    whole = time.perf_counter() - began
    if len(runs.done) != count:
        raise SystemExit(f"{len(runs.failed)} cells failed: {runs.failed[0].error}")
    return ends[-1] - ends[-count + WARM - 1], whole


def _recipe() -> dict[str, Any]:
    import tomllib

    return tomllib.loads(RECIPE)


def measured(cells: int, nodes: int) -> dict[str, Any]:
    """The figures, with a cluster of this machine's own."""
    from ray.cluster_utils import Cluster

    from isotune.workers import threads

    here, _ = timed(FEW, jobs=1)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for number in range(nodes):
            os.environ["ISOTUNE_CACHE"] = str(Path(f"cache-{number}").absolute())
            cluster.add_node(num_cpus=1, include_dashboard=False)
        os.environ["ISOTUNE_CACHE"] = str(Path("cache").absolute())
        alone, _ = timed(FEW, executor=f"ray:{cluster.address}", jobs=1)
        seconds, whole = timed(cells, executor=f"ray:{cluster.address}")
    finally:
        cluster.shutdown()
    each, each_there = 1000 * here / (FEW - WARM), 1000 * alone / (FEW - WARM)
    cores = min(nodes, threads.cores())
    return {
        "cell_ms": round(each, 2), "ray_cell_ms": round(each_there, 2), "overhead_ms": round(each_there - each, 2),
        "cells": cells, "nodes": nodes, "cores": threads.cores(), "seconds": round(seconds, 2),
        "whole_seconds": round(whole, 2), "efficiency": round(each * (cells - WARM) / 1000 / cores / seconds, 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--out", type=Path, help="write the figures there too")
    options = parser.parse_args()
    out = options.out and options.out.absolute()
    from packages import install

    with tempfile.TemporaryDirectory() as house:
        place = Path(house) / "packages"
        place.mkdir()
        site = str(install([EXAMPLE], place))
        os.environ |= {"PYTHONPATH": site, "ISOTUNE_CACHE": f"{house}/cache", "OMP_NUM_THREADS": "1"}
        sys.path.insert(0, site)
        os.chdir(house)
        text = json.dumps(measured(options.cells, options.nodes), indent=1)
        print(text)
        if out:
            out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
