"""What is under way of a store's cells in jobs of Slurm, for whoever asks, on any machine that sees the store."""

from __future__ import annotations

from pathlib import Path

from isotune.errors import Unavailable
from isotune.executors._elsewhere import HandedOver
from isotune.executors.slurm import _queue, _submissions
from isotune.executors.slurm._queue import JobState


def handed_over(store: Path) -> list[HandedOver]:
    """Jobs that are queued or run; all that are not known to be over, where Slurm cannot be asked."""
    left = _submissions.read(store)
    unknown = JobState("")
    known: dict[str, JobState] = {}
    try:
        known = _queue.states(job for submission in left for job in submission.cells)
    except Unavailable as error:
        unknown = JobState("", reason=str(error))
    jobs = []
    for submission in left:
        for job, cells in submission.cells.items():
            state = known.get(job, unknown)
            if not state.over:
                jobs.append(HandedOver("slurm", job, state.state, state.node, state.reason, state.runs, cells))
    return jobs
