"""One trial: a sweep that something is done to, and what became of it once the same command was given again."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from house import House, Run, done_in, table

from isotune.runs.store import Store


@dataclass
class Trial:
    """stack: what is to stay until it is judged. done: what was done, and how often, where it is more than once.
    before: results that were there when it was harmed, or later. spoiled: keys of cells whose result the trial itself
    damaged, which is to be found again. The lists name what went wrong, in words."""

    house: House
    store: Path
    chance: Random
    stack: contextlib.ExitStack
    done: Counter[str] = field(default_factory=Counter)
    before: Counter[tuple[str, object]] = field(default_factory=Counter)
    spoiled: set[str] = field(default_factory=set)
    orphans: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def started(self, *options: object, **more: Any) -> Run:
        """The sweep, with one worker at a time or two."""
        jobs = ("--jobs", self.chance.choice((1, 2)))
        return Run(self.house, self.house.sweep(self.store, *jobs, *options), **more)

    def moment(self) -> float:
        """Seconds from the start, within what an undisturbed sweep takes."""
        return self.chance.uniform(0.2, 0.95 * self.house.takes)

    def remember(self) -> None:
        """What is there now must be there in the end."""
        self.before |= done_in(self.store)

    def judge(self, run: Run, statuses: Iterable[int], *words: str) -> None:
        """How a command that has ended may end: with one of these statuses, saying one of these, leaving nothing."""
        self.orphans += run.left_over()
        if "Traceback" in run.said:
            self.tracebacks.append(run.said[-600:])
        if run.process.returncode not in statuses or not any(each in run.said for each in words or [""]):
            self.other.append(f"status {run.process.returncode}: {run.said[-300:]}")

    def finish(self) -> dict[str, Any]:
        """Give the command again until all is done, and count. A worker that was killed leaves a failed cell, which the
        next run does."""
        self.remember()
        for _ in range(4):
            with Run(self.house, self.house.sweep(self.store)) as run:
                status = run.ended()
                self.judge(run, (0, 1))
            if status == 0:
                break
        store, after = Store(self.store), done_in(self.store)
        cells = Counter(key for key, _ in after.elements())
        records = store.all()
        for record in records:
            if record.status == "done":
                store.predictions(record)
        return {
            "cells": self.house.cells,
            "done": dict(self.done) or {"": 1},
            "lost": sum(count for (key, _), count in (self.before - after).items() if key not in self.spoiled),
            "twice": sum(count - 1 for count in cells.values()),
            "unreadable": len(store.damaged),
            "orphans": self.orphans,
            "tracebacks": self.tracebacks,
            "other": self.other,
            "equal": table(self.store) == self.house.wanted,
        }


# A way to harm a sweep: False where it had ended, or had nothing yet, and the trial does not count.
Way = Callable[[Trial], bool]


def meant(ways: Iterable[str], parts: Sequence[str]) -> list[str]:
    """The ways with one of these in their names, all where there is none; a whole name means that way alone."""
    ways = list(ways)
    whole = {part for part in parts if part in ways}
    return [way for way in ways if not parts or way in whole or any(part in way for part in {*parts} - whole)]
