"""What a job asks of Slurm: checked when it is said, and handed to sbatch in its own words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from isotune.executors._finding import WrongOption

_WARNING = 90  # seconds before its time is up that a job is told so, of a short one a quarter of it
_MINUTES = {"s": 1 / 60, "m": 1, "min": 1, "h": 60, "d": 1440}
_SPAN = re.compile(r"(\d{1,6}(?:\.\d{1,3})?) ?(min|[smhd])")
_MEMORY = re.compile(r"[1-9]\d{0,8}[KMGT]?")
_NAME = re.compile(r"[a-z][a-z0-9-]*")
_SAID_ELSEWHERE = {"partition": "partition", "time": "time", "mem": "memory", "cpus-per-task": "cpus",
                   "gpus-per-node": "gpus", "account": "account"}  # fmt: skip
_SET = frozenset((  # by isotune or submitit, and not to be said otherwise
    "array", "chdir", "error", "job-name", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output", "signal",
    "test-only", "wait", "wrap",
))  # fmt: skip


@dataclass(kw_only=True)
class Options:
    """Of an array of jobs, and of each; what is not said is as the cluster's administrator has it, but the time.

    jobs: of an array, among which cells are shared out. pythons: interpreters of other environments by adapter.
    partition, account: by name. time: limit of a job, after which another one goes on: "90m", "2h", "1-12:00:00"; a
    number alone is minutes, as sbatch has it. memory: "16G"; a number alone is megabytes. cpus, gpus: how many.
    parallel: jobs of an array at the same time, at most. sbatch: further options of sbatch by their long names,
    {"qos": "long", "exclusive": True}, or "qos=long exclusive".
    """

    jobs: int = 1
    pythons: Mapping[str, str] | None = None
    partition: str | None = None
    account: str | None = None
    time: str | int = "60m"
    memory: str | int | None = None
    cpus: int | None = None
    gpus: int | None = None
    parallel: int | None = None
    sbatch: Mapping[str, str | int | bool] | str | None = None
    cluster: ClassVar[str] = "slurm"  # as submitit names it; "local" is this machine, for tests

    def __post_init__(self) -> None:
        """WrongOption: one of them is wrong."""
        self.minutes = minutes(self.time)
        if self.memory is not None:
            self.memory = memory(self.memory)
        for name, least in (("jobs", 1), ("cpus", 1), ("gpus", 0), ("parallel", 1)):
            if (value := getattr(self, name)) is not None and value < least:
                raise WrongOption(f"slurm: {value} {name}: at least {least}", name)
        for name in ("partition", "account"):
            if (value := getattr(self, name)) is not None:
                check_line(name, value)
        self.further = further(self.sbatch or {})

    @property
    def shared(self) -> bool:
        """Whether others may compute on a job's node meanwhile: its timings are not its own then."""
        return "exclusive" not in self.further

    def flags(self) -> list[str]:
        """As a command line of sbatch has them."""
        said = {
            "partition": self.partition, "account": self.account, "time": self.minutes, "mem": self.memory,
            "cpus-per-task": self.cpus, "gpus-per-node": self.gpus, **self.further,
        }  # fmt: skip
        return [
            f"--{name}" if value is True else f"--{name}={value}" for name, value in said.items() if value is not None
        ]

    def parameters(self) -> dict[str, Any]:
        """As submitit takes them. A step of a job does not inherit the job's cores: they are said twice."""
        given = {
            "name": "isotune", "timeout_min": self.minutes, "cpus_per_task": self.cpus, "gpus_per_node": self.gpus,
            "slurm_partition": self.partition, "slurm_account": self.account, "slurm_mem": self.memory,
            "slurm_array_parallelism": self.parallel, "slurm_signal_delay_s": min(_WARNING, self.minutes * 15),
            "slurm_srun_args": [f"--cpus-per-task={self.cpus}"] if self.cpus else None,
            "slurm_additional_parameters": {"requeue": True, **self.further},
        }  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}


def minutes(value: str | int) -> int:
    """Of a time limit. WrongOption: it is none."""
    text = str(value).strip().lower()
    parts = _SPAN.findall(text)
    if parts and not _SPAN.sub("", text).strip():
        count = sum(float(number) * _MINUTES[unit] for number, unit in parts)
    else:
        count = of_sbatch(text)
    if not 0 < count < 1e6:
        raise WrongOption(
            f"slurm: {value!r} is no time limit; give 90m, 2h or 1d, or as sbatch has it: 1-12:00:00", "time"
        )
    return max(1, round(count))


def of_sbatch(text: str) -> float:
    """M, M:S, H:M:S, D-H, D-H:M or D-H:M:S, in minutes; 0: it is none of these."""
    days, dash, clock = text.rpartition("-")
    numbers = clock.split(":")
    if len(numbers) > 3 or not all(each.isdecimal() and len(each) < 8 for each in (*numbers, days or "0")):
        return 0
    if not dash and len(numbers) < 3:
        numbers.insert(0, "0")
    hours, more, seconds = (int(each) for each in (*numbers, "0", "0")[:3])
    return int(days or 0) * 1440 + hours * 60 + more + seconds / 60


def memory(value: str | int) -> str:
    """As sbatch has it. WrongOption: it is no size."""
    size = str(value).strip().upper().removesuffix("B").removesuffix("I")
    if not _MEMORY.fullmatch(size):
        raise WrongOption(f"slurm: {value!r} is no size of memory; give 16G or 500M", "memory")
    return size


def further(given: Mapping[str, str | int | bool] | str) -> dict[str, str | int | bool]:
    """Options of sbatch by name; True: without a value. WrongOption: one is none, is set otherwise, or no line."""
    if isinstance(given, str):
        try:
            words = (word.removeprefix("--").partition("=") for word in shlex.split(given))
        except ValueError as error:
            raise WrongOption(f"slurm: sbatch: {given!r}: {error}", "sbatch") from None
        given = {name: value if sign else True for name, sign, value in words}
    for name, value in given.items():
        if name in _SAID_ELSEWHERE:
            raise WrongOption(f"slurm: sbatch: {name}: say it as {_SAID_ELSEWHERE[name]}", "sbatch")
        if not _NAME.fullmatch(name) or name in _SET:
            raise WrongOption(f"slurm: sbatch: {name!r} is no option of sbatch that can be said here", "sbatch")
        if value is False:
            raise WrongOption(f"slurm: sbatch: {name}: give its value, or true where it has none", "sbatch")
        check_line(f"sbatch: {name}", str(value))
    return dict(given)


def check_line(what: str, text: str) -> None:
    """WrongOption: it is empty, or not of one line; it stands in a script, where a line break would begin a command."""
    if not text.strip() or not text.isprintable():
        raise WrongOption(f"slurm: {what}: {text!r} is not a text of one line", what.partition(":")[0])
