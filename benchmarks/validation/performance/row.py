"""One measurement, in a process of its own: every side of one network in turn, printed as JSON.

    python benchmarks/validation/performance/row.py '{"library": "timm", "network": "resnet50", "question": "training",
        "size": 224, "batch": 8, "modes": ["float32"], "rounds": 7, "seconds": 0.5}'

`seconds` is how long the slower sides' rounds last at least; timm and torchvision: folders of the published loops. A
round during which the machine did something else is taken again, twice at most, once the machine is quiet.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import bare_loop
import costs
import published_loops

from isotune.protocols import Mode
from isotune.workers import memory
from isotune.workers.disturbance import Disturbance, Watch, wait_for_quiet
from isotune.workers.threads import settle_threads

AGAIN, PATIENCE = 2, 15.0  # times a round is taken again; seconds for that, of all rounds of a measurement
ADAPTER = "adapter"


def sides(asked: dict[str, Any]) -> dict[str, Callable[[], Callable[[int], Any]]]:
    """{"who | mode": makes the side}."""
    library, network, question = asked["library"], asked["network"], asked["question"]
    images, labels = bare_loop.batch(asked["size"], asked["batch"])
    what = (library, network, question, images, labels)
    hand = "by hand" if library != "keras" else "fit" if question == "training" else "predict"
    made: dict[str, Callable[[], Callable[[int], Any]]] = {}
    for spelling in asked["modes"]:
        mode = Mode.parse(spelling)
        made[f"{ADAPTER} | {mode.mode}"] = lambda mode=mode: bare_loop.adapter_side(*what, mode)
        made[f"{hand} | {mode.mode}"] = lambda mode=mode: bare_loop.bare_side(*what, mode)
        if mode.numeric_mode != "float32" or mode.compiled:
            continue
        if library == "timm" and asked.get("timm"):
            made[f"benchmark.py | {mode.mode}"] = lambda mode=mode: published_loops.timm_benchmark(
                Path(asked["timm"]), network, question, images, mode
            )
        if library == "torchvision" and asked.get("torchvision"):
            made[f"references/classification | {mode.mode}"] = lambda mode=mode: published_loops.torchvision_reference(
                Path(asked["torchvision"]), network, question, images, labels, mode
            )
    if library != "keras" and question == "training" and asked.get("fused"):
        made["by hand, fused SGD | float32"] = lambda: bare_loop.torch_side(*what, bare_loop.PLAIN, fused=True)
    return made


def measure(asked: dict[str, Any]) -> dict[str, Any]:
    """{"sides": {name: {"seconds": of a step by round, "disturbances", "memory"}}, "flops", "bytes", "failed"}."""
    images, labels = bare_loop.batch(asked["size"], asked["batch"])
    # first, so that no side's memory holds the framework's
    flops, moved = costs.counted(asked["library"], asked["network"], asked["question"], images, labels)
    running, found, failed = {}, {}, {}
    for name, make in sides(asked).items():
        print(f"  {name}", file=sys.stderr, flush=True)
        try:
            before = memory.resident()
            memory.reset_peak()
            run = make()
            run(1)
            run(1)
            began = time.perf_counter()
            run(1)
            once = time.perf_counter() - began
        except Exception as error:  # a mode that a library lacks does not take the others along
            failed[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]
            continue
        running[name] = run, once
        found[name] = {"seconds": [], "disturbances": [], "memory": max(0, (memory.peak() or 0) - before)}
    steps = max(1, round(asked["seconds"] / min(once for _, once in running.values())))
    if asked["library"] == "keras":  # each fit and predict starts anew, which nobody does for one step
        steps = max(steps, 8 if asked["size"] < 128 else 4)
    patience = PATIENCE
    for turn in range(asked["rounds"]):
        order = list(running)
        for name in order if turn % 2 == 0 else reversed(order):  # no side is always first
            seconds, seen, took = _round(running[name][0], steps, patience)
            patience -= took
            found[name]["seconds"].append(seconds)
            found[name]["disturbances"].append(seen.model_dump(mode="json"))
    return {"sides": found, "failed": failed, "flops": flops, "bytes": moved, "steps": steps}


def _round(run: Callable[[int], Any], steps: int, patience: float) -> tuple[float, Disturbance, float]:
    """Seconds of a step, what disturbed them, and how long taking it again took: the least disturbed of those taken."""
    seconds, seen = _timed(run, steps)
    began = time.monotonic()
    for _ in range(AGAIN):
        left = patience - (time.monotonic() - began)
        if not seen.disturbed or left <= 0:
            break
        wait_for_quiet(min(left, 3.0))
        again = _timed(run, steps)
        seconds, seen = min((seconds, seen), again, key=lambda each: each[1].taken)
    return seconds, seen, time.monotonic() - began


def _timed(run: Callable[[int], Any], steps: int) -> tuple[float, Disturbance]:
    with Watch() as watch:
        said = run(steps)
    return (said if isinstance(said, float) else watch.seconds / steps), watch.seen


def main() -> None:
    asked = json.loads(sys.argv[1])
    settle_threads()  # as a worker has them, on every side
    if asked["library"] == "machine":
        print(json.dumps(costs.machine()))
        return
    print(json.dumps(measure(asked)))


if __name__ == "__main__":
    main()
