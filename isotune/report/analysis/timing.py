"""A figure of several timings, and whether anything disturbed them.

Timings during which others had more than their share of the machine (`Disturbance.disturbed`) are left out where any
other is there. Which those are is known from what the machine did, not from the times, so leaving them out does not
choose the fast ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from isotune.statistics import MedianInterval, median_interval
from isotune.workers.disturbance import Disturbance

SHARED = "other workers of isotune ran at the same time"


@dataclass(frozen=True)
class Timing(MedianInterval):
    """The median of the timings that nothing disturbed; of all, when there is none such."""

    left_out: int = 0  # timings, because they were disturbed
    cause: str = ""  # what disturbed all of them, in words: speeds are lower bounds then


@dataclass(frozen=True)
class Taken:
    """One timing."""

    value: float
    disturbance: Disturbance | None = None  # None: nobody looked
    alone: bool = True

    @property
    def disturbed(self) -> bool:
        return not self.alone or (self.disturbance is not None and self.disturbance.disturbed)


def timing(taken: Sequence[Taken]) -> Timing | None:
    """What so many timings come to; None where there are none."""
    if not taken:
        return None
    calm = [each for each in taken if not each.disturbed]
    interval = median_interval([each.value for each in calm or taken])
    return Timing(**asdict(interval), left_out=len(taken) - len(calm or taken), cause="" if calm else _cause(taken))


def _cause(taken: Sequence[Taken]) -> str:
    if all(each.alone for each in taken):
        worst = max((each.disturbance for each in taken if each.disturbance), key=lambda seen: seen.taken)
        return worst.cause
    return SHARED


def warning(figures: Iterable[Timing | None]) -> str:
    """What the mark of disturbed figures means, in a sentence; empty where none is."""
    causes = list(dict.fromkeys(figure.cause for figure in figures if figure and figure.cause))
    if not causes:
        return ""
    more = "" if len(causes) == 1 else f", and so on for {len(causes)} figures"
    return f"Disturbed: {causes[0]}{more}. These speeds are lower bounds; measure them again on a quiet machine."
