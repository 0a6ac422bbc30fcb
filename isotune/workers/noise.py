"""How noisy the machine is: the same small work again and again, and what else ran meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import numpy as np
import psutil
from pydantic import BaseModel, ConfigDict, Field

from isotune.progress import Progress, untold
from isotune.workers.disturbance import Disturbance, Watch

_PIECE = 0.05  # seconds that the work takes when nothing disturbs it
_BUSIEST = 3
_WORTH = 0.02  # of one core: programs that took less are not named


class Noise(BaseModel):
    """What so many seconds of watching show."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: float = Field(ge=0)
    slower: float = Field(ge=1, description="the 95th percentile of the times of the same work, over their median")
    disturbance: Disturbance
    programs: dict[str, float] = Field(description="the busiest others: cores' worth of time that each took")

    @property
    def lines(self) -> dict[str, str]:
        """In words, for people."""
        seen = self.disturbance
        verdict = f"disturbed: {seen.cause}; speeds are lower bounds" if seen.disturbed else "quiet enough for timings"
        named = ", ".join(f"{name} {100 * share:.0f} % of a core" for name, share in self.programs.items())
        return {
            "verdict": verdict,
            "same work again": f"one time in twenty at least {100 * (self.slower - 1):.0f} % slower than the median",
            "other programs": f"{100 * seen.others:.1f} % of the cores" + (f" ({named})" if named else ""),
            "stolen by the hypervisor": f"{100 * seen.stolen:.1f} %",
        }


def measure(seconds: float = 10.0, progress: Progress | None = None) -> Noise:
    """Watch the machine for so many seconds, with one thread at work. progress: (what, done, total)."""
    tell = progress or untold
    work = _work()
    before = dict(_taken())
    times: list[float] = []
    began = time.monotonic()
    with Watch() as watch:
        while (passed := time.monotonic() - began) < seconds:
            piece = time.perf_counter()
            work()
            times.append(time.perf_counter() - piece)
            tell("noise", int(passed), int(seconds))
    tell("noise", int(seconds), int(seconds))
    took = {who: (spent - before.get(who, 0.0)) / watch.seconds for who, spent in _taken()}
    busiest = sorted(took.items(), key=lambda item: -item[1])[:_BUSIEST]
    return Noise(
        seconds=round(watch.seconds, 2),
        slower=round(max(1.0, float(np.quantile(times, 0.95) / np.median(times))), 3),
        disturbance=watch.seen,
        programs={f"{name} ({pid})": round(share, 3) for (pid, name), share in busiest if share >= _WORTH},
    )


def _work() -> Callable[[], None]:
    """A function of about `_PIECE` seconds, in memory of its own."""
    values = np.arange(20_000, dtype=np.float64)

    def once(times: int) -> None:
        for _ in range(times):
            np.sin(values)

    began = time.perf_counter()
    once(20)
    times = max(1, round(20 * _PIECE / (time.perf_counter() - began)))
    return lambda: once(times)


def _taken() -> Iterator[tuple[tuple[int, str], float]]:
    """CPU seconds of every other process so far, by number and name."""
    for process in psutil.process_iter(["name", "cpu_times"]):
        spent = process.info["cpu_times"]
        if process.pid != os.getpid() and spent is not None:
            yield (process.pid, process.info["name"] or "?"), spent.user + spent.system
