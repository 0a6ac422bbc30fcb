"""Do the intervals of speeds hold what they should, and is a disturbance noticed?

    python benchmarks/validation/speed/disturbed_timings.py

First by simulation: how often the 95 % interval of a median holds it, for several distributions of a round's time and
numbers of rounds. Then on this machine: a training step is timed on its own, which gives the median to be met, and
beside a load that comes and goes on every core, with and without isotune's care (disturbed rounds taken again, those
that stay disturbed left out). Writes reports/disturbed-timings.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from isotune.progress import reporting
from isotune.report.analysis.timing import Taken, timing
from isotune.runs import requests
from isotune.runs.stopwatch import Measurement
from isotune.statistics import median_interval
from isotune.workers.disturbance import Disturbance
from isotune.workers.environment import machine
from isotune.workers.process import WorkerProcess

REPORTS = Path(__file__).parents[3] / "reports"
DRAWS = 4000
ROUNDS = 6
COLUMNS = [
    "rounds", "marked as disturbed", "median / its own on a quiet machine (range)", "intervals within 2 % of it",
    "taken again, a round",
]  # fmt: skip
LOAD = """
import random, sys, time
stream, until = random.Random(int(sys.argv[1])), 0
while True:
    until = time.monotonic() + stream.uniform(0.5, 2.5)
    while time.monotonic() < until: pass
    time.sleep(stream.uniform(1, 5))
"""


def drawn(kind: str, stream: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Seconds of rounds [draws, rounds], whose median is 1."""
    calm = stream.lognormal(0, 0.05, shape)
    if kind == "quiet":
        return calm
    if kind == "one in five up to ten times as long":
        slow = np.where(stream.random(shape) < 0.2, stream.uniform(2, 10, shape), 1)
        many = stream.lognormal(0, 0.05, 10**6) * np.where(stream.random(10**6) < 0.2, stream.uniform(2, 10, 10**6), 1)
        return calm * slow / np.median(many)
    state = stream.normal(0, 1, shape[0])
    values = []
    for _ in range(shape[1]):
        values.append(state)
        state = 0.6 * state + np.sqrt(1 - 0.6**2) * stream.normal(0, 1, shape[0])
    return np.exp(0.05 * np.stack(values, axis=1))


def simulated() -> list[list[str]]:
    rows = []
    for kind in ("quiet", "one in five up to ten times as long", "each like the one before (correlation 0.6)"):
        cells = [kind]
        for count in (6, 9, 15, 30):
            samples = drawn(kind, np.random.default_rng(count), (DRAWS, count))
            intervals = [median_interval(sample) for sample in samples]
            held = np.mean([each.low <= 1 <= each.high for each in intervals])
            cells.append(f"{100 * held:.1f} ({100 * intervals[0].coverage:.1f})")
        rows.append(cells)
    return rows


class Clock:
    """Rounds of one training step, in a worker."""

    def __init__(self, model: str) -> None:
        self._worker = WorkerProcess(model.partition(":")[0])
        self._model = model
        self.rounds(1, 0), self.rounds(1, 6)

    def rounds(self, count: int, patience: float, tell: Callable[[int], object] = id) -> list[dict[str, Any]]:
        asked = Measurement(
            question="training-step", model=self._model, checkpoint="random:0", batch_size=32, patience=patience
        )
        given = []
        for number in range(count):
            given.append(self._worker.ask(requests.measure, measurement=asked.model_dump(mode="json")))
            tell(number)
        return given

    def forget(self) -> None:
        """What it has ready, and with it the patience that is used up."""
        self._worker.ask(requests.close)

    def stop(self) -> None:
        self._worker.stop()


def figures(rounds: list[dict[str, Any]], *, careful: bool) -> Any:
    """What a report makes of them; not careful: as if nobody had looked."""
    return timing([Taken(one["seconds"], Disturbance(**one["disturbance"]) if careful else None) for one in rounds])


def measured(model: str, repeats: int) -> tuple[list[str], list[list[str]]]:
    """Facts about the machine, and the table's rows."""
    clock = Clock(model)
    rows = []
    try:
        with reporting(True) as reporter:
            quiet = clock.rounds(5 * ROUNDS, 0, lambda number: reporter("quiet", number + 1, 5 * ROUNDS))
            alarms = np.mean([Disturbance(**one["disturbance"]).disturbed for one in quiet])
            calm = [one for one in quiet if not Disturbance(**one["disturbance"]).disturbed] or quiet
            goal = float(np.median([one["seconds"] for one in calm]))
            loads = [
                subprocess.Popen([sys.executable, "-c", LOAD, str(seed)]) for seed in range(int(machine()["cores"]))
            ]
            try:
                time.sleep(1)
                for name, patience, careful in (("as they come", 0.0, False), ("with care", 6.0, True)):
                    groups = []
                    for number in range(repeats):
                        reporter(name, number + 1, repeats)
                        groups.append(clock.rounds(ROUNDS, patience))
                        clock.forget()
                    made = [figures(group, careful=careful) for group in groups]
                    clean = [each for each in made if not each.cause]
                    off = [each.median / goal for each in clean]
                    held = sum(each.low <= goal * 1.02 and each.high >= goal * 0.98 for each in clean)
                    rows.append([
                        name,
                        f"{len(made) - len(clean)} of {repeats}",
                        f"{np.median(off):.2f} ({min(off):.2f} to {max(off):.2f})" if off else "-",
                        f"{held} of {len(clean)}",
                        f"{np.mean([one['again'] for group in groups for one in group]):.1f}",
                    ])  # fmt: skip
            finally:
                for each in loads:
                    each.kill()
                    each.wait()
    finally:
        clock.stop()
    facts = [
        f"{model}, batch 32, 96 px; {machine()['cpu']}, {machine()['cores']} cores. On its own: {1000 * goal:.0f} ms,"
        f" median of {len(calm)} rounds; {100 * alarms:.0f} % of {len(quiet)} rounds counted as disturbed then."
    ]
    return facts, rows


def table(columns: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="torchvision:mobilenet_v2")
    parser.add_argument("--repeats", type=int, default=12, help="measurements of six rounds beside the load")
    parser.add_argument("--out", type=Path, default=REPORTS)
    options = parser.parse_args()
    facts, rows = measured(options.model, options.repeats)
    text = f"""# Timings beside other work

`python benchmarks/validation/speed/disturbed_timings.py`

## By simulation

How often the interval holds the median, % (what it should by itself), of {DRAWS:,} draws:

{table(["time of a round", "6 rounds", "9", "15", "30"], simulated())}

Rounds that are like the one before them say less than they seem to: that is why models take turns.

## Beside a load that comes and goes on every core

{facts[0]}

{table(COLUMNS, rows)}
"""
    (options.out / "disturbed-timings.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
