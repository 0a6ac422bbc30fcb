"""What do drafts cost a fine-tuning?

    python benchmarks/validation/speed/drafts.py [NETWORK ...] [--drafts 10] [--seconds 200]

Real steps of networks of several sizes, with Adam, which has two slots for each weight, and a draft after every step:
how long it takes, of that how long until the weights and slots are arrays, and how many bytes it writes; into a store
in the temporary folder (TMPDIR). From this follows what drafts take of a training that writes them as often as isotune
does by itself. Then the first network trains for so many seconds with these, and their time is added up. Each network
has a process of its own, as a worker's. --seconds 0 leaves the long training out. Writes reports/drafts.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from isotune import data, names, protocols
from isotune.runs import drafts
from isotune.runs.cell_runner import CellRunner
from isotune.runs.drafts import Draft, Kept, LeftOff, Parts
from isotune.runs.records import Cell
from isotune.seeds import Seeds
from isotune.workers.environment import machine, versions
from isotune.workers.threads import settle_threads
from isotune.workers.worker import Worker

REPORTS = Path(__file__).parents[3] / "reports"
NETWORKS = {  # pixels
    "torchvision:mobilenet_v2": 64, "timm:mobilenetv2_100": 64, "keras:MobileNetV2": 64, "torchvision:resnet50": 64,
    "torchvision:vit_b_16": 224,
}  # fmt: skip
_RECIPE = """
name = "drafts"
title = "Steps of a fine-tuning"
source = "-"
input = {{ size = {0} }}
images = {{ train = 64, test = 10 }}
stage = [{{ steps = {1}, batch_size = 8, optimizer = {{ name = "adam" }}, schedule = {{ learning_rate = 1e-4 }} }}]
"""


class Timed(Draft):
    """One that notes what each writing took: (seconds until it is arrays, seconds in all, bytes)."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.taken: list[tuple[float, float, int]] = []
        self.began = 0.0

    def read(self, total: int) -> Kept | None:
        self.began = time.perf_counter()
        return super().read(total)

    def write(self, done: int, total: int, said: Mapping[str, Any], parts: Callable[[], Parts], left: float) -> None:
        began, arrays = time.perf_counter(), 0.0

        def noted() -> Parts:
            nonlocal arrays
            made = parts()
            arrays = time.perf_counter() - began
            return made

        try:
            super().write(done, total, said, noted, left)
        finally:
            self.taken.append((arrays, time.perf_counter() - began, self.path.stat().st_size))


def train(model: str, size: int, steps: int, seconds: float | None = None) -> dict[str, Any]:
    """Train so many steps, or seconds. {"seconds": of the training, "taken": of each draft}."""
    settle_threads()
    with tempfile.TemporaryDirectory(prefix="isotune-drafts-") as folder:
        recipe = Path(folder) / "drafts.toml"
        recipe.write_text(_RECIPE.format(size, steps), encoding="utf-8")
        cell = Cell(
            model=model, checkpoint="random:0", dataset="digits", dataset_digest=data.prepare("digits").digest,
            protocol=protocols.load(str(recipe)), seeds=Seeds.all(0),
        )  # fmt: skip
        worker = Worker(names.load_adapter(names.parse(model)), sys.stderr)
        draft = Timed(Path(folder) / "store", cell, seconds=seconds)
        with suppress(LeftOff):
            worker.kept(CellRunner).run(cell, lambda *_: None, draft)
        return {"seconds": time.perf_counter() - draft.began, "taken": draft.taken}


def measured(environment: Mapping[str, str], *arguments: object) -> dict[str, Any]:
    """As `train`, in a process of its own."""
    command = [sys.executable, __file__, "--train", json.dumps(arguments)]
    done = subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def row(model: str, taken: list[tuple[float, float, int]]) -> str:
    arrays, seconds, _ = zip(*taken, strict=True)
    middle = statistics.median(seconds)
    every = max(drafts.interval()[0], drafts.interval()[1] * middle)
    spread = f"{middle:.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
    share = 100 * middle / (middle + every)
    return (
        f"| `{model}` | {taken[-1][2] / 1e6:,.1f} MB | {len(taken)} | {spread} | {statistics.median(arrays):.2f}"
        f" | {every:.0f} | {share:.2f} |"
    )


def report(taken: Mapping[str, list[tuple[float, float, int]]], long: dict[str, Any] | None, command: str) -> str:
    rows = [row(model, each) for model, each in taken.items()]
    facts = {**machine(), **versions(*sorted({names.parse(model).adapter for model in taken}))}
    said = ", ".join(f"{name} {value}" for name, value in facts.items() if name != "memory")
    whole = "What they take of a long training was not measured in this run.\n"
    if long is not None:
        total = sum(seconds for _, seconds, _ in long["taken"])
        whole = f"""`{next(iter(taken))}` then trained for {long["seconds"]:.0f} seconds as isotune does by itself:
{len(long["taken"])} drafts took {total:.2f} seconds, {100 * total / long["seconds"]:.2f} %.
"""
    return f"""# What drafts cost a fine-tuning

Steps with Adam, batch 8, and a draft after every one: seconds that it takes (median, least to most), of these until
weights, slots and buffers are arrays; the rest is their digest and the disk, which must have all of it. Written every
minute, or after a hundred times what the last one took if that is more, drafts take the share of the last column.

| network | size | drafts | seconds a draft | until arrays | one every, s | % of the time |
|---|---:|---:|---:|---:|---:|---:|
{chr(10).join(rows)}

{whole}
`{command}`; {said}; load of the machine: {os.getloadavg()[1]:.1f} processes.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}")
    parser.add_argument("--drafts", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=200.0)
    parser.add_argument("--out", type=Path, default=REPORTS)
    parser.add_argument("--train", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        print(json.dumps(train(*json.loads(options.train))))
        return
    os.environ.pop(drafts.VARIABLE, None)
    chosen = {model: NETWORKS[model] for model in options.networks or NETWORKS}
    taken = {}
    for model, size in chosen.items():
        taken[model] = measured({drafts.VARIABLE: "1e-9"}, model, size, options.drafts + 1)["taken"]
        print(row(model, taken[model]), flush=True)
    first, size = next(iter(chosen.items()))
    long = measured({}, first, size, 1_000_000, options.seconds) if options.seconds else None
    options.out.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python benchmarks/validation/speed/drafts.py", *sys.argv[1:]])
    (options.out / "drafts.md").write_text(report(taken, long, command), encoding="utf-8")
    print(options.out / "drafts.md")


if __name__ == "__main__":
    main()
