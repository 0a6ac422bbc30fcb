"""A side that cannot run: which one it is, and what is kept of the other, so that the work can be taken up with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isotune import data
from isotune.comparison.sides import Inputs, Side
from isotune.errors import UsageError
from isotune.investigation._command import investigation_command, options_of_sides
from isotune.investigation._dump import PREFIX, Dump, write_dump
from isotune.investigation.findings import SIDES, Survivor, Which
from isotune.progress import Progress
from isotune.protocols import Protocol
from isotune.workers.process import WorkerFailure, Workers


class Answerer:
    """What answers for a side, a dump or a worker that is started when it is first asked; remembers how it failed."""

    def __init__(self, side: Side | Dump) -> None:
        self.side = side.contents.side if isinstance(side, Dump) else side
        self.dump = side if isinstance(side, Dump) else None
        self.failures: list[UsageError | WorkerFailure] = []
        pythons = {self.side.adapter: self.side.python} if self.side.python else None
        self.workers = Workers(threads=1, shared=True, pythons=pythons)

    def ask(self, do: Callable[..., Any], **request: Any) -> Any:
        """UsageError, WorkerFailure: it cannot be started or cannot answer. A worker that died is started again."""
        try:
            return (self.dump or self.workers[self.side.adapter]).ask(do, **request)
        except (UsageError, WorkerFailure) as error:
            self.failures.append(error)
            raise

    def end(self) -> None:
        """Answer nothing any more: what a thread still asks of the worker fails at once."""
        self.workers.end()


def failing(answerers: Mapping[str, Answerer], error: Exception) -> Which | None:
    """The side whose failure it is. None: neither's, as when images cannot be decoded."""
    return next((which for which in SIDES if any(each is error for each in answerers[which].failures)), None)


def survivor(
    failed: Which,
    answerers: Mapping[str, Answerer],
    inputs: Inputs,
    dataset: data.Dataset,
    recipe: Protocol,
    images: int,
    keep: Path,
    progress: Progress | None = None,
) -> Survivor:
    """What is kept of the side that did not fail: a dump in `keep`-left-dump or -right-dump, or why there is none. The
    other's worker ends first, for it may hold the memory that is lacking."""
    (which,) = (each for each in SIDES if each != failed)
    other, alive = answerers[failed], answerers[which]
    other.workers.stop()
    folder = keep.with_name(f"{keep.name}-{which}-dump")
    if alive.dump:
        folder = alive.dump.folder
    else:
        try:
            write_dump(
                alive.side.in_mode("float64"), inputs, dataset, recipe, images, folder, ask=alive.ask, progress=progress
            )
        except (UsageError, WorkerFailure, OSError) as error:
            return Survivor(side=which, lost=str(error))
        except KeyboardInterrupt:
            return Survivor(side=which, lost="interrupted")
    goes_on = investigation_command(f"{PREFIX}{folder}", other.side, options_of_sides(None, other.side))
    return Survivor(side=which, dump=str(folder), command=goes_on)
