"""What does `isotune.watch` cost a training loop in torch?

    python benchmarks/validation/speed/watching.py

Steps of MobileNetV2 (timm's mobilenetv2_035, batch 16, 32 px, SGD with momentum) in a loop that is not watched, one
whose watching is off, one that takes statistics every 100 steps, and one that takes them every 10. The loops take turns
in blocks, one network each. Time is the process's own on one thread, so that work beside it counts little. Then what a
step costs that is recorded in full, in time and bytes. Writes reports/watching.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import isotune
from isotune.progress import reporting
from isotune.workers.environment import machine, version

REPORTS = Path(__file__).parents[3] / "reports"
BATCH, SIZE = 16, 32
WAYS: dict[str, dict[str, Any] | None] = {
    "not watched": None,
    "watching off": {"enabled": False},
    "statistics every 100 steps": {"statistics": 100},
    "statistics every 10 steps": {"statistics": 10},
}


class Loop:
    """A network in training, watched in one of the ways."""

    def __init__(self, folder: Path, how: dict[str, Any] | None, steps: Any = ()) -> None:
        import timm

        torch.manual_seed(0)
        self.net = timm.create_model("mobilenetv2_035", num_classes=10).train()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        self.criterion = nn.CrossEntropyLoss()
        self.images, self.labels = torch.randn(BATCH, 3, SIZE, SIZE), torch.randint(0, 10, (BATCH,))
        self.watching = None if how is None else isotune.watch(self.net, self.optimizer, folder, steps=steps, **how)

    def step(self) -> None:
        self.optimizer.zero_grad()
        loss = self.criterion(self.net(self.images), self.labels)
        (loss if self.watching is None else self.watching.loss(loss, self.labels)).backward()
        self.optimizer.step()


def seconds(step: Callable[[], None], count: int) -> float:
    """Of the process, for each step."""
    began = time.process_time()
    for _ in range(count):
        step()
    return (time.process_time() - began) / count


def overheads(folder: Path, rounds: int, block: int, progress: Any) -> dict[str, list[float]]:
    """Seconds of a step, one value a round; the loops take turns, and who begins changes."""
    torch.set_num_threads(1)
    loops = {way: Loop(folder / str(number), how) for number, (way, how) in enumerate(WAYS.items())}
    for loop in loops.values():
        seconds(loop.step, 5)
    taken: dict[str, list[float]] = {way: [] for way in loops}
    order = list(loops)
    for number in range(rounds):
        progress("watching", number, rounds)
        order = order[1:] + order[:1]
        for way in order:
            taken[way].append(seconds(loops[way].step, block))
    for loop in loops.values():
        if loop.watching is not None:
            loop.watching.close()
    return taken


def full_step(folder: Path) -> tuple[float, float, float]:
    """Seconds of a step, of one that is recorded in full with and without layers; bytes."""
    loop = Loop(folder, {"statistics": 0, "layers": 1}, range(6))
    times = [seconds(loop.step, 1) for _ in range(6)]
    written = sum(path.stat().st_size for path in (folder / "step-000004").iterdir())
    return times[1], statistics.median(times[2:]), written


def report(
    taken: dict[str, list[float]], full: tuple[float, float, float], rounds: int, block: int, load: float
) -> str:
    base = taken["not watched"]
    rows = []
    for way, times in taken.items():
        shares = sorted(100 * (one / plain - 1) for one, plain in zip(times, base, strict=True))
        middle = statistics.median(shares)
        low, high = shares[len(shares) // 4], shares[-1 - len(shares) // 4]
        more = "" if way == "not watched" else f"{middle:+.2f} % ({low:+.2f} to {high:+.2f})"
        rows.append(f"| {way} | {1e3 * statistics.median(times):.2f} | {more} |")
    parameters = sum(each.numel() for each in Loop(Path(), None).net.parameters())
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm"))
    facts = machine()
    beside = " (beside other work)" if load > 2 else ""
    return f"""# What watching a loop costs

Steps of timm's mobilenetv2_035 ({parameters:,} parameters), batch {BATCH}, {SIZE} px, SGD with momentum: milliseconds
of the process, median of {rounds} rounds of {block} steps, and how much more than a loop that is not watched, paired by
round (median, quartiles). What the rows scatter by is what the machine gives, here more than what watching costs.

| loop | ms a step | more |
|---|---:|---:|
{chr(10).join(rows)}

A step that is recorded in full takes {1e3 * full[1]:.0f} ms and {full[2] / 2**20:.1f} MiB,
{full[2] / 4 / parameters:.1f} times the parameters; with every layer's output {1e3 * full[0]:.0f} ms.

`python benchmarks/validation/speed/watching.py --rounds {rounds}`; {facts["cpu"]}, {facts["cores"]} cores; {versions};
{torch.get_num_threads()} threads; load of the machine while it was measured: {load:.1f} processes{beside}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--block", type=int, default=100, help="steps of a loop before the next has its turn")
    parser.add_argument("--out", type=Path, default=REPORTS)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        progress = stack.enter_context(reporting(True))
        taken = overheads(Path(scratch), args.rounds, args.block, progress)
        full = full_step(Path(scratch) / "full")
        text = report(taken, full, args.rounds, args.block, os.getloadavg()[1])
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "watching.md").write_text(text, encoding="utf-8")
    print(args.out / "watching.md")


if __name__ == "__main__":
    main()
