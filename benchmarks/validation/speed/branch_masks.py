"""What do masks of residual branches cost a training step?

    python benchmarks/validation/speed/branch_masks.py --out reports/branch-masks.md

Steps of `mobilenet_v2`, all layers trained, with the masks of stochastic depth and without, in blocks that take turns
in one worker for each library; drawing the masks counts in. Writes a markdown table of medians and of the ratio of
both, paired by round; without --out it goes to standard output.
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
from isotune.adapters.base import Model, Recipe, Trainer
from isotune.models.building import Builder
from isotune.protocols import SGD, Mode, StochasticDepth
from isotune.protocols.depth import branch_masks, drop_rates
from isotune.seeds import Seeds
from isotune.workers.disturbance import Watch
from isotune.workers.environment import machine, versions
from isotune.workers.process import WorkerProcess
from isotune.workers.worker import Worker

SIZE, BATCH, CLASSES = 96, 32, 10
MODELS = (*names.DEFAULT_MODELS, "keras@torch:MobileNetV2", "keras@jax:MobileNetV2")
DEPTH = StochasticDepth(rate=0.2, law="linear-over-all")
WAYS = ("whole", "masked")


class Side:
    """A model in training, in a worker."""

    def __init__(self, worker: Worker) -> None:
        self.builder = worker.kept(Builder)
        self.model: Model | None = None

    def prepare(self, model: str) -> None:
        self.model = self.builder.build(
            model, checkpoint="offline", conventions="identical", recipe={}, classes=CLASSES, mode=Mode(), size=SIZE
        ).model
        self.trainer: Trainer = self.model.trainer(
            Recipe(SGD(momentum=0.9, nesterov=True), frozenset(layer.name for layer in self.model.layers()))
        )
        self.rates = drop_rates(DEPTH, self.model.layers(), self.model.branches())
        stream = np.random.default_rng(0)
        self.images = stream.integers(0, 256, (BATCH, SIZE, SIZE, 3), dtype=np.uint8)
        self.labels = stream.integers(0, CLASSES, BATCH)

    def milliseconds(self, way: str, steps: int) -> float:
        assert self.model is not None
        began = time.perf_counter()
        for step in range(steps):
            masks = None
            if way == "masked":
                masks = branch_masks(DEPTH, self.rates, Seeds.all(0), 0, step, BATCH, 1)
            self.trainer.step(self.images, self.labels, 2**-10, None, masks)
        self.model.synchronize()
        return 1e3 * (time.perf_counter() - began) / steps


def block(worker: Worker, model: str, way: str, steps: int) -> tuple[float, float]:
    """In a worker: milliseconds of a step, and the share of the machine that other programs took."""
    side = worker.kept(Side)
    if side.model is None:
        side.prepare(model)
        for each in WAYS:
            side.milliseconds(each, 3)
    with Watch() as watch:
        taken = side.milliseconds(way, steps)
    return taken, watch.seen.others


def measured(model: str, rounds: int, steps: int) -> dict[str, list[tuple[float, float]]]:
    """What `block` gives, by way, one a round; who begins changes."""
    worker = WorkerProcess(model.partition(":")[0], environment={"PYTHONPATH": str(Path(__file__).parent)})
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    try:
        for number in range(rounds):
            for way in WAYS if number % 2 else reversed(WAYS):
                answer = worker.ask("branch_masks:block", model=model, way=way, steps=steps)
                found[way].append((answer[0], answer[1]))
    finally:
        worker.stop()
    return found


def report(found: dict[str, dict[str, list[tuple[float, float]]]], command: str) -> str:
    facts: dict[str, Any] = {**machine(), **versions(*(model.partition(":")[0] for model in found))}
    evidence = ", ".join(f"{key} {value}" for key, value in facts.items() if key != "memory")
    rows, others = [], 0.0
    for model, ways in found.items():
        whole, masked = ([taken for taken, _ in ways[way]] for way in WAYS)
        ratios = sorted(one / other for one, other in zip(masked, whole, strict=True))
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        rows.append(f"| `{model}` | {median(whole):.0f} | {median(ratios):.2f} ({low:.2f} to {high:.2f}) |")
        others = max(others, median([share for each in ways.values() for _, share in each]))
    return f"""# What masks of residual branches cost a training step

`mobilenet_v2`, all layers, {BATCH} images of {SIZE} pixels, float32: milliseconds of a step, and how many times as long
one takes whose residual branches are masked, the draw of the masks included (median of {len(whole)} pairs, quartiles).

| model | ms | with masks |
|---|---:|---:|
{chr(10).join(rows)}

Made by `{command}`. {evidence}. Other programs took at most {others:.0%} of the cores, by the median of a row's blocks.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--block", type=int, default=4, help="steps before the other way has its turn")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--out", type=Path, help="where the report goes")
    options = parser.parse_args()
    found = {model: measured(model, options.rounds, options.block) for model in options.models.split(",")}
    text = report(found, " ".join(["python benchmarks/validation/speed/branch_masks.py", *sys.argv[1:]]))
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
