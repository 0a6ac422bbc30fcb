"""The figure of a study: of each source what every seed does, and beside it the standard deviation with its interval.

Never a bar: a standard deviation from a few seeds is a dot with a wide interval, and its seeds stand beside it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from isotune.report.figures import style as _style
from isotune.statistics import Component, Interval
from isotune.variance._judging import Finding
from isotune.variance._sentences import decimals, source

_WIDEST = 3.0  # the axis of standard deviations ends at so many times the largest, however wide the intervals
_DOT = 3.6  # points


@dataclass(frozen=True)
class Line:
    """A source of one model: a line of the figure. Points of accuracy."""

    name: str
    dots: tuple[float, ...]  # each seed's distance from the model's mean
    sd: float
    interval: Interval | None  # of the standard deviation; None: there is none
    share: float | None  # 0..1


def write(findings: Sequence[Finding], path: Path) -> bool:
    """Draw the models that have components, as SVG. False: none has, and nothing is written."""
    shown = [finding for finding in findings if finding.sources.components]
    if shown:
        with _style.style():
            _style.save(figure(shown), path)
    return bool(shown)


def lines(finding: Finding) -> Iterator[Line]:
    """All runs together, then every component, then the same seeds again."""
    mean = sum(finding.accuracies) / len(finding.accuracies)
    total = finding.sources.total
    if total is not None:
        runs = tuple(accuracy - mean for accuracy in finding.accuracies)
        yield Line("all together", runs, sqrt(max(total, 0.0)), None, None)
    components = finding.sources.components
    yield from map(_line, components)
    if (noise := finding.sources.noise) is not None and noise not in components:
        yield _line(noise)


def _line(part: Component) -> Line:
    interval = Interval(sqrt(part.interval.low), sqrt(part.interval.high))
    return Line(source(part), part.deviations, part.sd, interval, part.share)


def figure(findings: Sequence[Finding]) -> Figure:
    """One block of lines for each model, in the order given; every finding has components."""
    blocks = [(finding, list(lines(finding))) for finding in findings]
    everything = [line for _, block in blocks for line in block]
    made = _style.figure(7.6, 0.9 + 0.27 * len(everything) + 0.36 * len(blocks))
    seeds, spread = made.subplots(1, 2, sharey=True, width_ratios=(4, 3))
    least = 10.0 ** -(decimals(findings[0]) - 1)  # what a single test image or so moves
    reach = max([least, *(abs(dot) for line in everything for dot in line.dots)])
    largest = max([least, *(line.sd for line in everything)])
    limit = min(_WIDEST * largest, max([largest, *(line.interval.high for line in everything if line.interval)]))
    seeds.set_xlim(-1.08 * reach, 1.08 * reach)
    spread.set_xlim(-0.03 * limit, 1.06 * limit)
    ticks: list[tuple[float, str, str]] = []
    level = 0.0
    for finding, block in blocks:
        colour = _style.colour(finding.model.partition(":")[0])
        seeds.annotate(
            finding.model, (0, level), xycoords=("axes fraction", "data"), xytext=(0, 0), textcoords="offset points",
            va="center", color=colour, fontweight="bold", backgroundcolor="white",
        )  # fmt: skip
        for line in block:
            level += 1
            ticks.append((level, line.name, colour))
            _seeds(seeds, level, line, colour, 2.16 * reach / 60)
            _spread(spread, level, line, colour, limit, decimals(finding))
        level += 1.3
    seeds.set_ylim(level - 0.7, -0.6)
    _dress(seeds, spread, ticks)
    return made


def _seeds(axes: Axes, level: float, line: Line, colour: str, width: float) -> None:
    """A dot a seed; those that would overlap are stacked."""
    heaps: dict[int, int] = defaultdict(int)
    heights = []
    for dot in (dots := sorted(line.dots)):
        heap = round(dot / width)
        heights.append(level + 0.06 - 0.14 * min(heaps[heap], 3))
        heaps[heap] += 1
    axes.plot(dots, heights, alpha=0.6, clip_on=False, **_dot(colour, filled=True))


def _spread(axes: Axes, level: float, line: Line, colour: str, limit: float, places: int) -> None:
    if line.interval is not None:
        low, high = line.interval.low, line.interval.high
        axes.plot([low, min(high, limit)], [level, level], color=colour, linewidth=1.6, solid_capstyle="butt")
        if high > limit:
            axes.plot(limit, level, marker=">", markersize=5, color=colour, linestyle="none")
    axes.plot(line.sd, level, zorder=3, **_dot(colour, filled=line.interval is not None))
    share = "" if line.share is None else f"{100 * line.share:.0f} %"
    for text, place in ((f"{line.sd:.{places}f}", 34), (share, 70)):
        axes.annotate(
            text, (1, level), xycoords=("axes fraction", "data"), xytext=(place, 0), textcoords="offset points",
            ha="right", va="center", color=colour, fontsize=8.5,
        )  # fmt: skip


def _dot(colour: str, *, filled: bool) -> dict[str, Any]:
    face = colour if filled else "white"
    return {
        "marker": "o", "markersize": _DOT if filled else 1.4 * _DOT, "markerfacecolor": face,
        "markeredgecolor": colour, "markeredgewidth": 1.2, "linestyle": "none",
    }  # fmt: skip


def _dress(seeds: Axes, spread: Axes, ticks: Sequence[tuple[float, str, str]]) -> None:
    """Scales, labels and grids, when everything is drawn."""
    seeds.set_yticks([level for level, *_ in ticks], [name for _, name, _ in ticks])
    for tick, (_, _, colour) in zip(seeds.get_yticklabels(), ticks, strict=True):
        tick.set_color(colour)
    for axes in (seeds, spread):
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
    seeds.axvline(0, color=_style.QUIET, linewidth=0.8, zorder=1)
    seeds.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    spread.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    seeds.set_xlabel("added to the mean accuracy, points")
    spread.set_xlabel("standard deviation, points")
    for text, place in (("sd", 34), ("share", 70)):
        spread.annotate(
            text, (1, 0), xycoords=("axes fraction", "data"), xytext=(place, 0), textcoords="offset points",
            ha="right", va="center", color=_style.QUIET, fontsize=8.5,
        )  # fmt: skip
