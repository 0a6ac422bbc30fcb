"""Accuracy against speed, both with error bars.

A few models are labelled with their names, more with numbers and a key beside the axes, and of very many only those
that no other beats in both accuracy and speed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from isotune.report import wording as f
from isotune.report.analysis.sections import Row
from isotune.report.figures import labels as _labels
from isotune.report.figures import names as _names
from isotune.report.figures import style as _style
from isotune.report.figures.labels import Label, Mark
from isotune.statistics import MedianInterval

NAMED, NUMBERED = 8, 20  # models


@dataclass(frozen=True)
class Point:
    row: Row
    rate: MedianInterval  # images/s

    @property
    def accuracy(self) -> float:
        """Percent; identical conventions where there are such runs."""
        return self.row.setups[0].accuracy.mean


def figure(points: Sequence[Point], speed: str, decimals: int) -> Figure:
    """points: best accuracy first. speed: the label of the x axis."""
    made = _style.figure(7.2, 4.4)
    axes = made.add_subplot()
    told = list(points) if len(points) <= NUMBERED else _front(points)
    marks = [mark for point in told for mark in _draw(axes, point)]
    _draw_faintly(axes, [point for point in points if point not in told])
    _limits(axes, points, decimals)
    axes.set_xlabel(f"{speed} (logarithmic)" if axes.get_xscale() == "log" else speed)
    axes.set_ylabel("accuracy, %")
    full = _names.of_rows(point.row for point in told)
    called = _names.distinct([full[id(point.row)] for point in told])
    labels = [_label(point, name) for point, name in zip(told, called, strict=True)]
    _style.legend(axes, [point.row for point in points], _lines(told))
    if len(points) > NAMED:
        _key(made, labels)
        labels = [_label(point, str(number)) for number, point in enumerate(told, start=1)]
    _labels.place(axes, labels, marks)
    return made


def _front(points: Sequence[Point]) -> list[Point]:
    """Points that no other beats in both accuracy and speed, best accuracy first; at most `NUMBERED`."""
    front, best = [], -inf
    for point in sorted(points, key=lambda point: (-point.rate.median, -point.accuracy)):
        if point.accuracy > best:
            best = point.accuracy
            front.append(point)
    return front[::-1][:NUMBERED]


def _draw(axes: Axes, point: Point) -> list[Mark]:
    """One model's set-ups, joined by a line; what of the figure they cover."""
    x, rate, hue = point.rate.median, point.rate, _style.colour(point.row.library)
    means = [setup.accuracy.mean for setup in point.row.setups]
    axes.plot([x] * len(means), means, color=hue, alpha=0.35, linewidth=1, zorder=1)
    marks = [Mark((x, x, x), (min(means), means[0], max(means)))]
    for setup in point.row.setups:
        mean = setup.accuracy.mean
        low, high = (mean if isnan(end) else end for end in (setup.accuracy.low, setup.accuracy.high))
        axes.errorbar(
            x,
            mean,
            xerr=[[x - rate.low], [rate.high - x]],
            yerr=[[mean - low], [high - mean]],
            fmt="none",
            ecolor=hue,
            elinewidth=1.1,
            alpha=0.6,
            zorder=2,
        )
        axes.plot(x, mean, zorder=3, **_style.marker(setup.name, point.row.library, 6.5))
        marks.append(Mark((rate.low, x, rate.high), (low, mean, high)))
    return marks


def _lines(points: Sequence[Point]) -> list[Line2D]:
    """For the legend: what lines there are beside the points."""
    setups = [setup for point in points for setup in point.row.setups]
    bars = [*(setup.accuracy.margin for setup in setups), *(point.rate.high - point.rate.low for point in points)]
    lines = [_style.line("intervals", linewidth=1.1, alpha=0.6)] if any(bar > 0 for bar in bars) else []
    if any(len(point.row.setups) > 1 for point in points):
        lines.append(_style.line("one model's set-ups", linewidth=1, alpha=0.35))
    return lines


def _draw_faintly(axes: Axes, points: Sequence[Point]) -> None:
    """The crowd behind the numbered models: points alone, of one library and set-up at a time."""
    groups: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for point in points:
        for setup in point.row.setups:
            groups[setup.name, point.row.library].append((point.rate.median, setup.accuracy.mean))
    for (name, library), places in sorted(groups.items()):
        x, y = zip(*places, strict=True)
        axes.plot(x, y, alpha=0.35, zorder=1.5, **_style.marker(name, library, 4))


def _limits(axes: Axes, points: Sequence[Point], decimals: int) -> None:
    """Wide enough that small differences look small; rates over more than a factor of eight are logarithmic."""
    slowest, fastest = min(point.rate.low for point in points), max(point.rate.high for point in points)
    if fastest > 8 * slowest:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f.significant(value, 1))
        axes.set_xlim(slowest / 1.3, fastest * 1.3)
    else:
        axes.set_xlim(0.6 * slowest, 1.2 * fastest)
    axes.margins(y=0.14)
    low, high = axes.get_ylim()
    least = 5 * 10.0**-decimals
    if high - low < 2 * least:
        axes.set_ylim((low + high) / 2 - least, (low + high) / 2 + least)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))


def _label(point: Point, text: str) -> Label:
    return Label(point.rate.median, point.accuracy, text, _style.colour(point.row.library))


def _key(made: Figure, labels: Sequence[Label]) -> None:
    """Right of the axes: which number is which model."""
    lines = made.legend(
        handles=[Line2D([], [], linestyle="none") for _ in labels],
        labels=[f"{number}  {label.text}" for number, label in enumerate(labels, start=1)],
        loc="outside right upper",
        handlelength=0,
        handletextpad=0,
        fontsize=7.5,
    )
    for text, label in zip(lines.get_texts(), labels, strict=True):
        text.set_color(label.colour)
