"""How long until a worker is ready, and until it has given the first features?

    python benchmarks/validation/speed/start_up.py --out reports/start-up.md

Ready: the process runs, its library is imported, and the model's conventions are known. First features: `mobilenet_v2`
with the offline checkpoint is built besides, and one batch of 32 images of 96 pixels has gone through it, compilation
included. Each round starts a fresh process of every library, in turn; the files of the packages and the checkpoint are
in the machine's caches from a round that is not counted. Writes a markdown table of medians and ranges; without --out
it goes to standard output.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from isotune import names
from isotune.models.building import Builder
from isotune.protocols import Mode
from isotune.workers.environment import machine, versions
from isotune.workers.process import WorkerProcess
from isotune.workers.worker import Worker

SIZE, BATCH = 96, 32


def ready(worker: Worker, model: str) -> None:
    """In a worker: have the library imported."""
    worker.adapter.environment()
    worker.adapter.native_conventions(names.parse(model).name)


def first_features(worker: Worker, model: str) -> list[int]:
    """In a worker: the shape of one batch's features."""
    built = worker.kept(Builder).build(
        model, checkpoint="offline", conventions="identical", recipe={}, classes=10, mode=Mode(), size=SIZE
    )
    return list(built.model.features(np.zeros((BATCH, SIZE, SIZE, 3), np.uint8)).shape)


def one_round(model: str) -> tuple[float, float]:
    """Seconds from the start of a process until it is ready, and until it has given features."""
    began = time.perf_counter()
    worker = WorkerProcess(model.partition(":")[0], environment={"PYTHONPATH": str(Path(__file__).parent)})
    try:
        worker.ask("start_up:ready", model=model)
        imported = time.perf_counter() - began
        worker.ask("start_up:first_features", model=model)
        return imported, time.perf_counter() - began
    finally:
        worker.stop()


def table(seconds: dict[str, list[tuple[float, float]]]) -> str:
    lines = ["| model | ready s | first features s |", "| --- | ---: | ---: |"]
    for model, rounds in seconds.items():
        shown = (f"{median(each):.2f} ({min(each):.2f} to {max(each):.2f})" for each in zip(*rounds, strict=True))
        lines.append(f"| `{model}` | {' | '.join(shown)} |")
    return "\n".join(lines)


def report(seconds: dict[str, list[tuple[float, float]]], command: str) -> str:
    facts: dict[str, Any] = {**machine(), **versions(*dict.fromkeys(model.partition(":")[0] for model in seconds))}
    evidence = ", ".join(f"{key} {value}" for key, value in facts.items() if key != "memory")
    rounds = len(next(iter(seconds.values())))
    return f"""# How long a worker takes to start

Ready: the process runs, its library is imported, and the model's conventions are known. First features: `mobilenet_v2`
with the offline checkpoint is built besides, and {BATCH} images of {SIZE} pixels have gone through it, compilation
included. Median and range of {rounds} fresh processes of each, libraries in turn.

{table(seconds)}

Made by `{command}`. {evidence}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", default=",".join(names.DEFAULT_MODELS), help="such as keras@jax:MobileNetV2")
    parser.add_argument("--out", type=Path, help="where the report goes")
    options = parser.parse_args()
    seconds: dict[str, list[tuple[float, float]]] = {}
    for number in range(options.rounds + 1):
        for model in options.models.split(","):
            took = one_round(model)
            if number:  # the first fills the caches
                seconds.setdefault(model, []).append(took)
    text = report(seconds, f"python benchmarks/validation/speed/start_up.py {' '.join(sys.argv[1:])}".strip())
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
