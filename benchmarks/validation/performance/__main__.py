"""isotune against what its users would run instead: steps, inference, and whole protocols, in turn.

    python benchmarks/validation/performance --timm FOLDER --torchvision FOLDER

FOLDER of timm: that of `benchmark.py` in a clone of github.com/huggingface/pytorch-image-models; of torchvision:
`references/classification` in one of github.com/pytorch/vision. Without them their rows are left out. One measurement
is a process of its own with a time limit; what is measured is kept in .isotune/performance.json, and a run that is
interrupted goes on from there. One that fails is named in the report and tried again by the next run. Writes
reports/performance.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import report

HERE = Path(__file__).parent

ROOT = HERE.parents[2]
MODES = ("float32", "float32-channels_last", "bfloat16-channels_last")
COMPILED = ("float32", "float32-compiled")
NETWORKS = {"mobilenet_v2": (96, 32), "resnet50": (224, 8), "convnext_tiny": (224, 8), "efficientnet_b0": (224, 8),
            "vit_b_16": (224, 4)}  # fmt: skip
LIBRARIES = ("torchvision", "timm", "keras")


def measurements(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """{name: what is asked}, the smallest network first."""
    asked: dict[str, dict[str, Any]] = {"machine": {"library": "machine"}}
    for network, (size, batch) in NETWORKS.items():
        for question in ("training", "inference"):
            for library in LIBRARIES:
                if library == "keras" and network == "vit_b_16":
                    continue  # keras.applications has none
                modes = MODES if library != "keras" else MODES[:1]
                asked[f"{question} {network} {library}"] = {
                    "library": library, "network": network, "question": question, "size": size, "batch": batch,
                    "modes": modes if network != "vit_b_16" else ("float32", "bfloat16"), "rounds": options.rounds,
                    "seconds": 0.05 if options.quick else 0.35, "fused": network == "mobilenet_v2",
                    "timm": options.timm, "torchvision": options.torchvision,
                }  # fmt: skip
        if network == "mobilenet_v2":
            for task in ("probe", "tune"):
                for library in LIBRARIES:
                    whole = {"library": library, "task": task, "rounds": options.whole, "script": "end_to_end.py"}
                    asked[f"end-to-end {task} {library}"] = whole | ({"images": 400} if options.quick else {})
    for question in ("training", "inference"):  # a compiler takes minutes
        for library in LIBRARIES:
            plain = asked[f"{question} mobilenet_v2 {library}"]
            brief = {"modes": COMPILED, "fused": False, "timm": None, "torchvision": None}
            asked[f"compiled {question} {library}"] = plain | brief
    return asked


def measured(asked: dict[str, Any], limit: float) -> dict[str, Any]:
    """What a process of its own says; {"error"} where it says nothing."""
    command = [sys.executable, str(HERE / asked.get("script", "row.py")), json.dumps(asked)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=limit, env=_quiet())
    except subprocess.TimeoutExpired:
        return {"error": f"not done after {limit:.0f} s"}
    if done.returncode:
        return {"error": f"the process ended with {done.returncode}"}
    return {"asked": asked, "taken": time.strftime("%Y-%m-%d")} | json.loads(done.stdout.splitlines()[-1])


def _quiet() -> dict[str, str]:
    return {"TF_CPP_MIN_LOG_LEVEL": "2"} | os.environ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--timm", help="folder of timm's benchmark.py")
    parser.add_argument("--torchvision", help="folder of torchvision's references/classification")
    parser.add_argument("--loops", default="", help="which versions those are, for the report")
    parser.add_argument("--only", default="", help="comma-separated parts of names: training,keras; see --list")
    parser.add_argument("--list", action="store_true", help="names of the measurements, and nothing else")
    parser.add_argument("--quick", action="store_true", help="short rounds, few images: to see that all of it runs")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    parser.add_argument("--rounds", type=int, default=7, help="of steps; six give intervals with 95 %%")
    parser.add_argument("--whole", type=int, default=3, help="rounds of whole commands")
    parser.add_argument("--limit", type=float, default=600, help="seconds a measurement may take")
    parser.add_argument("--until", type=float, help="begin no measurement after so many seconds")
    parser.add_argument("--store", type=Path, default=Path(".isotune/performance.json"))
    parser.add_argument("--out", type=Path, default=ROOT / "reports" / "performance.md")
    options = parser.parse_args()
    asked = measurements(options)
    parts = [part for part in options.only.split(",") if part]
    chosen = {name: each for name, each in asked.items() if not parts or any(part in name for part in parts)}
    if not chosen:
        parser.error(f"--only {options.only}: no measurement has that in its name; --list names them")
    if options.list:
        print("\n".join(chosen))
        return
    kept: dict[str, Any] = json.loads(options.store.read_text(encoding="utf-8")) if options.store.exists() else {}
    began = time.monotonic()
    for number, (name, each) in enumerate(chosen.items()):
        if name in kept and "error" not in kept[name] and not options.fresh:
            continue
        if options.until and time.monotonic() - began > options.until:
            break
        print(f"{number + 1} of {len(chosen)}: {name}", file=sys.stderr, flush=True)
        kept[name] = measured(each, options.limit)
        options.store.parent.mkdir(parents=True, exist_ok=True)
        options.store.write_text(json.dumps(kept), encoding="utf-8")
    options.out.write_text(
        report.report({name: kept[name] for name in asked if name in kept}, list(asked), options.loops), "utf-8"
    )
    print(options.out)


if __name__ == "__main__":
    main()
