"""The steps of `make gpu`: what each asks of isotune, and what it finds.

    python steps.py STEP --device cuda [--quick] FINDINGS

A finding is a line of JSON: `what` was looked at, whether it `holds` (null: a figure, or skipped), what is to be
`said`, and figures. It is written as soon as it is known.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import isotune
from isotune import protocols
from isotune.errors import UsageError, WorkerFailure
from isotune.runs.records import Record
from isotune.workers.process import Workers

BARE_LOOP = Path(__file__).parents[2] / "bare_loop.py"
PAIRS = (  # the first three that the machine has libraries for
    ("torchvision:mobilenet_v2", "timm:mobilenetv2_100"),
    ("torchvision:resnet50", "timm:resnet50"),
    ("timm:mobilenetv2_100", "keras:MobileNetV2"),
    ("timm:mobilenetv2_100", "keras@torch:MobileNetV2"),
    ("torchvision:convnext_tiny", "timm:convnext_tiny"),
)
NEEDS = {  # by adapter and engine: packages, by the names that they are imported by
    "torchvision": ("torchvision",), "timm": ("timm",), "keras": ("keras", "tensorflow"), "keras@torch": ("keras",),
}  # fmt: skip
ROUNDS, STEPS = 9, 32
FREE = 3 * 2**30  # bytes that a hog leaves to the step about memory
RESERVE = 3 * 2**29  # on the CPU: bytes of address space beside what the step's process has
_HOG = """
import sys, torch
free, _ = torch.cuda.mem_get_info()
held = torch.empty(max(0, free - int(sys.argv[1])), dtype=torch.uint8, device="cuda")
print("held", flush=True)
sys.stdin.read()
"""


@dataclass
class Findings:
    """Written line by line."""

    path: Path
    device: str
    quick: bool
    scratch: Path
    started: float = field(default_factory=time.monotonic)

    def add(self, what: str, holds: bool | None, said: str = "", **figures: Any) -> None:
        line = {"what": what, "holds": holds, "said": said, **figures}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def missing(model: str) -> list[str]:
    """The packages that the model's adapter needs and this Python has not."""
    return [package for package in NEEDS[model.partition(":")[0]] if find_spec(package) is None]


def model_at_hand() -> str:
    """A MobileNetV2 of torchvision, or else of timm. UsageError: there is neither."""
    for model in PAIRS[0]:
        if not missing(model):
            return model
    raise UsageError("neither torchvision nor timm is installed")


def recipe(found: Findings, **changed: Any) -> dict[str, Any]:
    """Fine-tuning of all layers on digits: 512 images, 10 epochs at 96 px; to try it, two steps at 32 px."""
    values: dict[str, Any] = {
        "name": "gpu", "title": "Fine-tuning of all layers, as the GPU's validation does it", "source": "isotune's own",
        "images": {"train": 512, "test": 500},
        "input": {"size": 96, "resize": "squash", "interpolation": "bilinear"},
        "stage": [{
            "trained": "all", "epochs": 10, "batch_size": 32, "drop_last": True,
            "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4},
            "schedule": {"name": "cosine", "learning_rate": 0.05, "warmup_steps": 16, "per": "step"},
        }],
        "evaluation": {"batch_size": 100},
    }  # fmt: skip
    if found.quick:
        values["images"], values["input"]["size"] = {"train": 64, "test": 20}, 32
        values["stage"][0] |= {"epochs": 1, "schedule": {"name": "constant", "learning_rate": 0.01}}
    for name, value in changed.items():
        values[name] = value
    return values


def runs(found: Findings, protocol: dict[str, Any], place: str, **how: Any) -> list[Record]:
    """Records of MobileNetV2 on digits, in a store of their own."""
    asked = {
        "seeds": 1, "conventions": "identical", "checkpoint": "random:0", "fresh": True, "progress": False,
        "store": found.scratch / place,
    }  # fmt: skip
    return list(isotune.run(model_at_hand(), "digits", protocol, **(asked | how)).records)


def figures(record: Record) -> dict[str, Any]:
    """Of a record, what the report tells."""
    if record.metrics is None or record.timings is None:
        return {"error": record.error}
    seconds, images = record.timings.training, record.timings.training_images
    return {
        "accuracy": record.metrics.accuracy,
        "images_per_second": images / seconds if seconds and images else None,
        "loss_scale": record.metrics.loss_scale,
        "skipped_steps": record.metrics.skipped_steps,
        "device_bytes": record.memory.device if record.memory else None,
        "environment": record.environment,
    }


def bits(record: Record) -> tuple[Any, ...] | None:
    """What two runs share when they are the same to the bit: losses of every epoch, test loss, predictions."""
    if record.metrics is None:
        return None
    return record.metrics.train_loss, record.metrics.loss, record.predictions_digest


# -- the steps


def parity(found: Findings) -> None:
    """Three pairs of models in float64, the first in float32 too: there TF32 would show."""
    only = "inference,gradients" if found.quick else ""
    proved = 0
    for left, right in PAIRS:
        lacks = sorted({*missing(left), *missing(right)})
        if lacks:
            found.add(f"{left} = {right}", None, f"skipped: {', '.join(lacks)} not installed")
            continue
        if proved == 3:
            break
        proved += 1
        for mode in ("float64", "float32") if proved == 1 else ("float64",):
            proofs = isotune.prove(
                left, right, only=only, numeric_mode=mode, store=found.scratch / "parity", fresh=True, progress=False
            )
            (result,) = proofs.results
            worst = max(result.rungs, key=lambda rung: rung.error / rung.bound, default=None)
            found.add(
                f"{left} = {right}, {mode}", result.holds, result.line, rungs=len(result.rungs),
                worst=None if worst is None else {"rung": worst.name, "error": worst.error, "bound": worst.bound},
            )  # fmt: skip


