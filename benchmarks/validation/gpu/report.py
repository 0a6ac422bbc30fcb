"""gpu.json and gpu.md: what `make gpu` found, unrounded and to be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

GIB = 2**30
QUESTIONS = {
    "parity": "Are two libraries' models one function on this device, and do they train as one?",
    "modes": "One protocol in every numeric mode, MobileNetV2 on digits from random weights",
    "determinism": "Does a run give the same bits again?",
    "overhead": "The adapter's training step against a loop written by hand, images/s over the loop's",
    "sharing": "Two processes on one device",
    "memory": "Memory that runs out",
}


def write(report: dict[str, Any], out: Path) -> None:
    """Both files, whole: what was there before is replaced at once."""
    out.mkdir(parents=True, exist_ok=True)
    for name, text in (("gpu.json", json.dumps(report, indent=1) + "\n"), ("gpu.md", markdown(report))):
        draft = out / f".{name}"
        draft.write_text(text, encoding="utf-8")
        draft.replace(out / name)


def verdict(report: dict[str, Any]) -> str:
    """In one sentence."""
    steps = report["steps"]
    wrong = [found["what"] for step in steps for found in step["findings"] if found["holds"] is False]
    open_ = [step["name"] for step in steps if step["status"] != "done"]
    parts = [f"does not hold: {', '.join(wrong)}"] if wrong else []
    parts += [f"not ended: {', '.join(open_)}"] if open_ else []
    return "; ".join(parts) or "all held"


def markdown(report: dict[str, Any]) -> str:
    """The page."""
    machine = report["machine"]
    card = machine["card"] if report["device"] == "cuda" else "the CPU (a trial of the script)"
    lines = [f"# isotune on {card}", "", f"**{verdict(report).capitalize()}.**"]
    if report["quick"]:
        lines += ["", "A quick trial: its figures say nothing about speed or accuracy."]
    lines += ["", *_table(("machine", ""), _machine(report))]
    for step in report["steps"]:
        lines += ["", f"## {QUESTIONS[step['name']]}", ""]
        if step["status"] != "done":
            lines += [f"**{step['status'].capitalize()}**: {step['said']}", ""]
        rows = [
            (found["what"], _holds(found), _figures(step["name"], found), found["said"]) for found in step["findings"]
        ]
        lines += _table(("what", "holds", "figures", ""), rows) if rows else ["Nothing was found."]
    lines += ["", "## Evidence", "", f"- Command: `{report['command']}`, at commit {machine['commit'] or 'unknown'}"]
    lines += [f"- {report['started']}, {report['seconds']:.0f} s"]
    lines += [f"- {step['name']}: {step['status']}, {step['seconds']:.0f} s" for step in report["steps"]]
    return "\n".join(lines) + "\n"


def _machine(report: dict[str, Any]) -> Iterable[tuple[str, str]]:
    machine = report["machine"]
    if report["device"] == "cuda":
        yield "card", f"{machine['card']}, {machine['memory_bytes'] / GIB:.0f} GiB, of {machine['cards']}"
        yield "compute capability", machine["compute_capability"]
        yield "driver, CUDA, cuDNN", ", ".join(machine[name] or "unknown" for name in ("driver", "cuda", "cudnn"))
    yield "torch, Python", f"{machine['torch']}, {machine['python']}"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _holds(found: dict[str, Any]) -> str:
    return {True: "yes", False: "**no**", None: ""}[found["holds"]]


def _figures(step: str, found: dict[str, Any]) -> str:
    tell = _TOLD.get(step)
    return "" if tell is None else ", ".join(text for text in tell(found) if text)


def _parity(found: dict[str, Any]) -> Iterable[str]:
    if worst := found.get("worst"):
        nearest = f"{worst['rung']} {worst['error']:.1e} of {worst['bound']:.1e}"
        yield f"{found['rungs']} rungs, nearest to its bound: {nearest}"


def _modes(found: dict[str, Any]) -> Iterable[str]:
    if found.get("accuracy") is not None:
        yield f"{found['accuracy']:.1%}"
    if found.get("images_per_second"):
        yield f"{found['images_per_second']:,.0f} images/s in training"
    if found.get("device_bytes"):
        yield f"{found['device_bytes'] / GIB:.2f} GiB at most"
    if found.get("loss_scale"):
        yield f"loss scale {found['loss_scale']:,.0f} in the end, {found['skipped_steps']} steps left out"


def _overhead(found: dict[str, Any]) -> Iterable[str]:
    for side, ratio in found.get("ratios", {}).items():
        yield f"{ratio:.2f} of {side}"
    for side, seconds in found.get("seconds", {}).items():
        yield f"{side} {median(seconds) * 1000:.2f} ms a step"
    if found.get("graph"):
        yield f"CUDA graph: {found['graph']}"


def _sharing(found: dict[str, Any]) -> Iterable[str]:
    if "seconds" in found:
        yield f"{found['seconds']} s"
    if found.get("device_bytes"):
        yield f"{found['device_bytes'] / GIB:.2f} GiB at most in a process"
    if "gain" in found:
        yield f"{found['gain']} times as fast, start of the workers included"


_TOLD: dict[str, Callable[[dict[str, Any]], Iterable[str]]] = {
    "parity": _parity, "modes": _modes, "overhead": _overhead, "sharing": _sharing,
}  # fmt: skip
