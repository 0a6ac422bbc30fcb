"""What Slurm says of jobs: squeue while it knows them, sacct afterwards, where there is accounting."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from isotune.errors import Unavailable, UsageError
from isotune.printable import one_line

GONE = "GONE"  # nobody knows it any more
OVER = frozenset((
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT", GONE,
))  # fmt: skip
_SECONDS = 60  # in which a command answers, or the cluster does not


@dataclass(frozen=True)
class JobState:
    """state: Slurm's word. node: where it runs or ran. reason: why it waits, or what ended it."""

    state: str
    node: str = ""
    reason: str = ""

    @property
    def over(self) -> bool:
        """Whether it has ended, and is not queued again."""
        return self.state in OVER

    @property
    def runs(self) -> bool:
        return self.state in ("RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED")

    def __str__(self) -> str:
        """ "ended OUT_OF_MEMORY on n1 (exit status 0:125)"."""
        words = "is not known to Slurm any more" if self.state == GONE else f"ended {self.state}"
        words += f" on {self.node}" if self.node else ""
        return words + (f" ({self.reason})" if self.reason else "")


def check(flags: Sequence[str]) -> None:
    """UsageError: there is no Slurm here, or sbatch would refuse a job with these options."""
    for command in ("sbatch", "srun", "squeue", "scancel"):
        if shutil.which(command) is None:
            raise UsageError(
                f"slurm: there is no {command} on this machine; start isotune where jobs are submitted, on a login node"
            )
    with outside_of_jobs():
        status, said = _asked("sbatch", "--test-only", *flags, "--wrap", "true")
    if status:
        raise UsageError(f"slurm: sbatch refuses such a job: {reason(said)}; 'sinfo' lists partitions and limits")


def limit(partition: str | None) -> tuple[str, str]:
    """The partition's name, or that of the one where none is said, and its time limit, as Slurm writes it; empty: it
    does not say so. A job that asks for more is taken by many clusters, and waits for ever."""
    _, said = _asked("sinfo", "--noheader", "--format=%P|%l", *([f"--partition={partition}"] if partition else []))
    for line in said.splitlines():
        name, _, most = line.partition("|")
        if name.rstrip("*") == partition or (partition is None and name.endswith("*")):
            return name.rstrip("*"), most.strip()
    return "", ""


def states(jobs: Iterable[str]) -> dict[str, JobState]:
    """Of each job of arrays, "12_3", or alone, "12". Unavailable: Slurm cannot be asked now."""
    wanted = list(dict.fromkeys(jobs))
    if not wanted:
        return {}
    every = ",".join(dict.fromkeys(job.partition("_")[0] for job in wanted))
    if shutil.which("squeue") is None:
        raise Unavailable("Slurm cannot be asked: there is no squeue on this machine")
    status, said = _asked("squeue", "--noheader", "--array", "--states=all", f"--jobs={every}", "--format=%i|%T|%N|%r")
    if status and "Invalid job id" not in said:
        raise Unavailable(f"Slurm cannot be asked: {reason(said)}")
    known = {} if status else dict(_queued(said))
    if (missing := [job for job in wanted if job not in known]) and shutil.which("sacct"):
        every = ",".join(dict.fromkeys(job.partition("_")[0] for job in missing))
        status, said = _asked(
            "sacct", "--noheader", "--parsable2", "--allocations", "--array", f"--jobs={every}",
            "--format=JobID,State,NodeList,ExitCode",
        )  # fmt: skip
        known = ({} if status else dict(_accounted(said))) | known
    return {job: known.get(job, JobState(GONE)) for job in wanted}


def cancel(jobs: Iterable[str]) -> None:
    """End them, or take them out of the queue; those that have ended are no error."""
    for some in _some(list(jobs), 200):
        subprocess.run(["scancel", "--quiet", *some], capture_output=True, check=False, timeout=_SECONDS)


@contextmanager
def outside_of_jobs() -> Iterator[None]:
    """Within a job (of `salloc`, say) a further one would inherit its size. What a user sets, SBATCH_ACCOUNT or
    SLURM_CONF, stays."""
    hidden = {}
    if "SLURM_JOB_ID" in os.environ:
        names = [name for name in os.environ if name.startswith(("SLURM_", "SRUN_")) and name != "SLURM_CONF"]
        hidden = {name: os.environ.pop(name) for name in names}
    try:
        yield
    finally:
        os.environ.update(hidden)


def _queued(said: str) -> Iterator[tuple[str, JobState]]:
    for line in said.splitlines():
        job, state, node, reason = (part.strip() for part in (*line.split("|", 3), "", "", "")[:4])
        yield job, JobState(state, node, "" if reason == "None" else reason)


def _accounted(said: str) -> Iterator[tuple[str, JobState]]:
    for line in said.splitlines():
        job, state, node, status = (part.strip() for part in (*line.split("|", 3), "", "", "")[:4])
        ended = "" if status == "0:0" else f"exit status {status}"
        yield job, JobState(state.partition(" ")[0], "" if node == "None assigned" else node, ended)


def _asked(*command: str) -> tuple[int, str]:
    """Exit status, and all that it said."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            encoding="utf-8", errors="replace", check=False, timeout=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return 1, f"{command[0]} gave no answer in {_SECONDS} s"
    except OSError as error:
        return 1, f"{command[0]}: {error.strerror}"
    return done.returncode, done.stdout


def reason(said: str) -> str:
    """What is worth reading of an error, in one line."""
    lines = (re.sub(r"^\w+: ((error|fatal): )?|^allocation failure: ", "", line.strip()) for line in said.splitlines())
    return one_line(
        "; ".join(dict.fromkeys(line for line in lines if line and not line.startswith("Try "))) or "it said nothing",
        300,
    )


def _some(things: list[str], most: int) -> Iterator[list[str]]:
    yield from (things[start : start + most] for start in range(0, len(things), most))
