"""The jobs of one run: submitted, waited for, submitted again where they are lost.

A job that is lost is held against the cell that it was at. After `TRIES` of them the cell has failed, for the reason
that Slurm gives for the last one; the others go on.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from isotune.errors import Unwritable, UsageError
from isotune.executors.slurm import _share, _submissions
from isotune.executors.slurm._jobs import Jobs
from isotune.executors.slurm._queue import JobState
from isotune.executors.slurm._submissions import Submission
from isotune.printable import counted
from isotune.runs.desk import Desk
from isotune.runs.records import Cell, Record

TRIES = 3
_LOOKING = 1.0  # seconds between two looks into the store
_ASKING = 10.0  # seconds between two questions to Slurm, which has other users


@dataclass
class _Job:
    """waiting: cells of its share without a result, by key, in its order. gave: how many had one."""

    submission: Submission
    waiting: dict[str, Cell]
    gave: int = 0


@dataclass
class Watch:
    """The jobs of one run, and what comes of them."""

    jobs: Jobs
    cells: Sequence[Cell]
    desk: Desk
    _under_way: dict[str, _Job] = field(default_factory=dict)  # by number in Slurm
    _unsent: list[Cell] = field(default_factory=list)  # of jobs that were lost
    _failing: list[tuple[Cell, str, str]] = field(default_factory=list)  # with the reason and a log
    _lost: Counter[str] = field(default_factory=Counter)  # jobs, by the key of the cell against which they are held
    _steps: Counter[str] = field(default_factory=Counter)  # of drafts, by the key of the cell
    _noted: str = ""

    def begin(self) -> None:
        """Submit jobs for the cells that none has yet. UsageError: sbatch refuses them, or Slurm cannot be asked."""
        self._adopt()
        taken = {key for job in self._under_way.values() for key in job.waiting}
        mine = [cell for cell in self.cells if cell.key not in taken]
        self._submit(sorted(mine, key=lambda cell: (cell.adapter, cell.model)))

    def ending(self) -> Iterator[tuple[Cell, Record | None]]:
        """Every cell as it ends."""
        asked, pause = time.monotonic(), _LOOKING
        while self._under_way or self._unsent or self._failing:
            time.sleep(_LOOKING)
            yield from self._results()
            if time.monotonic() - asked < pause:
                continue
            try:
                known = self.jobs.states(self._under_way)
                yield from self._results()  # what a job that is over now wrote last
                yield from self._after(known)
                self._submit(sorted(self._unsent, key=lambda cell: self._lost[cell.key]))
                self._unsent = []
            except Unwritable:
                raise
            except UsageError as error:  # the cluster may be had again
                self._note(f"{error}; trying again")
            yield from self._fail()
            asked, pause = time.monotonic(), min(2 * pause, _ASKING)

    def close(self) -> None:
        """Cancel what is under way. Its folder is left: jobs write into it for some seconds."""
        if own := [number for number, job in self._under_way.items() if not job.submission.attended]:
            self.jobs.cancel(own)
            self.desk.note(f"{counted(len(own), 'Slurm job')} cancelled")

    def _adopt(self) -> None:
        """Wait for the jobs that an earlier run left, or another process runs; remove what is left of others."""
        left = _submissions.read(self.desk.store.folder)
        known = self.jobs.states(job for submission in left for job in submission.cells)
        wanted = {cell.key: cell for cell in self.cells}
        for submission in left:
            alive = [job for job in submission.cells if not known[job].over]
            if not alive:
                if not submission.attended:
                    submission.remove()
                continue
            adopted = submission if submission.attended else submission.adopt()
            for job in alive:
                if cells := {key: wanted[key] for key in submission.cells[job] if key in wanted}:
                    self._under_way[job] = _Job(adopted, cells)
            self._note(
                f"{counted(len(alive), 'Slurm job')} of {submission.at:%Y-%m-%d %H:%M} UTC, {_ends(alive)}, go on"
            )

    def _submit(self, cells: Sequence[Cell]) -> None:
        """In shares of neighbours: in order, a job imports few frameworks and builds few models. UsageError: sbatch
        refuses the jobs."""
        if not cells:
            return
        count = max(min(self.jobs.options.jobs, len(cells)), -(-len(cells) // _share.MOST_CELLS))
        bounds = [len(cells) * number // count for number in range(count + 1)]
        shares = [cells[start:end] for start, end in itertools.pairwise(bounds)]
        place = _submissions.new_folder(self.desk.store)
        try:
            files = [place / f"{number}.json" for number in range(count)]
            for file, share in zip(files, shares, strict=True):
                _share.write(file, share, self.desk, self.jobs.options.pythons or {}, shared=self.jobs.options.shared)
            by_job = dict(zip(self.jobs.submit(place, files), shares, strict=True))
        except BaseException:
            _submissions.remove(place)
            raise
        submission = _submissions.keep(place, {job: [cell.key for cell in share] for job, share in by_job.items()})
        for job, share in by_job.items():
            self._under_way[job] = _Job(submission, {cell.key: cell for cell in share})
        self._note(f"{counted(count, 'Slurm job')} for {counted(len(cells), 'cell')}: {_ends(by_job)}")

    def _results(self) -> Iterator[tuple[Cell, Record | None]]:
        """Of cells that have one now."""
        try:
            there = {entry.name for entry in os.scandir(self.desk.store.folder)}
        except OSError as error:
            raise self.desk.store.unusable(error) from None
        for job in self._under_way.values():
            for key, cell in list(job.waiting.items()):
                if (key in there or key in self.desk.before) and (record := self._new(cell)) is not None:
                    del job.waiting[key]
                    job.gave += 1
                    yield cell, record

    def _new(self, cell: Cell) -> Record | None:
        """A result that came since the run began, under whatever versions the node has."""
        return next(iter(self.desk.new(cell)), None)

    def _after(self, known: Mapping[str, JobState]) -> Iterator[tuple[Cell, Record | None]]:
        """Take the cells of jobs that are over; when no time is left, of those too that have not begun."""
        late = time.monotonic() > self.desk.until
        for number, state in known.items():
            job = self._under_way[number]
            if late and not state.over and not state.runs:
                self.jobs.cancel([number])
            elif not state.over:
                continue
            del self._under_way[number]
            for cell in self._missing(job, state):
                reason = f"its Slurm job {number} {state}"
                if late:
                    yield cell, None
                elif state.state == "CANCELLED":
                    self._failing.append((cell, reason, job.submission.log(number)))
                elif (lost := self._lost[cell.key]) >= TRIES:
                    self._failing.append((cell, f"{reason}; {lost} jobs were lost at it", job.submission.log(number)))
                else:
                    self._unsent.append(cell)
            submission = job.submission
            if not submission.attended and all(each.submission is not submission for each in self._under_way.values()):
                submission.remove()
        if late:
            yield from ((cell, None) for cell in self._unsent)
            self._unsent = []
        self._tell(known)

    def _missing(self, job: _Job, state: JobState) -> list[Cell]:
        """Cells of a job that is lost. It is held against the one that it was at, or, where it gave nothing, against
        all, of which the first comes last then; one that made room for other jobs, or that brought its cell further,
        against none."""
        cells = list(job.waiting.values())
        if cells and self._is_further(cells[0]):
            return cells
        if state.state != "PREEMPTED":
            self._lost.update(cell.key for cell in (cells[:1] if job.gave else cells))
        return cells if job.gave else cells[1:] + cells[:1]

    def _is_further(self, cell: Cell) -> bool:
        """Whether its draft has more steps than when the last job was lost at it."""
        steps = _share.steps(self.desk.store.folder).get(cell.key, 0)
        before, self._steps[cell.key] = self._steps[cell.key], max(steps, self._steps[cell.key])
        return steps > before

    def _fail(self) -> Iterator[tuple[Cell, Record | None]]:
        """Hand in those that have failed, as soon as nobody has a claim on them."""
        late = time.monotonic() > self.desk.until
        for each in list(self._failing):
            cell, reason, log = each
            record = self._new(cell)
            if record is None and (begun := self.desk.begin(cell)) is not None:
                with begun:
                    record = begun.fail(reason, log)
            if record is not None or late:
                self._failing.remove(each)
                yield cell, record

    def _tell(self, known: Mapping[str, JobState]) -> None:
        running = sum(state.runs for state in known.values())
        reasons = Counter(state.reason for state in known.values() if not state.runs and not state.over)
        waiting = f", {reasons.total()} waiting ({reasons.most_common(1)[0][0]})" if reasons else ""
        left = sum(len(job.waiting) for job in self._under_way.values()) + len(self._unsent) + len(self._failing)
        total = len(self.cells)
        self.desk.progress(f"Slurm: {counted(running, 'job')} running{waiting}", total - left, total)

    def _note(self, line: str) -> None:
        """Once, however often it is so."""
        if line != self._noted:
            self._noted = line
            self.desk.note(line)


def _ends(jobs: Iterable[str]) -> str:
    """ "12_0 to 12_7"."""
    names = list(jobs)
    return " to ".join(dict.fromkeys((names[0], names[-1])))
