"""What isotune does when it is killed, and when its files are damaged: tried, and counted.

    python benchmarks/validation/reliability [--kills 100] [--flips 60] [--seed 0] [--out reports]

Writes `reliability.md` and `reliability.json`, with what `fuzzing --out` put there; a part that is not
run again keeps its figures. About 25 minutes.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import flips
import kills

from isotune import names
from isotune.workers.environment import machine, versions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=0, help="how many; 0: not run again")
    parser.add_argument("--flips", type=int, default=0, help="how many; 0: not run again")
    parser.add_argument("--kind", default="", help="flips in files of this kind alone, whose figures are replaced")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("reports"))
    options = parser.parse_args()
    file = options.out / "reliability.json"
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    given = {"--kills": options.kills, "--flips": options.flips, "--kind": options.kind, "--seed": options.seed}
    words = [f"{option} {shlex.quote(str(value))}" for option, value in given.items() if value]
    command = " ".join(["python benchmarks/validation/reliability", *words])
    made = {"command": command, "environment": {**machine(), **versions(*names.adapters())}}
    if options.kills:
        seen = kills.kills(options.kills, options.seed)
        kept["kills"] = made | vars(seen) | {"sound": seen.sound}
    if options.flips:
        tried = vars(flips.flips(options.flips, options.seed, options.kind))
        former = kept.get("flips", {"done": {}, "noticed": {}, "missed": [], "commands": {}}) if options.kind else {}
        for part in ("done", "noticed") if options.kind else ():
            tried[part] = {**former[part], **tried[part]}
        if options.kind:
            others = [line for line in former["missed"] if not line.startswith(f"{options.kind}:")]
            tried["missed"] = [*others, *tried["missed"]]
            made["command"] = f"{former['command']}`, then `{command}" if former["done"] else command
        kept["flips"] = made | tried
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    (options.out / "reliability.md").write_text(page(kept), encoding="utf-8")


def page(kept: dict[str, Any]) -> str:
    lines = ["# What isotune does when it is killed, and when its files are damaged", ""]
    if killed := kept.get("kills"):
        lines += [
            "## Kills",
            "",
            "A sweep of 10 cells (two libraries, real weights) is started again on one store until it is complete, and"
            " something of it is killed at a random moment each time. The complete store is held against an undisturbed"
            " one: accuracies, losses and predictions of every cell, to the bit.",
            "",
            "| killed | times |",
            "| --- | ---: |",
            *(f"| {way} | {count} |" for way, count in killed["done"].items()),
            "",
            f"{killed['early']} of the signals came while Python was starting, before isotune listened, and ended it by"
            " themselves, with the same status to a shell.",
            "",
            "| what may not happen | count |",
            "| --- | ---: |",
            *(f"| {what} | {_count(killed[name])} |" for name, what in TROUBLES.items()),
            f"| sweeps whose table differs in the end | {killed['sweeps'] - killed['equal']} of {killed['sweeps']} |",
            "",
            *_evidence(killed),
        ]
    if flipped := kept.get("flips"):
        lines += [
            "## Flipped bits",
            "",
            "One bit of one file, the file's time put back; noticed: the command that reads it names it, and where it"
            " goes on gives what it gave before.",
            "",
            "| file | flips | noticed |",
            "| --- | ---: | ---: |",
            *(f"| {kind} | {count} | {flipped['noticed'].get(kind, 0)} |" for kind, count in flipped["done"].items()),
            "",
            *(f"- missed: {line}" for line in flipped["missed"]),
            *_evidence(flipped),
        ]
    if fuzzed := kept.get("fuzz"):
        lines += [
            "## Spoiled files",
            "",
            "Small valid files of every kind that is read, changed in one to three places or exchanged for something"
            " else; each must be read, or be refused in one clear line. Wrong success: the file carries checksums or a"
            " digest, its content was altered, and it was taken.",
            "",
            *_spoiled(fuzzed["kinds"]),
            "",
            *(f"- {end}: {kind}, case {number}: {words}" for kind, number, end, words in fuzzed["failures"]),
            *_evidence(fuzzed),
        ]
    return "\n".join(lines).rstrip() + "\n"


ENDS = (
    "read", "refused", "traceback", "no clear line", "hang", "memory", "file outside", "process started",
    "wrong success",
)  # fmt: skip


def _spoiled(kinds: dict[str, dict[str, int]]) -> list[str]:
    """A table of what reading spoiled files ended in, a row a kind and one of all."""
    total = {end: sum(ends.get(end, 0) for ends in kinds.values()) for end in ENDS}
    rows = [(f"{kind}", ends) for kind, ends in kinds.items()] + [("all", total)]
    return [
        f"| file | cases | {' | '.join(ENDS)} |",
        f"| --- {'| ---: ' * (len(ENDS) + 1)}|",
        *(
            f"| {kind} | {sum(ends.values()):,} | {' | '.join(f'{ends.get(end, 0):,}' for end in ENDS)} |"
            for kind, ends in rows
        ),
    ]


TROUBLES = {
    "lost": "results that were there before a kill and are not after it",
    "doubled": "cells that are done twice",
    "damaged": "records that cannot be read",
    "orphans": "processes that are left after two seconds",
    "tracebacks": "commands that end in a traceback",
    "other_status": "commands that end with another status than the signal's",
}


def _count(trouble: int | list[str]) -> int:
    return trouble if isinstance(trouble, int) else len(trouble)


def _evidence(part: dict[str, Any]) -> list[str]:
    facts = ", ".join(f"{key} {value}" for key, value in part["environment"].items() if key != "memory")
    return [f"Made by `{part['command']}`. {facts}.", ""]


if __name__ == "__main__":
    main()
