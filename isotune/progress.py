"""Progress of long work: how it is told, and how it is shown on stderr or in a notebook.

Whatever takes long takes a `Progress` and calls it as it goes: `progress("training", 3, 48)`. What a user gives,
True, False or a function, becomes a `Reporter`:

    with reporting(progress) as reporter:
        reporter.parts("cells", len(cells))
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from isotune.errors import UsageError
from isotune.printable import one_line, printable

_BAR = 10  # characters
_BESIDE = _BAR + 13 + 8 + 8 + 4  # of a line that are no words: bar, "1000/1000", both times, the gaps
Progress = Callable[[str, int, int], object]  # (what is being done, how much of it is done, of how much)


def untold(what: str, done: int, total: int) -> None:
    """The `Progress` of those who do not want to know."""


class Reporter:
    """Is told of the whole and of what is being done; this one says nothing. It is a `Progress` itself."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """So much of what is being done is done."""

    def parts(self, what: str, count: int) -> None:
        """So many parts are to come: cells, pairs."""

    def ended(self, line: str) -> None:
        """A part has ended: one line about it."""

    def note(self, line: str) -> None:
        """A line that is worth reading."""


class Shown(Reporter):
    """A bar of the whole and one of what is being done, when stderr is a terminal; in a notebook one line of both; a
    line for each part that ends, always."""

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
        self._line = _NotebookLine() if self._console.is_jupyter else None
        drawn = self._line is None and sys.stderr.isatty()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(bar_width=_BAR), MofNCompleteColumn(),
            TimeElapsedColumn(), TimeRemainingColumn(compact=True), console=self._console, transient=True,
            disable=not drawn,
        )  # fmt: skip
        self._whole = self._progress.add_task("", visible=False)
        self._within = self._progress.add_task("", visible=False)

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()
        if self._line:
            self._line.clear()

    def __call__(self, what: str, done: int, total: int) -> None:
        words = self._fitting(what)
        self._progress.update(self._within, description=words, completed=done, total=total, visible=done < total)
        if self._line:
            self._line.within(what, done, total)

    def parts(self, what: str, count: int) -> None:
        self._progress.update(self._whole, description=self._fitting(what), total=count, completed=0, visible=True)
        if self._line:
            self._line.whole(what, 0, count)

    def _fitting(self, what: str) -> str:
        """As much of it as fits beside the bar: the model at its beginning and the step at its end tell most."""
        return one_line(what, max(self._console.width - _BESIDE, 20))

    def ended(self, line: str) -> None:
        self._progress.advance(self._whole)
        if self._line:
            self._line.advance()
        self.note(line)

    def note(self, line: str) -> None:
        self._console.print(printable(line), markup=False, highlight=False, soft_wrap=True)


class _NotebookLine:
    """A line of a notebook's output, rewritten as work goes on: "cells 3/8; training 12/48"."""

    SECONDS = 0.2  # between two of its states

    def __init__(self) -> None:
        from IPython.display import display

        self._shown = display({"text/plain": ""}, raw=True, display_id=True)
        self._all, self._told = ("", 0, 0), 0.0

    def whole(self, what: str, done: int, count: int) -> None:
        self._all = (what, done, count)

    def advance(self) -> None:
        what, done, count = self._all
        self._all = (what, done + 1, count)

    def within(self, what: str, done: int, total: int) -> None:
        if time.monotonic() - self._told > self.SECONDS:
            self._told = time.monotonic()
            whole, ended, count = self._all
            start = f"{whole} {ended}/{count}; " if count else ""
            self._shown.update({"text/plain": f"{start}{what} {done}/{total}"}, raw=True)

    def clear(self) -> None:
        self._shown.update({"text/plain": ""}, raw=True)


class Told(Reporter):
    """Hands everything on to a function: also each part that ends, with its line and how many have."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._done, self._parts = progress, 0, 0

    def __call__(self, what: str, done: int, total: int) -> None:
        self._progress(what, done, total)

    def parts(self, what: str, count: int) -> None:
        self._done, self._parts = 0, count
        self._progress(what, 0, count)

    def ended(self, line: str) -> None:
        self._done += 1
        self._progress(line, self._done, self._parts)


@contextmanager
def reporting(progress: bool | Progress) -> Iterator[Reporter]:
    """What to tell of progress: True shows it, False is silent, a function is told (what, done, total).

    A `Reporter` is taken as it is, so that one may serve several calls. UsageError: none of these.
    """
    if isinstance(progress, Reporter):
        yield progress
    elif progress is False:
        yield Reporter()
    elif progress is True:
        shown = Shown()
        shown.start()
        try:
            yield shown
        finally:
            shown.stop()
    elif callable(progress):
        yield Told(progress)
    else:
        raise UsageError(
            "progress: takes True, False or a function of (what, done, total), not " + type(progress).__name__
        )
