"""Arrays of jobs through submitit, which writes the script, and queues a job again that is told to go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from isotune.errors import MissingExtra, UsageError
from isotune.executors.slurm import _options, _queue
from isotune.executors.slurm._options import Options
from isotune.executors.slurm._queue import GONE, JobState
from isotune.executors.slurm._share import Job

_REQUEUED = 1_000  # times at most after its time was up; a job asks for it only when a cell has ended since
_LOCAL = {"RUNNING": "RUNNING", "FINISHED": "COMPLETED", "INTERRUPTED": "FAILED"}  # submitit's words for its processes


class Jobs:
    """Those of one run."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._here: dict[str, Any] = {}  # of this machine, by number

    def check(self, store: Path) -> None:
        """UsageError: jobs like these cannot be submitted here. MissingExtra: submitit is not installed."""
        try:
            import submitit  # noqa: F401
        except ImportError:
            raise MissingExtra("submitit", "isotune[slurm]") from None
        if "%" in str(store.resolve()):
            raise UsageError(f"slurm: the store {store} has a % in its path, which Slurm takes for a number; rename it")
        if self.options.cluster == "slurm":
            _queue.check(self.options.flags())
            partition, most = _queue.limit(self.options.partition)
            if 0 < _options.of_sbatch(most) < self.options.minutes:
                raise UsageError(
                    f"slurm: time: {self.options.time} is above the limit of partition {partition}, {most}"
                )

    def submit(self, folder: Path, files: Sequence[Path]) -> list[str]:
        """Start a job for each share, in a new folder; their numbers in Slurm. UsageError: sbatch refuses them."""
        import submitit

        own = {f"{self.options.cluster}_max_num_timeout": _REQUEUED}
        executor = submitit.AutoExecutor(folder, cluster=self.options.cluster, **own)
        executor.update_parameters(**self.options.parameters())
        here = str(Path.cwd())
        try:
            with _queue.outside_of_jobs():
                jobs = executor.submit_array([Job(str(file), here) for file in files])
        except (submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError) as error:
            raise UsageError(f"slurm: sbatch refuses the jobs: {_queue.reason(str(error))}") from None
        if self.options.cluster != "slurm":
            self._here |= {job.job_id: job for job in jobs}
        return [job.job_id for job in jobs]

    def states(self, numbers: Iterable[str]) -> dict[str, JobState]:
        """Unavailable: Slurm cannot be asked now."""
        if self.options.cluster == "slurm":
            return _queue.states(numbers)
        return {
            number: JobState(_LOCAL.get(job.state, GONE) if (job := self._here.get(number)) else GONE)
            for number in numbers
        }

    def cancel(self, numbers: Iterable[str]) -> None:
        """End them, and take those that wait out of the queue."""
        if self.options.cluster == "slurm":
            _queue.cancel(numbers)
        else:
            for number in numbers:
                self._here[number].cancel()
