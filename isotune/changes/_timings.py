"""What was timed on one side, and by which machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from isotune.models import told
from isotune.report import Speed
from isotune.report.analysis.timing import Taken, Timing, timing
from isotune.runs.records import Record

MACHINE = ("cpu", "cores", "device")  # of an environment: where one of them differs, so do speeds
_SUITE = {
    "training-step": "training step",
    "inference-throughput": "inference",
    "inference-latency": "latency",
}


@dataclass(frozen=True, order=True)
class Clock:
    """What was timed: figures of one of these are comparable, where the machine is one.

    setting: batch and size of the suite's, data set and protocol of a cell's own clock. unit: "images/s" or "ms".
    """

    what: str
    model: str
    setting: str
    conventions: str
    mode: str
    unit: str

    @property
    def of_cells(self) -> bool:
        """Whether it is the cells' own, and not the suite's."""
        return self.what not in _SUITE.values()


class Timed(Protocol):
    """Whose cells they are."""

    @property
    def model(self) -> str: ...
    @property
    def conventions(self) -> str: ...
    @property
    def mode(self) -> str: ...


@dataclass(frozen=True)
class Rounds:
    """Timings of one clock: the figure that they come to, and those that it comes from."""

    timing: Timing
    values: tuple[float, ...]


Clocks = dict[Clock, Rounds]
Machines = dict[Clock, frozenset[tuple[str, ...]]]


def of_suite(speeds: Iterable[Speed]) -> tuple[Clocks, Machines]:
    """The suite's speeds, each measured once: those that repeat an equal network's rounds are left to it."""
    groups: dict[Clock, list[Speed]] = defaultdict(list)
    for speed in speeds:
        if speed.same_as is None:
            groups[_of_speed(speed)].append(speed)
    clocks: Clocks = {}
    machines: Machines = {}
    for clock, group in groups.items():
        taken = [Taken(_value(speed, seconds), seen) for speed in group for seconds, seen in speed.rounds]
        if rounds := _rounds(taken):
            clocks[clock] = rounds
            machines[clock] = frozenset(machine(speed.environment) for speed in group)
    return clocks, machines


def of_cells(records: Sequence[Record], subject: Timed, setting: str, clocks: Clocks, machines: Machines) -> None:
    """Add what the cells of one subject timed themselves: a probe's extraction of features, or training.

    Features are extracted once for all seeds; so many seeds that tell of one extraction are one timing.
    """
    timed = [(record, record.timings) for record in records if record.timings]
    probes = any(record.cell.protocol.probe is not None for record, _ in timed)
    taken: dict[object, Taken] = {}
    for number, (_, times) in enumerate(timed):
        images, seconds = (times.features_images, times.features) if probes else (times.training_images, times.training)
        if images and seconds:
            key = (images, seconds) if probes else number
            taken[key] = Taken(images / seconds, times.disturbance, times.alone)
    if rounds := _rounds(list(taken.values())):
        what = "features" if probes else "training"
        clock = Clock(what, subject.model, setting, subject.conventions, subject.mode, "images/s")
        clocks[clock] = rounds
        machines[clock] = frozenset(machine(record.environment) for record, _ in timed)


def _rounds(taken: Sequence[Taken]) -> Rounds | None:
    """Those that nothing disturbed; all, when there is none such."""
    figure = timing(taken)
    if figure is None:
        return None
    calm = [each.value for each in taken if not each.disturbed]
    return Rounds(figure, tuple(calm or [each.value for each in taken]))


def _value(speed: Speed, seconds: float) -> float:
    return 1000 * seconds if speed.question == "inference-latency" else speed.batch_size / seconds


def machine(environment: Mapping[str, str]) -> tuple[str, ...]:
    """What tells one machine from another; empty words where it is not known."""
    return tuple(environment.get(setting, "") for setting in MACHINE)


def _of_speed(speed: Speed) -> Clock:
    return Clock(
        what=_SUITE[speed.question],
        model=told.model(speed.model),
        setting=f"batch {speed.batch_size}, {speed.image_size} px",
        conventions=speed.conventions.replace(" ", ""),
        mode=speed.mode,
        unit="ms" if speed.question == "inference-latency" else "images/s",
    )
