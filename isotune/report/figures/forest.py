"""Differences with their intervals against the margin: to published numbers, and between rows.

Each line is one difference, a filled mark where it is distinguishable (a verdict `different`, or a difference that
holds after correction), an open one where it is not. The band is the margin within which a verdict says `reproduced`;
for differences between rows it is one point, for scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from isotune.report import wording as f
from isotune.report.analysis.judging import Finding
from isotune.report.figures import style as _style
from isotune.statistics import Interval

MOST = 40  # lines
_LINEAR = 12  # times the margin: beyond it the axis is logarithmic outside the margin
_POINT = 1.0  # the margin that a verdict has at least, where the protocol fixes none


@dataclass(frozen=True)
class Line:
    name: str
    library: str
    value: float
    interval: Interval | None
    margin: float
    told: bool  # apart from 0 (or from the published number)
    words: str  # at the right edge


@dataclass(frozen=True)
class Part:
    title: str
    lines: tuple[Line, ...]


def parts(finding: Finding) -> tuple[list[Part], int]:
    """What is drawn, and how many lines there is no room for."""
    everything = [
        Part("against published numbers", tuple(_verdicts(finding))),
        *(Part(title, tuple(_differences(finding, name, own)))
          for title, name, own in (
              ("between models, identical", "identical", False),
              ("between models, native", "native", False),
              ("native minus identical", "native", True),
          )),
    ]  # fmt: skip
    room, drawn = MOST, []
    for part in everything:
        if lines := part.lines[:room]:
            drawn.append(Part(part.title, lines))
            room -= len(lines)
    return drawn, sum(len(part.lines) for part in everything) - (MOST - room)


def figure(drawn: Sequence[Part], decimals: int) -> Figure:
    lines = [line for part in drawn for line in part.lines]
    made = _style.figure(7.2, 1.0 + 0.27 * len(lines) + 0.42 * len(drawn))
    axes = made.add_subplot()
    _limits(axes, lines)
    places, level = [], 0.0
    for part in drawn:
        level += 0.35
        _style.title(axes, level, _style.QUIET, part.title)
        level += 0.85
        for line in part.lines:
            places.append(level)
            _draw(axes, level, line)
            _style.at_the_edge(axes, level, _style.colour(line.library), line.words)
            level += 1
    axes.axvline(0, color=_style.QUIET, linewidth=0.9, zorder=1)
    axes.set_ylim(level - 0.35, -0.35)
    _style.names(axes, places, [line.name for line in lines], [line.library for line in lines])
    axes.set_xlabel("difference, points of accuracy")
    _legend(axes, lines)
    return made


def _verdicts(finding: Finding) -> Iterator[Line]:
    decimals = f.decimals(finding.section.test_images)
    for each in finding.published.verdicts:
        verdict = each.verdict
        if verdict.effect is None:
            continue
        yield Line(
            f.short(f"{f.plain_name(each.row)}, {each.setup.name} - {each.reference.value:g}"),
            each.row.library,
            verdict.effect,
            verdict.interval90,
            verdict.margin,
            verdict.outcome == "different",
            f"{verdict.effect:+.{decimals}f} {verdict.outcome}",
        )


def _differences(finding: Finding, name: str, own: bool) -> Iterator[Line]:
    decimals = f.decimals(finding.section.test_images)
    margin = finding.section.protocol.evaluation.margin or _POINT
    for each in finding.differences.compared:
        if each.of_one_row != own or each.second_setup.name != name or isnan(each.gap.mean):
            continue
        interval = None if isnan(each.gap.margin) else Interval(each.gap.low, each.gap.high)
        label = f.plain_name(each.second) if own else f"{f.plain_name(each.second)} - {f.plain_name(each.first)}"
        yield Line(
            f.short(label), each.second.library, each.gap.mean, interval, margin, each.holds,
            f.gap(each.gap, decimals) + ("" if each.holds else " n.d."),
        )  # fmt: skip


def _draw(axes: Axes, level: float, line: Line) -> None:
    colour = _style.colour(line.library)
    axes.fill_betweenx(
        [level - 0.51, level + 0.51], -line.margin, line.margin, color=_style.GRID, linewidth=0, zorder=0
    )
    if line.interval:
        axes.plot([line.interval.low, line.interval.high], [level] * 2, color=colour, linewidth=1.6,
                  solid_capstyle="butt", zorder=2)  # fmt: skip
    axes.plot(line.value, level, marker="o", markersize=5, linestyle="none", zorder=3, markeredgecolor=colour,
              markeredgewidth=1.3, markerfacecolor=colour if line.told else "white")  # fmt: skip


def _limits(axes: Axes, lines: Sequence[Line]) -> None:
    """Symmetric around 0 only as far as needed; the margin always in view; wide ranges logarithmic outside of it."""
    ends = [
        end
        for line in lines
        for end in (line.value, *((line.interval.low, line.interval.high) if line.interval else ()))
    ]
    margin = max(line.margin for line in lines)
    low, high = min(*ends, -margin), max(*ends, margin)
    if max(-low, high) > _LINEAR * margin:
        axes.set_xscale("symlog", linthresh=margin, linscale=1)
        ticks = [sign * tick for tick in (1, 10, 100) for sign in (-1, 1)]  # more would overlap
        axes.set_xticks(sorted({0, *(tick for tick in ticks if 1.3 * low <= tick <= 1.3 * high)}))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:+g}" if value else "0")
        axes.minorticks_off()
        axes.set_xlim(1.3 * low, 1.3 * high)
    else:
        air = 0.06 * (high - low)
        axes.set_xlim(low - air, high + air)


def _legend(axes: Axes, lines: Sequence[Line]) -> None:
    mark: dict[str, Any] = {"marker": "o", "markersize": 5, "linestyle": "none", "markeredgecolor": _style.QUIET}
    handles = [
        Line2D([], [], label="distinguishable", markerfacecolor=_style.QUIET, **mark),
        Line2D([], [], label="not distinguishable", markerfacecolor="white", **mark),
        Patch(facecolor=_style.GRID, label="margin"),
    ]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), borderaxespad=0.2)
