"""Differences with their intervals against the margin: to published numbers, between rows, and what steps and single
defaults cost.

Each line is one difference, a filled mark where it is distinguishable (a verdict `different`, or a difference that
holds after correction), an open one where it is not. The band is the margin within which a verdict says `reproduced`;
for differences between rows it is one point, for scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from isotune.report import wording as f
from isotune.report.analysis.differences import Difference
from isotune.report.analysis.judging import Finding
from isotune.report.analysis.sections import Row
from isotune.report.figures import style as _style
from isotune.report.figures.names import distinct, of_rows, short
from isotune.statistics import Interval

MOST = 40  # lines
_LONGEST = 52  # characters of a name
_LINEAR = 12  # times the margin: beyond it the axis is logarithmic outside the margin
_POINT = 1.0  # the margin that a verdict has at least, where the protocol fixes none


@dataclass(frozen=True)
class Line:
    name: str  # in full
    library: str
    value: float
    interval: Interval | None  # None: nothing is drawn at random, or nothing is known of it
    margin: float
    told: bool  # apart from 0 (or from the published number)
    words: str  # at the right edge


@dataclass(frozen=True)
class Part:
    title: str
    lines: tuple[Line, ...]


def parts(finding: Finding) -> tuple[list[Part], int]:
    """What is drawn, and how many lines there is no room for."""
    full = of_rows(finding.section.rows)
    everything = [
        Part("against published numbers", tuple(_verdicts(finding, full))),
        *(Part(title, tuple(_differences(finding, full, name, own)))
          for title, name, own in (
              ("between models, identical", "identical", False),
              ("between models, native", "native", False),
              ("native minus identical", "native", True),
          )),
        *(Part(f"one thing done otherwise: {short(full[id(row)], 64)}", tuple(_prices(finding, row)))
          for row in finding.section.rows if row.evaluated),
        *(Part(f"one of its own defaults: {short(full[id(row)], 64)}", tuple(_defaults(finding, row)))
          for row in finding.section.rows if row.defaults),
    ]  # fmt: skip
    room, drawn = MOST, []
    for part in everything:
        if lines := part.lines[:room]:
            drawn.append(Part(part.title, lines))
            room -= len(lines)
    return drawn, sum(len(part.lines) for part in everything) - (MOST - room)


def figure(drawn: Sequence[Part], decimals: int) -> Figure:
    lines = [line for part in drawn for line in part.lines]
    made = _style.figure(7.6, 1.6 + 0.27 * len(lines) + 0.42 * len(drawn))
    axes = made.add_subplot()
    margin = _limits(axes, lines)
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
    _style.names(axes, places, distinct([line.name for line in lines], _LONGEST), [line.library for line in lines])
    scale = f"\n(linear to ±{margin:g}, logarithmic beyond)" if axes.get_xscale() == "symlog" else ""
    axes.set_xlabel(f"difference, points of accuracy{scale}")
    _legend(axes, lines)
    return made


def _verdicts(finding: Finding, full: Mapping[int, str]) -> Iterator[Line]:
    decimals = f.decimals(finding.section.test_images)
    judged = [each for each in finding.published.verdicts if each.verdict.effect is not None]
    names = [f"{full[id(each.row)]}, {each.setup.name} - {each.reference.value:g}" for each in judged]
    for each, name in zip(judged, names, strict=True):
        verdict = each.verdict
        assert verdict.effect is not None
        yield Line(
            f"{name} ({each.reference.source})" if names.count(name) > 1 else name,
            each.row.library,
            verdict.effect,
            verdict.interval90,
            verdict.margin,
            verdict.outcome == "different",
            f"{verdict.effect:+z.{decimals}f} {verdict.outcome}",
        )


def _differences(finding: Finding, full: Mapping[int, str], name: str, own: bool) -> Iterator[Line]:
    decimals = f.decimals(finding.section.test_images)
    margin = finding.section.protocol.evaluation.margin or _POINT
    for each in finding.differences.compared:
        if each.of_one_row != own or each.second_setup.name != name or isnan(each.gap.mean):
            continue
        label = full[id(each.second)] if own else f"{full[id(each.second)]} - {full[id(each.first)]}"
        label = label if own or name == "identical" else f"{label}, {name}"
        yield _line(label, each, margin, decimals)


def _prices(finding: Finding, row: Row) -> Iterator[Line]:
    """Of one row's steps, without those that are the evaluation itself."""
    several = sum(other.evaluated for other in finding.section.rows) > 1
    margin = finding.section.protocol.evaluation.margin or _POINT
    for price in finding.prices:
        if price.row is row and price.points is not None and not price.same:
            name = f"{price.what}, {of_rows(finding.section.rows)[id(row)]}" if several else price.what
            words = f"{price.points:+z.2f}" if price.points else "0"
            yield Line(
                name, row.library, price.points, None, margin, price.holds, words if price.holds else f"{words} n.d."
            )  # fmt: skip


def _defaults(finding: Finding, row: Row) -> Iterator[Line]:
    """Of one row, without those that change no prediction."""
    decimals = f.decimals(finding.section.test_images)
    several = sum(bool(other.defaults) for other in finding.section.rows) > 1
    margin = finding.section.protocol.evaluation.margin or _POINT
    for each in finding.defaults:
        if each.row is row and not each.changes_nothing and not isnan(each.difference.gap.mean):
            name = f"{each.default.what}, {of_rows(finding.section.rows)[id(row)]}" if several else each.default.what
            yield _line(name, each.difference, margin, decimals)


def _line(name: str, each: Difference, margin: float, decimals: int) -> Line:
    """Of a difference over seeds, in the colour of its second row's library."""
    gap = each.gap
    interval = None if isnan(gap.margin) else Interval(gap.low, gap.high)
    words = f.gap(gap, decimals) + ("" if each.holds else " n.d.")
    return Line(name, each.second.library, gap.mean, interval, margin, each.holds, words)


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


def _limits(axes: Axes, lines: Sequence[Line]) -> float:
    """Symmetric around 0 only as far as needed; the margin always in view; wide ranges logarithmic outside of the
    widest margin, which is given."""
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
    return margin


def _legend(axes: Axes, lines: Sequence[Line]) -> None:
    mark: dict[str, Any] = {"marker": "o", "markersize": 5, "linestyle": "none", "markeredgecolor": _style.QUIET}
    handles: list[Artist] = [
        _style.line(label, markerfacecolor=fill, **mark)
        for told, label, fill in ((True, "distinguishable", _style.QUIET), (False, "not distinguishable", "white"))
        if any(line.told == told for line in lines)
    ]
    if any(line.interval for line in lines):
        handles.append(_style.line("interval"))
    handles += [_style.line("no difference", linewidth=0.9), Patch(facecolor=_style.GRID, label="margin")]
    libraries = sorted({line.library.partition("@")[0] for line in lines})
    if len(libraries) > 1:
        for library in libraries:
            handles.append(_style.line(f.library(library), color=_style.colour(library), linewidth=4))
    _style.legend_of(axes, handles)
