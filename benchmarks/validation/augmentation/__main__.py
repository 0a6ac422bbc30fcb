"""Does augmentation keep up: beside a training step, and against torchvision's v2 transforms and Keras's layers?

    python benchmarks/validation/augmentation

Beside a step: MobileNetV2 in torch trains on batches of each technique and on batches of crops and flips alone, rounds
in turn; the ratio of each pair is what the technique costs. Against others: images/s of the same operations, nothing
else to do; every side is a process of its own, and they take turns. What is measured is kept in
.isotune/augmentation.json, and a run that is interrupted goes on from there. Writes reports/augmentation.md and .json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import report
import techniques

from isotune.workers.environment import machine, versions

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
STEPS = {"96 px": {"size": 96, "batch": 32}, "224 px": {"size": 224, "batch": 8}}


class Side:
    """A process that measures one side, started when it is first asked."""

    def __init__(self, library: str) -> None:
        self._library = library
        self._process: subprocess.Popen[str] | None = None

    def ask(self, **asked: Any) -> dict[str, Any]:
        if self._process is None:
            command = [sys.executable, str(HERE / "side.py"), self._library]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        if not (answer := self._process.stdout.readline()):
            raise SystemExit(f"the side {self._library} ended with {self._process.wait()}")
        return dict(json.loads(answer))

    def stop(self) -> None:
        if self._process is not None:
            self._process.communicate()


def beside(technique: str, sides: Mapping[str, Side], options: argparse.Namespace) -> dict[str, Any]:
    """{size: {"plain", "with"}}: answers of the rounds, in pairs."""
    kinds = {"plain": techniques.PLAIN, "with": technique}
    found: dict[str, Any] = {}
    for name, how in STEPS.items():
        pair: dict[str, list[Any]] = {kind: [] for kind in kinds}
        for each in kinds.values():
            sides["beside"].ask(technique=each, steps=1, **how)
        for turn in range(options.rounds):
            for kind in kinds if turn % 2 == 0 else reversed(kinds):
                pair[kind].append(sides["beside"].ask(technique=kinds[kind], steps=options.steps, **how))
        found[name] = pair
    return found


def against(technique: str, sides: Mapping[str, Side], options: argparse.Namespace) -> dict[str, Any]:
    """{library: answers of the rounds}, in turn; without libraries that have no such operation."""
    here = [name for name in techniques.LIBRARIES if "absent" not in sides[name].ask(technique=technique, batches=1)]
    found: dict[str, list[Any]] = {library: [] for library in here}
    for turn in range(options.rounds):
        for library in here if turn % 2 == 0 else reversed(here):
            found[library].append(sides[library].ask(technique=technique, batches=options.batches))
    return found


QUESTIONS = {"beside": beside, "against": against}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="parts that a name has all of: beside,mixup; see --list")
    parser.add_argument("--list", action="store_true", help="names of the measurements, and nothing else")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    parser.add_argument("--rounds", type=int, default=7, help="six give intervals with 95 %%")
    parser.add_argument("--steps", type=int, default=6, help="of training, a round")
    parser.add_argument("--batches", type=int, default=8, help="a round")
    parser.add_argument("--until", type=float, help="begin no measurement after so many seconds")
    parser.add_argument("--store", type=Path, default=Path(".isotune/augmentation.json"))
    parser.add_argument("--out", type=Path, default=ROOT / "reports")
    options = parser.parse_args()
    every = [f"{question} {technique}" for question in QUESTIONS for technique in techniques.PROTOCOL
             if question != "beside" or technique != techniques.PLAIN]  # fmt: skip
    parts = [part for part in options.only.split(",") if part]
    chosen = [name for name in every if all(part in name for part in parts)]
    if not chosen:
        parser.error(f"--only {options.only}: no measurement has all of that in its name; --list names them")
    if options.list:
        print("\n".join(chosen))
        return
    kept: dict[str, Any] = json.loads(options.store.read_text(encoding="utf-8")) if options.store.exists() else {}
    began = time.monotonic()
    sides = {name: Side(name) for name in ("beside", *techniques.LIBRARIES)}
    for number, name in enumerate(chosen):
        if name in kept and not options.fresh:
            continue
        if options.until and time.monotonic() - began > options.until:
            break
        print(f"{number + 1} of {len(chosen)}: {name}", file=sys.stderr, flush=True)
        question, _, technique = name.partition(" ")
        kept[name] = {"taken": time.strftime("%Y-%m-%d"), "found": QUESTIONS[question](technique, sides, options)}
        options.store.parent.mkdir(parents=True, exist_ok=True)
        options.store.write_text(json.dumps(kept), encoding="utf-8")
    for side in sides.values():
        side.stop()
    everything = {
        "machine": machine(), "versions": versions("torch", "torchvision", "keras", "pillow", "numpy"), "names": every,
        "measured": {name: kept[name] for name in every if name in kept},
    }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "augmentation.json").write_text(json.dumps(everything, indent=1) + "\n", encoding="utf-8")
    (options.out / "augmentation.md").write_text(report.report(everything), encoding="utf-8")
    print(options.out / "augmentation.md")


if __name__ == "__main__":
    main()