def modes(found: Findings) -> None:
    """One protocol in every mode; float16 with its loss scale."""
    with Workers() as workers:
        for mode in protocols.NUMERIC_MODES:
            (record,) = runs(found, recipe(found), "modes", numeric_mode=mode, workers=workers)
            refused = record.error is not None and "no TF32" in record.error
            said = record.error or ""
            found.add(mode, None if refused else record.status == "done", said, **figures(record))


def determinism(found: Findings) -> None:
    """The same run in two fresh processes, and without CUDA graphs."""
    for mode in ("float32", "bfloat16", "float16"):
        (first,), (second,) = (runs(found, recipe(found), f"{mode}-{turn}", numeric_mode=mode) for turn in (1, 2))
        same = bits(first) is not None and bits(first) == bits(second)
        found.add(f"{mode}, twice", same, first.error or "", digest=first.predictions_digest)
        if mode == "float32":
            with _set("ISOTUNE_CUDA_GRAPHS", "0"):
                (plain,) = runs(found, recipe(found), "plain", numeric_mode=mode)
            same = bits(first) is not None and bits(first) == bits(plain)
            found.add(f"{mode}, with CUDA graphs and without", same, plain.error or "")


def overhead(found: Findings) -> None:
    """The adapter's training step against a loop written by hand: images/s of the adapter over the loop's."""
    libraries = [library for library in ("torchvision", "timm") if not missing(f"{library}:any")]
    sizes = (32,) if found.quick else (96, 224)
    for size in sizes:
        for library in libraries:
            _against_bare_loop(found, library, size)
    for size in sizes[:1]:
        for library in libraries[:1]:
            with _set("ISOTUNE_CUDA_GRAPHS", "0"):
                _against_bare_loop(found, library, size, "without CUDA graphs")


def _against_bare_loop(found: Findings, library: str, size: int, how: str = "") -> None:
    rounds, steps = (2, 2) if found.quick else (ROUNDS, STEPS)
    command = [sys.executable, str(BARE_LOOP), library, "--size", str(size)]
    command += ["--rounds", str(rounds), "--steps", str(steps), "--batch", "4" if found.quick else "32"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    what = f"{library}, {size} px{', ' if how else ''}{how}"
    if done.returncode:
        found.add(what, False, (done.stderr.strip().splitlines() or ["it said nothing"])[-1][:300])
        return
    measured = json.loads(done.stdout.splitlines()[-1])
    ratios = measured["adapter_images_per_second_over"]
    slower = min(ratios.values()) < 1
    goal = "" if how or not slower else "below the goal of 1.0"
    found.add(what, None, goal, ratios=ratios, seconds=measured["seconds"], graph=measured.get("graph", ""))


def sharing(found: Findings) -> None:
    """Four runs one after another, and in two processes on the one device: the same bits, and what it gains."""
    digests, seconds = [], []
    for jobs in (1, 2):
        began = time.monotonic()
        records = runs(found, recipe(found), f"jobs-{jobs}", seeds=2 if found.quick else 4, jobs=jobs)
        seconds.append(time.monotonic() - began)
        digests.append({str(record.cell.seeds): bits(record) for record in records})
        peak = [record.memory.device for record in records if record.memory and record.memory.device]
        failed = [record.error for record in records if record.error]
        found.add(
            f"{len(records)} runs, {jobs} at a time", not failed, "; ".join(map(str, failed))[:300],
            seconds=round(seconds[-1], 1), device_bytes=max(peak, default=None),
        )  # fmt: skip
    found.add("two processes give the bits of one", digests[0] == digests[1], gain=round(seconds[0] / seconds[1], 2))


def memory(found: Findings) -> None:
    """A run that needs more memory than there is fails in one line; the runs after it, in its process, go on."""
    greedy = recipe(found, name="greedy", images={"train": 512, "test": 20}, input={"size": 224, "resize": "squash"})
    greedy["stage"] = [greedy["stage"][0] | {"batch_size": 512, "epochs": 1}]
    with _little_memory(found), Workers() as workers:
        records = runs(found, recipe(found), "memory", workers=workers)
        records += runs(found, greedy, "memory", workers=workers)
        records += runs(found, recipe(found), "memory-after", workers=workers)
    before, ended, after = records
    line = ended.error or ""
    found.add(
        "a run that needs too much fails in one line", line.startswith("out of memory") and "\n" not in line, line
    )
    same = bits(before) is not None and bits(before) == bits(after)
    found.add("the next run in its process gives what it gave before", same, after.error or "")


@contextmanager
def _little_memory(found: Findings) -> Iterator[None]:
    """Of the card, all but `FREE` is held by another process; on the CPU a limit of address space stands for it."""
    if found.device == "cpu":
        sizes = Path("/proc/self/status").read_text(encoding="utf-8").split("VmSize:")[1].split()
        limit = int(sizes[0]) * 1024 + RESERVE
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
        yield
        return
    hog = subprocess.Popen([sys.executable, "-c", _HOG, str(FREE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert hog.stdout is not None
        assert hog.stdout.readline().strip() == b"held", "the card's memory could not be held"
        yield
    finally:
        hog.kill()
        hog.wait()


@contextmanager
def _set(name: str, value: str) -> Iterator[None]:
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]


STEPS_BY_NAME: dict[str, Callable[[Findings], None]] = {
    step.__name__: step for step in (parity, modes, determinism, overhead, sharing, memory)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("step", choices=list(STEPS_BY_NAME))
    parser.add_argument("findings", type=Path)
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        found = Findings(options.findings, options.device, options.quick, Path(scratch))
        try:
            STEPS_BY_NAME[options.step](found)
        except (UsageError, WorkerFailure) as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
