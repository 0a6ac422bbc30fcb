"""How long should a thread that waits for work spin before it sleeps? Training steps under several settings and loads.

    python benchmarks/validation/speed/thread_waiting.py

OpenMP's threads wait for each other several hundred times a step. Spinning is the quickest way to wait, and the worst
when another program has the core of the one that is waited for. For every engine, workers under each setting take
turns, on a quiet machine, beside a busy process on every core, and beside two training processes that spin as their
framework has them; and two workers under one setting beside each other, as with `--jobs 2`. The same is measured with
Intel's OpenMP runtime in the place of GNU's where `--intel PATH/libiomp5.so` is given (`pip install intel-openmp`).
Writes reports/thread-waiting.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from isotune.progress import reporting
from isotune.runs import requests
from isotune.runs.stopwatch import Measurement
from isotune.workers.environment import machine
from isotune.workers.process import WorkerProcess
from isotune.workers.threads import SPIN

REPORTS = Path(__file__).parents[3] / "reports"
MODELS = {
    "torchvision": "torchvision:mobilenet_v2",
    "keras@tensorflow": "keras:MobileNetV2",
    "keras@jax": "keras@jax:MobileNetV2",
    "keras@torch": "keras@torch:MobileNetV2",
}
GNU = {
    "GNU's own (300,000)": {"GOMP_SPINCOUNT": "300000"},  # libgomp's where nothing is set, written out
    "OMP_WAIT_POLICY=PASSIVE": {"OMP_WAIT_POLICY": "PASSIVE"},
    **{f"GOMP_SPINCOUNT={count}": {"GOMP_SPINCOUNT": str(count)} for count in (300, SPIN, 3000, 10000)},
}
CHOSEN = f"GOMP_SPINCOUNT={SPIN}"
INTEL = {f"KMP_BLOCKTIME={each}": {"KMP_BLOCKTIME": each} for each in ("200", "10", "1", "0")}
LOADS = ("quiet", "a busy process a core", "two that spin")
BUSY = "while True: pass"
SPINNING = """
import torch
net = torch.nn.Sequential(*[torch.nn.Conv2d(16, 16, 3, padding=1) for _ in range(30)])
images = torch.randn(32, 16, 48, 48)
while True: net(images).sum().backward()
"""


@contextlib.contextmanager
def load(name: str) -> Iterator[None]:
    """Other programs, for as long as the context lasts."""
    cores = os.cpu_count() or 1
    programs = {"quiet": [], LOADS[1]: [BUSY] * cores, LOADS[2]: [SPINNING] * 2}[name]
    plain = {each: value for each, value in os.environ.items() if not each.startswith(("OMP", "GOMP", "KMP"))}
    running = [subprocess.Popen([sys.executable, "-c", program], env=plain) for program in programs]
    try:
        time.sleep(6 if name == LOADS[2] else 0.5)
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


class Side:
    """A worker under one setting; rounds of a training step, images/s."""

    def __init__(self, model: str, setting: Mapping[str, str], **how: object) -> None:
        self._worker = WorkerProcess(model.partition(":")[0], environment=setting, **how)  # type: ignore[arg-type]
        self._asked = Measurement(question="training-step", model=model, checkpoint="random:0", batch_size=32)

    def round(self) -> float:
        answer = self._worker.ask(requests.measure, measurement=self._asked.model_dump(mode="json"))
        return self._asked.batch_size / float(answer["seconds"])

    def stop(self) -> None:
        self._worker.stop()


def in_turn(model: str, settings: Mapping[str, Mapping[str, str]], rounds: int, loads: tuple[str, ...]):  # type: ignore[no-untyped-def]
    """{load: {setting: images/s of every round}}."""
    sides = {name: Side(model, setting) for name, setting in settings.items()}
    rates: dict[str, dict[str, list[float]]] = {}
    try:
        with reporting(True) as reporter:
            for side in sides.values():
                side.round()
            for beside in loads:
                with load(beside):
                    for number in range(rounds):
                        reporter(f"{model}, {beside}", number + 1, rounds)
                        for name, side in sides.items():
                            rates.setdefault(beside, {}).setdefault(name, []).append(side.round())
    finally:
        for side in sides.values():
            side.stop()
    return rates


def side_by_side(model: str, settings: Mapping[str, Mapping[str, str]], rounds: int) -> dict[str, list[float]]:
    """Two workers of half the cores each, at the same time: the images/s of both together."""
    threads = max(1, (os.cpu_count() or 1) // 2)
    rates: dict[str, list[float]] = {}
    for name, setting in settings.items():
        pair = [Side(model, setting, threads=threads, shared=True) for _ in range(2)]
        try:
            with ThreadPoolExecutor(2) as pool:
                for number in range(rounds + 1):
                    both = sum(pool.map(lambda side: side.round(), pair))
                    if number:
                        rates.setdefault(name, []).append(both)
        finally:
            for side in pair:
                side.stop()
    return rates


def measure(engine: str, rounds: int, loads: tuple[str, ...], intel: str | None) -> dict[str, dict[str, list[float]]]:
    """{load: {setting: images/s of every round}} of one engine; of those that use OpenMP also two workers at once."""
    threads_of_its_own = engine in ("keras@tensorflow", "keras@jax")
    settings: dict[str, Mapping[str, str]] = dict(GNU)
    if threads_of_its_own:  # OpenMP is only in the libraries beside them
        settings = {name: GNU[name] for name in [*list(GNU)[:2], CHOSEN]}
    if intel and not threads_of_its_own:
        settings |= {name: {**flags, "LD_PRELOAD": intel} for name, flags in INTEL.items()}
    rates = in_turn(MODELS[engine], settings, rounds, loads)
    rates["two workers at once"] = side_by_side(MODELS[engine], settings, rounds)
    return rates


def report(measured: Mapping[str, Mapping[str, Mapping[str, list[float]]]]) -> str:
    lines = [
        "# How long a waiting thread spins",
        "",
        "Images/s of a training step of MobileNetV2 (batch 32, 96 px, all layers), median of the rounds, and in"
        " brackets the share of the best setting's; the settings take turns. Workers run under"
        f" `{CHOSEN}` unless the user says otherwise.",
        "",
        f"`python benchmarks/validation/speed/thread_waiting.py`; {machine()['cpu']}, {machine()['cores']} cores.",
    ]
    for engine, loads in measured.items():
        names = list(dict.fromkeys(name for each in loads.values() for name in each))
        lines += ["", f"## {engine}", "", "| setting | " + " | ".join(loads) + " |", "|---|" + "---:|" * len(loads)]
        medians = {
            load: {name: float(np.median(rates)) for name, rates in each.items()} for load, each in loads.items()
        }
        for name in names:
            cells = []
            for load in loads:
                rate, best = medians[load].get(name), max(medians[load].values())
                cells.append("-" if rate is None else f"{rate:.1f} ({rate / best:.2f})")
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engines", default=",".join(MODELS), help="comma-separated; others keep what was measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--intel", help="libiomp5.so, to be measured too")
    parser.add_argument("--loads", default=",".join(LOADS), help="comma-separated")
    parser.add_argument("--store", type=Path, default=Path(".isotune/thread-waiting.json"), help="what was measured")
    options = parser.parse_args()
    measured = json.loads(options.store.read_text(encoding="utf-8")) if options.store.exists() else {}
    for engine in options.engines.split(","):
        measured[engine] = measure(engine, options.rounds, tuple(options.loads.split(",")), options.intel)
        options.store.parent.mkdir(parents=True, exist_ok=True)
        options.store.write_text(json.dumps(measured), encoding="utf-8")
    text = report(measured)
    (REPORTS / "thread-waiting.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
