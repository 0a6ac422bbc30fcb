"""A real Slurm, and what becomes of a sweep on it: jobs queued again, killed, sent away, out of time; commands killed.

    python benchmarks/validation/slurm [--scenes undisturbed,sent-away] [--out reports]

A controller and two nodes run on this machine meanwhile (`cluster` says what that needs: Debian's slurm-wlm and munge,
and root), each scene on its own. Writes `slurm.md` and `slurm.json`; a scene that is not played again keeps its
figures. About 15 minutes.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import scenes
from cluster import NODES, version

from isotune.workers.environment import machine, versions

TITLES = {
    "undisturbed": "The same sweep here and in jobs",
    "sent-away": "Jobs queued again, killed, sent away",
    "driver": "The command killed, and interrupted",
    "limits": "A share longer than its job may take",
    "too-long": "A cell longer than a job may take",
    "refused": "Wrong input",
    "lacking": "A node without a library",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", default=",".join(TITLES), help=f"of {', '.join(TITLES)}")
    parser.add_argument("--out", type=Path, default=Path("reports"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # daemons are ended then too
    file = options.out / "slurm.json"
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"scenes": {}}
    for name in options.scenes.split(","):
        print(f"{name} ...", flush=True)
        kept["scenes"][name] = scenes.played(name) | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
        print(json.dumps(kept["scenes"][name], indent=1), flush=True)
        kept["environment"] = {**machine(), **versions("torchvision", "timm"), "Slurm": version()}
        options.out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        (options.out / "slurm.md").write_text(page(kept), encoding="utf-8")


def page(kept: dict[str, Any]) -> str:
    lines = [
        "# A sweep on Slurm",
        "",
        f"A controller and {len(NODES)} nodes of one core each, all on one machine; a sweep of two libraries, real"
        " weights, 12 fine-tunings of some seconds. *Equal*: accuracy, loss and predictions of a cell are those of a"
        " run without Slurm, to the bit.",
    ]
    for name, title in TITLES.items():
        if (figures := kept["scenes"].get(name)) is not None:
            lines += ["", f"## {title}", "", *_table(figures)]
    skipped = [title for name, title in TITLES.items() if name not in kept["scenes"]]
    if skipped:
        lines += ["", f"Not played: {'; '.join(skipped)}."]
    facts = ", ".join(f"{key} {value}" for key, value in kept["environment"].items() if key != "memory")
    lines += ["", f"Made by `python benchmarks/validation/slurm`. {facts}.", ""]
    return "\n".join(lines)


def _table(figures: dict[str, Any]) -> list[str]:
    rows = ["| | |", "| --- | --- |"]
    for what, value in figures.items():
        if what == "inputs":
            rows += [
                f"| {each} | exit status {told['exit status']}: `{told['said']}` |" for each, told in value.items()
            ]
        elif isinstance(value, list):
            rows += [f"| {what} | `{each}` |" for each in value]
        else:
            rows.append(f"| {what} | {value} |")
    return rows


if __name__ == "__main__":
    main()
