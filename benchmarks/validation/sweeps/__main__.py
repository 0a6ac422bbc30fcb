"""What a sweep costs beside the cells themselves: measured, each figure beside its goal.

    python benchmarks/validation/sweeps [--only matrix,seed] [--quick] [--out reports]

The parts are modules of this folder; `--list` names them. Each writes its figures into `sweeps.json` as soon as it has
them, where those of the others stay, and `sweeps.md` is made of all that are there. About eight minutes on two cores.
"""

from __future__ import annotations

import argparse
import importlib
import json
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
for folder in ("performance", "speed"):  # whose images and records are taken here too
    sys.path.append(str(HERE.parent / folder))

import figures  # noqa: E402

from isotune import cache, names  # noqa: E402
from isotune.workers.environment import machine, versions  # noqa: E402

PARTS = ("matrix", "seed", "warm", "scale", "ray_cluster")
FILE, PAGE = "sweeps.json", "sweeps.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(PARTS), help="comma-separated parts; default: all")
    parser.add_argument("--list", action="store_true", help="name the parts, and nothing else")
    parser.add_argument("--quick", action="store_true", help="few seeds and records: to see that all of it runs")
    parser.add_argument("--out", type=Path, default=Path("reports"))
    options = parser.parse_args()
    asked = options.only.split(",")
    if unknown := [name for name in asked if name not in PARTS]:
        parser.error(f"--only {unknown[0]}: the parts are {', '.join(PARTS)}")
    if options.list:
        for name in PARTS:
            print(f"{name}: {(importlib.import_module(name).__doc__ or '').splitlines()[0]}")
        return
    file = options.out / FILE
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    words = [*(["--only", options.only] if asked != list(PARTS) else []), *(["--quick"] if options.quick else [])]
    command = shlex.join(["python", "benchmarks/validation/sweeps", *words])
    environment = {**machine(), **versions(*names.adapters())}
    for name in asked:
        print(name, file=sys.stderr, flush=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"isotune-sweeps-{name}-") as place:
            measured = importlib.import_module(name).measure(Path(place), quick=options.quick)
        took = {"command": command, "date": time.strftime("%Y-%m-%d"), "seconds": round(time.monotonic() - began)}
        kept[name] = {**measured, **took, "environment": environment}
        options.out.mkdir(parents=True, exist_ok=True)
        for path, text in ((file, json.dumps(kept, indent=1) + "\n"), (options.out / PAGE, page(kept))):
            with cache.draft_file(path) as draft:
                draft.write_text(text, encoding="utf-8")
    print(options.out / PAGE)


def page(kept: dict[str, Any]) -> str:
    """The report: all figures beside their goals, then each part."""
    there = {name: kept[name] for name in PARTS if name in kept}
    absent = [name for name in PARTS if name not in kept]
    lines = [
        "# What a sweep costs", "",
        "`python benchmarks/validation/sweeps`; `--only PART` measures a part again, and the others stay.", "",
        *figures.table([each for part in there.values() for each in part["figures"]]),
    ]  # fmt: skip
    if absent:
        lines += ["", f"Not measured: {', '.join(absent)}."]
    for part in there.values():
        machine_ = f"{part['environment']['cpu']}, {part['environment']['cores']} cores"
        lines += ["", f"## {part['title']}", "", *part["lines"], ""]
        lines += [f"`{part['command']}`, {part['date']}, {part['seconds']} s; {machine_}."]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
