"""The executor `slurm`: arrays of jobs, each of which runs a share of the cells on a node that sees the store.

    cells ─ by library and model ─> shares ─ sbatch ─> jobs ─> records in the store
              ^                                          │
              └───── those of jobs that are lost <───────┘   squeue, sacct

What became of a cell is read from the store alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path

from isotune.executors._elsewhere import HandedOver
from isotune.executors.slurm import _status
from isotune.executors.slurm._jobs import Jobs
from isotune.executors.slurm._options import Options
from isotune.executors.slurm._watch import Watch
from isotune.runs.desk import Desk
from isotune.runs.records import Cell, Record


class Slurm(Options):
    """The executor `slurm`; made with its `Options`."""

    def run(self, cells: Sequence[Cell], desk: Desk) -> Generator[tuple[Cell, Record | None], None, None]:
        """As `Executor.run`. Jobs that an earlier run left are waited for; interrupted, all are cancelled.

        UsageError: there is no Slurm here, or sbatch refuses such jobs. MissingExtra: submitit is not installed.
        """
        jobs = Jobs(self)
        jobs.check(desk.store.folder)
        watch = Watch(jobs, cells, desk)
        watch.begin()
        with contextlib.closing(watch):
            yield from watch.ending()

    @staticmethod
    def handed_over(store: Path) -> list[HandedOver]:
        """Jobs with cells of this store that are not over."""
        return _status.handed_over(store)
