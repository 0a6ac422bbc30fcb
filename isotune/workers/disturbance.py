"""What else the machine did while something was timed.

    with Watch() as watch:
        work()
    watch.seen.disturbed

A process cannot see the time that others took from it in its own clock. It can see how much of the cores that it may
use went to others, and how long its own threads were ready to run and had no core.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
from pydantic import BaseModel, ConfigDict, Field

from isotune.workers import threads

OTHERS = 0.05  # of the cores: beyond it a timing counts as disturbed
WAITED = 0.05  # of the time, by the thread that waited most
_SHARES = ("others", "stolen", "waited", "throttled")
_QUIET_FOR = 0.25  # seconds over which the machine must be quiet


class Disturbance(BaseModel):
    """What a span of time shows; shares in 0 to 1, None where the system does not say."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    others: float = Field(ge=0, description="CPU time of other processes, of all that the cores allowed here had")
    stolen: float = Field(0, ge=0, description="time of those cores that a hypervisor gave to other machines")
    waited: float | None = Field(None, ge=0, description="time that the main thread was ready to run and had no core")
    throttled: float = Field(0, ge=0, description="time that the cgroup's limit stopped this process")
    switches: int | None = Field(None, ge=0, description="involuntary context switches of this process")
    megahertz: float | None = Field(None, gt=0, description="clock frequency at the end, mean of the cores")
    device: dict[str, float] = Field(
        default_factory=dict, description="of an accelerator at the end: clocks in MHz, temperature in Celsius"
    )

    def after(self, earlier: Disturbance, seconds: float, before: float) -> Disturbance:
        """Of both spans together: of this one, of so many seconds, and of the earlier one, of `before`."""
        share = before / max(seconds + before, 1e-9)

        def mean(one: float | None, other: float | None) -> float | None:
            return None if one is None or other is None else round(one * (1 - share) + other * share, 3)

        shares = {name: mean(getattr(self, name), getattr(earlier, name)) for name in _SHARES}
        known = self.switches is not None and earlier.switches is not None
        switches = self.switches + earlier.switches if known else None  # type: ignore[operator]
        return self.model_copy(update={**shares, "switches": switches})

    @property
    def disturbed(self) -> bool:
        """Whether times taken meanwhile are more than the work needs."""
        taken = self.others + self.stolen > OTHERS or self.throttled > WAITED
        return taken or ((self.waited or 0) > WAITED and self.others + self.stolen > OTHERS / 2)

    @property
    def taken(self) -> float:
        """The share of the cores that this process could not have."""
        return self.others + self.stolen + self.throttled

    @property
    def cause(self) -> str:
        """ "other programs used 41 % of the machine": the greatest part of it."""
        parts = {
            "other programs used {} of the cores": self.others,
            "the hypervisor gave {} of the cores to other machines": self.stolen,
            "the limit of its cgroup stopped it for {} of the time": self.throttled,
        }
        words, share = max(parts.items(), key=lambda item: item[1])
        return words.format(f"{100 * share:.0f} %")


class _Reading(NamedTuple):
    clock: float
    own: float
    busy: float
    stolen: float
    waited: float | None
    throttled: float
    switches: int | None


class Watch:
    """Notes what the machine does from `with` to its end; `seen` then.

    device: what an accelerator says of itself: MHz, Celsius. children: what processes that this one started and waited
    for have used is its own. `seconds` is the wall clock between the two.
    """

    def __init__(self, device: Callable[[], dict[str, float]] | None = None, *, children: bool = False) -> None:
        self._device, self._children = device, children
        self.seconds = 0.0
        self.seen = Disturbance(others=0)

    def __enter__(self) -> Watch:
        self._before = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        self.look()

    def look(self) -> Disturbance:
        """What was seen so far, which is in `seen` and `seconds` too."""
        before, after = self._before, self._read()
        self.seconds = span = max(after.clock - before.clock, 1e-9)
        capacity = span * threads.bound()
        others = after.busy - before.busy - (after.own - before.own)
        waited = None if after.waited is None or before.waited is None else (after.waited - before.waited) / span
        switches = None if after.switches is None or before.switches is None else after.switches - before.switches
        self.seen = Disturbance(
            others=_share(others, capacity),
            stolen=_share(after.stolen - before.stolen, capacity),
            waited=None if waited is None else round(min(max(waited, 0.0), 1.0), 3),
            throttled=_share(after.throttled - before.throttled, span),
            switches=switches,
            megahertz=_frequency(),
            device=self._device() if self._device else {},
        )
        return self.seen

    def _read(self) -> _Reading:
        reading = _read()
        if not self._children:
            return reading
        spent = os.times()
        return reading._replace(own=reading.own + spent.children_user + spent.children_system)


def wait_for_quiet(most: float) -> float:
    """Return when the machine has been quiet for a moment, or after `most` seconds; the seconds that it took."""
    began = time.monotonic()
    while (left := most - (time.monotonic() - began)) > 0:
        with Watch() as watch:
            time.sleep(min(_QUIET_FOR, left))
        if watch.seen.others + watch.seen.stolen <= OTHERS:
            break
    return time.monotonic() - began


def _share(part: float, whole: float) -> float:
    """In 0 to 1: the counters of the system tick every 10 ms, those of the process do not."""
    return round(min(max(part / whole, 0.0), 1.0), 3)


def _read() -> _Reading:
    busy = stolen = 0.0
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    for core, spent in enumerate(psutil.cpu_times(percpu=True)):
        if allowed is None or core in allowed:
            taken = getattr(spent, "steal", 0.0)
            # guests are counted in `user` too; waiting for a disk takes no core
            idle = sum(getattr(spent, name, 0.0) for name in ("idle", "iowait", "guest", "guest_nice"))
            busy += sum(spent) - idle - taken
            stolen += taken
    return _Reading(
        clock=time.perf_counter(),
        own=time.process_time(),
        busy=busy,
        stolen=stolen,
        waited=_waited(),
        throttled=_throttled(),
        switches=_switches(),
    )


def _waited() -> float | None:
    """Seconds that the main thread was ready to run and waited for a core (Linux: Documentation/scheduler)."""
    file = Path(f"/proc/self/task/{os.getpid()}/schedstat")
    try:
        return int(file.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return None


def _throttled() -> float:
    """Seconds that this process's cgroup was stopped by its limit."""
    for folder in threads.groups():
        with contextlib.suppress(OSError, ValueError):
            for line in (folder / "cpu.stat").read_text(encoding="ascii").splitlines():
                if line.startswith("throttled_usec"):
                    return int(line.split()[1]) / 1e6
    return 0.0


def _switches() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def _frequency() -> float | None:
    try:
        clock = psutil.cpu_freq()
    except (OSError, NotImplementedError, AttributeError):
        return None
    return round(clock.current) if clock and clock.current else None
