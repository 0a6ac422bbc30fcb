"""Does isotune hold on this GPU, and how fast is it there? In at most nine minutes, without network.

    make gpu                                    the Python that has torch: make gpu PYTHON=/path/to/python
    python benchmarks/validation/gpu --device cpu --quick      to try the script itself

Steps, each in a process of its own with a limit of its own (`steps.py`): parity of three pairs of models, one protocol
in every numeric mode, the same run twice to the bit, the adapter's training step against a loop written by hand, two
processes on one GPU, and memory that runs out. A step that fails, or whose time is over, leaves what it had found and
does not keep the next from running. What a step needs and is not installed (TensorFlow, timm) is skipped, and said.

Writes gpu.json and gpu.md after every step. Exit status 0: all held; 1: something did not, or did not end; 2: wrong
use, or no CUDA.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the room itself is a package

from gpu import machine
from gpu import report as pages

ROOT = machine.ROOT
STEPS_FILE = Path(__file__).with_name("steps.py")
LIMITS = {  # seconds; what a step leaves over is the next ones'
    "parity": 150, "modes": 80, "determinism": 80, "overhead": 110, "sharing": 60, "memory": 40,
}  # fmt: skip
START = 20
TOTAL = START + sum(LIMITS.values())  # nine minutes


@dataclass(frozen=True)
class Step:
    """What is run for one question: a command that appends findings to a file, JSON, one a line."""

    name: str
    command: Sequence[str]
    limit: float  # seconds


def carried_out(step: Step, seconds: float, findings: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run a step for so long at most: {"name", "status", "said", "seconds", "findings"}.

    status: done, failed, out of time, not begun. What it had found by then is in `findings` in each case.
    """
    result: dict[str, Any] = {"name": step.name, "status": "done", "said": "", "seconds": 0.0}
    findings.unlink(missing_ok=True)
    if seconds <= 0:
        return result | {"status": "not begun", "said": "no time was left", "findings": []}
    began = time.monotonic()
    with findings.with_suffix(".log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*step.command, str(findings)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            start_new_session=True, text=True, cwd=findings.parent,  # the checkout's isotune/ has no adapters in it
        )  # fmt: skip
        try:
            status = process.wait(timeout=seconds)
            if status:
                log.seek(0)
                last = [line for line in log.read().splitlines() if line.strip()][-1:] or ["it said nothing"]
                result |= {"status": "failed", "said": f"exit status {status}: {last[0].strip()[:300]}"}
        except subprocess.TimeoutExpired:
            result |= {"status": "out of time", "said": f"ended after {seconds:.0f} s"}
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)  # its workers too; they are of its session alone
            process.wait()
    return result | {"seconds": round(time.monotonic() - began, 1), "findings": _read(findings)}


def _read(findings: Path) -> list[dict[str, Any]]:
    """The findings; a last line that is cut off is none."""
    found = []
    for line in findings.read_text(encoding="utf-8").splitlines() if findings.exists() else ():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


def holds(results: Sequence[dict[str, Any]]) -> bool:
    """Whether every step ended and nothing that it found speaks against isotune."""
    ended = all(result["status"] == "done" for result in results)
    return ended and all(finding["holds"] is not False for result in results for finding in result["findings"])


def main() -> int:
    options = _options()
    began = time.monotonic()
    place = ROOT / "build" / "gpu"
    place.mkdir(parents=True, exist_ok=True)
    try:
        facts = machine.probe()
        if options.device == "cuda" and not facts["card"]:
            raise machine.Unfit(
                f"{sys.executable} (torch {facts['torch']}) sees no CUDA device;"
                " to try the script without one: --device cpu --quick"
            )
        site = machine.lend(place)
        paths = [str(site)]
        if packages := machine.lacking(site):
            paths.append(str(machine.install(packages, place, options.wheels)))
    except machine.Unfit as unfit:
        print(unfit, file=sys.stderr)
        return 2
    environment = _environment(options.device, place, paths)
    whole = options.device == "cuda" and not options.quick
    head = {
        "device": options.device, "quick": options.quick, "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "make gpu" if whole else " ".join(["python benchmarks/validation/gpu", *sys.argv[1:]]),
        "machine": facts,
    }  # fmt: skip
    results: list[dict[str, Any]] = []
    share = options.minutes * 60 / TOTAL
    due = began + START * share
    for name in options.steps:
        due += LIMITS[name] * share
        command = [sys.executable, str(STEPS_FILE), name, "--device", options.device, *(["--quick"] * options.quick)]
        step = Step(name, command, due - time.monotonic())
        print(f"{name}: at most {step.limit:.0f} s", file=sys.stderr, flush=True)
        results.append(carried_out(step, step.limit, place / f"{name}.jsonl", environment))
        report = head | {"seconds": round(time.monotonic() - began, 1), "steps": results, "holds": holds(results)}
        pages.write(report, options.out)
        last = results[-1]
        print(f"{name}: {last['status']}, {last['seconds']:.0f} s {last['said']}", file=sys.stderr, flush=True)
    print(f"{options.out / 'gpu.md'}: {pages.verdict(report)}")
    return 0 if report["holds"] else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu: to try the script")
    parser.add_argument("--quick", action="store_true", help="as little as shows that every step runs")
    parser.add_argument("--minutes", type=float, default=9.0, help="at most, shared out among the steps")
    parser.add_argument("--steps", default=",".join(LIMITS), help=f"comma-separated: {', '.join(LIMITS)}")
    parser.add_argument("--wheels", type=Path, help="folder of wheels for packages that are lacking")
    parser.add_argument("--out", type=Path, help="folder for gpu.json and gpu.md [reports; of a trial build/gpu]")
    options = parser.parse_args()
    options.steps = [name.strip() for name in options.steps.split(",") if name.strip()]
    if unknown := [name for name in options.steps if name not in LIMITS]:
        parser.error(f"there is no step {unknown[0]!r}; {', '.join(LIMITS)}")
    if not options.steps or options.minutes <= 0:
        parser.error("--steps and --minutes leave nothing to do")
    if options.wheels is not None and not options.wheels.is_dir():
        parser.error(f"--wheels {options.wheels}: there is no such folder")
    trial = options.quick or options.device == "cpu"  # reports/ holds runs on a GPU, whole ones
    options.out = options.out or ROOT / ("build/gpu" if trial else "reports")
    return options


def _environment(device: str, place: Path, paths: list[str]) -> dict[str, str]:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]),
        "ISOTUNE_CACHE": str(place / "cache"),
        "ISOTUNE_DEVICE": device,
    }
    return environment | ({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})


if __name__ == "__main__":
    sys.exit(main())
