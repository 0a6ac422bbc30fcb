"""What does it cost that glibc gives a step's memory back to the kernel?

    python benchmarks/validation/speed/freed_memory.py --out reports/freed-memory.md

A training step of MobileNetV2 (float32, 96 px, all layers) as a worker runs it, with glibc's own settings and with
those of `isotune.workers.memory.keep_freed`. Every round starts a process for each, in turn. Writes a markdown table of
medians: seconds of a step, the kernel's time in it, page faults, and the peak of the process; the ratio is the median
of the rounds' ratios, with their range.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[2]))

import bare_loop

from isotune.protocols import Mode
from isotune.workers import memory
from isotune.workers.environment import machine, versions
from isotune.workers.threads import settle_threads

SIZE, WARM = 96, 2
SIDES = {"glibc's own": False, "kept": True}


def step(library: str, batch: int, steps: int) -> dict[str, float]:
    """Of this process: what a step takes."""
    images, labels = bare_loop.batch(SIZE, batch)
    run = bare_loop.adapter_side(library, "mobilenet_v2", "training", images, labels, Mode.parse("float32"))
    run(WARM)
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run(steps)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds / steps,
        "kernel": (after.ru_stime - before.ru_stime) / steps,
        "faults": (after.ru_minflt - before.ru_minflt) / steps,
        "peak": (memory.peak() or 0) / 1e9,
    }


def rows(library: str, batch: int, rounds: int, steps: int) -> list[str]:
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for turn in range(rounds):
        for side in list(SIDES) if turn % 2 == 0 else reversed(list(SIDES)):
            asked = json.dumps({"library": library, "batch": batch, "steps": steps, "kept": SIDES[side]})
            command = [sys.executable, __file__, "--step", asked]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            found[side].append(json.loads(done.stdout.splitlines()[-1]))
            print(library, batch, side, found[side][-1], file=sys.stderr, flush=True)
    own, kept = found.values()
    ratios = [one["seconds"] / other["seconds"] for one, other in zip(own, kept, strict=True)]
    lines = []
    for side, each in found.items():
        middle = {name: median(one[name] for one in each) for name in each[0]}
        faster = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if SIDES[side] else ""
        lines.append(
            f"| {library} | {batch} | {side} | {middle['seconds']:.3f} | {middle['kernel']:.3f} |"
            f" {middle['faults']:,.0f} | {middle['peak']:.2f} | {faster} |"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--libraries", default="torchvision,timm,keras")
    parser.add_argument("--batches", default="32,64")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        asked = json.loads(options.step)
        settle_threads()
        if asked.pop("kept"):
            memory.keep_freed()
        print(json.dumps(step(**asked)))
        return
    libraries = options.libraries.split(",")
    here = machine()
    lines = [
        "# What freed memory costs",
        "",
        f"`python benchmarks/validation/speed/{Path(__file__).name}`, {options.rounds} rounds; a training step of"
        f" MobileNetV2 at {SIZE} px in float32. {here['cpu']}, {here['cores']} cores; "
        + ", ".join(f"{name} {version}" for name, version in versions(*libraries).items())
        + ".",
        "",
        "| library | batch | freed memory | s a step | s of the kernel | page faults | peak, GB | faster |",
        "|---|---:|---|---:|---:|---:|---:|---:|",
    ]
    for library in libraries:
        for batch in map(int, options.batches.split(",")):
            lines += rows(library, batch, options.rounds, options.steps)
    text = "\n".join(lines) + "\n"
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
