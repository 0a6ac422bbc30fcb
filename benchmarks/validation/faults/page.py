"""The report: what isotune does when it is harmed."""

from __future__ import annotations

from collections import Counter
from typing import Any

COLUMNS = {
    "lost": "cells lost",
    "twice": "counted twice",
    "orphans": "orphans",
    "unreadable": "unreadable",
    "tracebacks": "tracebacks",
    "other": "other ends",
}
ENDS = (
    "read", "refused", "traceback", "no clear line", "hang", "memory", "file outside", "process started",
    "wrong success",
)  # fmt: skip


def page(kept: dict[str, Any]) -> str:
    lines = ["# What isotune does when it is harmed", ""]
    if faults := kept.get("faults"):
        lines += [
            "## Sweeps",
            "",
            "A sweep (two libraries, real weights, probes and fine-tunings) is started,"
            " something is done to it at a random moment, and the same command is given again until all is done. Then"
            " the store is held against an undisturbed one: accuracies, losses and predictions of every cell, to the"
            " bit. Lost: a result that was there and is not in the end. Orphans: processes that are left two seconds"
            " after the command. Other ends: a status, or words, that a command should not end with. By: the"
            " command and the machine, in the list below.",
            "",
            f"| what is done | cells | times | {' | '.join(COLUMNS.values())} | tables equal | by |",
            f"| --- |{' ---: |' * (len(COLUMNS) + 4)}",
            *(_row(way, trials) for way, trials in faults["ways"].items() if trials),
            "",
            *(f"- not tried: {line}" for line in faults["left_out"]),
            *(f"- not tried yet: {way}" for way, trials in faults["ways"].items() if not trials),
            *(f"- {way}: {line}" for way, trials in faults["ways"].items() for line in _troubles(trials)),
            "",
            *(f"{number}. {_made(each)}" for number, each in enumerate(faults["made"], 1)),
            "",
        ]
    if spoiled := kept.get("spoiled"):
        lines += [
            "## Damaged files",
            "",
            "One file has a bit flipped, or its end cut off, and its time put back; noticed: the command that reads it"
            " names it, and where it goes on gives what it gave before.",
            "",
            "| file | bit flipped | noticed | cut off | noticed |",
            "| --- | ---: | ---: | ---: | ---: |",
            *(_noticed(kind, spoils) for kind, spoils in spoiled["kinds"].items()),
            "",
            *(
                f"- missed: {line}"
                for spoils in spoiled["kinds"].values()
                for one in spoils.values()
                for line in one
                if line
            ),
            *(f"{_made(each)}\n" for each in spoiled["made"]),
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
            _made(fuzzed),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _row(way: str, trials: list[dict[str, Any]]) -> str:
    counts = (sum(_count(trial[name]) for trial in trials) for name in COLUMNS)
    equal = sum(trial["equal"] for trial in trials)
    done = Counter[str]()
    for trial in trials:
        done.update(trial["done"])
    parts = ", ".join(f"{count} {what}" for what, count in done.items() if what)
    way = f"{way} ({parts})" if parts else way
    cells = "/".join(str(count) for count in sorted({trial["cells"] for trial in trials}))
    by = ", ".join(str(each + 1) for each in sorted({trial["by"] for trial in trials}))
    return f"| {way} | {cells} | {done.total()} | {' | '.join(map(str, counts))} | {equal} of {len(trials)} | {by} |"


def _count(trouble: int | list[str]) -> int:
    return trouble if isinstance(trouble, int) else len(trouble)


def _troubles(trials: list[dict[str, Any]]) -> list[str]:
    """What went wrong, in words."""
    return [" ".join(line.split())[-300:] for trial in trials for name in COLUMNS for line in _words(trial[name])]


def _words(trouble: int | list[str]) -> list[str]:
    return trouble if isinstance(trouble, list) else []


def _noticed(kind: str, spoils: dict[str, list[str]]) -> str:
    cells = [f"{len(missed)} | {missed.count('')}" for missed in spoils.values()]
    return f"| {kind} | {' | '.join(cells)} |"


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


def _made(part: dict[str, Any]) -> str:
    """By which command something was made, and where."""
    facts = ", ".join(f"{key} {value}" for key, value in part["environment"].items() if key != "memory")
    return f"Made by `{part['command']}`. {facts}."
