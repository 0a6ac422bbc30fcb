"""Cells that an executor has handed to somebody else, such as a batch system: what of it can be seen later, from
another process.

An executor NAME that leaves word of it in `STORE/.NAME` has a static method `handed_over(store)`, which reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from isotune.errors import UsageError
from isotune.executors._finding import listed, loaded


@dataclass(frozen=True)
class HandedOver:
    """A job there, which is not over as far as is known.

    job: its number. state: the word that is used there; empty: it cannot be asked, and reason says why. where: the
    machine on which it runs. reason: why it waits. cells: keys of those that it has.
    """

    executor: str
    job: str
    state: str
    where: str
    reason: str
    runs: bool
    cells: Sequence[str]


def handed_over(store: Path) -> list[HandedOver]:
    """Of every executor that left word in the store."""
    jobs: list[HandedOver] = []
    for name in listed():
        if (store / f".{name}").is_dir():
            try:
                ask = getattr(loaded(name), "handed_over", None)
            except UsageError:  # what it needs is not installed here
                continue
            jobs += ask(store) if ask is not None else ()
    return jobs
