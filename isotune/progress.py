"""Progress of long work, on stderr; quiet when stderr is not a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from isotune.runs.records import Record

if TYPE_CHECKING:
    from isotune.parity import Result


class Reporter:
    """A bar for the cells and one for what happens within a cell; one line a cell when not a terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
            TimeRemainingColumn(), console=self._console, transient=True, disable=not sys.stderr.isatty(),
        )  # fmt: skip
        self._cells = self._progress.add_task("cells", visible=False)
        self._within = self._progress.add_task("", visible=False)

    def __enter__(self) -> Reporter:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def preparing(self, done: int, total: int, what: str) -> None:
        self._progress.update(self._within, description=what, completed=done, total=total, visible=done < total)

    def cells(self, count: int) -> None:
        self._progress.update(self._cells, total=count, visible=True)

    def within(self, cell: str, what: str, done: int, total: int) -> None:
        self._progress.update(self._within, description=f"{cell}: {what}", completed=done, total=total, visible=True)

    def ended(self, record: Record) -> Record:
        """Note a cell's end; the record is handed on."""
        self._progress.advance(self._cells)
        if record.metrics is not None:
            line = f"{record.cell}: {record.metrics.accuracy:.2%} of {record.metrics.test_images}"
        else:
            line = f"{record.cell}: FAILED: {record.error}"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        return record

    def note(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def proved(self, result: Result) -> None:
        """Note that a pair of models has been gone through."""
        self._progress.advance(self._cells)
        verdict = result.error or (f"differs: {rung.name}" if (rung := result.first_failure) else "identical")
        line = f"{result.question.left} = {result.question.right}: {verdict}, {result.seconds:.0f} s"
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
