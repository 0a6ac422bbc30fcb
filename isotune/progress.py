"""Progress of long work: how it is told, and how it is shown on stderr.

Whatever takes long takes a `Progress` and calls it as it goes: `progress("training", 3, 48)`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType

Progress = Callable[[str, int, int], object]  # (what is being done, how much of it is done, of how much)


def untold(what: str, done: int, total: int) -> None:
    """The `Progress` of those who do not want to know."""


class Reporter:
    """Shows a bar of the whole and one of what is being done, when stderr is a terminal or a notebook; a line for each
    part that ends, always. It is a `Progress` itself."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=self._console, transient=True, disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._whole = self._progress.add_task("", visible=False)
        self._within = self._progress.add_task("", visible=False)

    def __enter__(self) -> Reporter:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        self._progress.update(self._within, description=what, completed=done, total=total, visible=done < total)

    def parts(self, what: str, count: int) -> None:
        """So many parts are to come: cells, pairs."""
        self._progress.update(self._whole, description=what, total=count, visible=True)

    def ended(self, line: str) -> None:
        """A part has ended: one line about it."""
        self._progress.advance(self._whole)
        self.note(line)

    def note(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
