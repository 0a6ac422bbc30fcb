"""The figures of a section: accuracy against speed, and the spread over seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from isotune.report import _format as f
from isotune.report import _labels, _style
from isotune.report._sections import Row, Section, SetUp
from isotune.statistics import Quartiles

_LABELLED = 20  # models: beyond that only those that none beats in both accuracy and speed
_SPREAD_ROWS = 40


@dataclass(frozen=True)
class Drawn:
    """A figure on disk; caption and alt are markdown, path is relative to the leaderboard."""

    path: str
    caption: str
    alt: str


def draw(section: Section, folder: Path) -> Iterator[Drawn]:
    """Write the section's figures into `folder/figures`."""
    with _style.style():
        points, speed = _speeds(section)
        if points:
            path = f"figures/{section.slug}-accuracy-speed.svg"
            _accuracy_speed(points, speed, f.decimals(section.test_images), folder / path)
            caption = f"{section.title}: accuracy (95 % interval over seeds) against {speed} (median, quartiles)."
            yield Drawn(path, f.text(caption), f.text(f"Accuracy against {speed}, {section.title}"))
        if section.rows:
            path = f"figures/{section.slug}-spread.svg"
            _spread(section.rows[:_SPREAD_ROWS], f.decimals(section.test_images), folder / path)
            most = f" The best {_SPREAD_ROWS} rows." if len(section.rows) > _SPREAD_ROWS else ""
            caption = f"{section.title}: every seed, with mean and 95 % interval.{most}"
            yield Drawn(path, f.text(caption), f.text(f"Accuracy of every seed, {section.title}"))


def _speeds(section: Section) -> tuple[list[tuple[Row, Quartiles]], str]:
    """Rows that have a speed, and which speed: training where it was measured, else inference."""
    for name in ("training", "inference"):
        rows = [(row, getattr(row.measured, name)) for row in section.rows]
        if known := [(row, speed) for row, speed in rows if speed and not isnan(speed.median)]:
            return known, f"{name} speed"
    return [], ""


def _accuracy_speed(points: Sequence[tuple[Row, Quartiles]], speed: str, decimals: int, path: Path) -> None:
    made = _style.figure(7.2, 4.4)
    axes = made.add_subplot()
    marks, labels = [], []
    shown = _labelled(points)
    for row, rate in points:
        x, hue = rate.median, _style.colour(row.library)
        setups = _setups(row)
        means = [setup.accuracy.mean for _, setup in setups]
        if len(means) == 2:  # one model's two set-ups belong together
            axes.plot([x, x], means, color=hue, alpha=0.35, linewidth=1, zorder=1)
        for name, setup in reversed(setups):  # identical last: it stands on top
            accuracy = setup.accuracy
            margin = 0 if isnan(accuracy.margin) else accuracy.margin
            axes.errorbar(
                x,
                accuracy.mean,
                xerr=[[x - rate.q1], [rate.q3 - x]],
                yerr=margin,
                ecolor=hue,
                elinewidth=1,
                alpha=0.55,
                fmt="none",
                zorder=2,
            )
            size = 7 if len(points) <= _LABELLED else 4.5
            # where both set-ups agree the open diamond shows around the filled circle
            axes.plot(x, accuracy.mean, zorder=3, **_style.marker(name, row.library, size))
            marks.append((x, accuracy.mean))
        if row in shown:
            labels.append(_labels.Label(x, means[0], _point_name(row), hue))
    _axes_for_rates(axes, [rate for _, rate in points])
    axes.margins(x=0.12, y=0.14)
    _room_for_ticks(axes, decimals)
    axes.set_xlabel(f"{speed}, images/s")
    axes.set_ylabel("accuracy, %")
    _legend(axes, [row for row, _ in points], by_library=len(points) > _LABELLED)
    _labels.place(axes, labels, np.array(marks))
    _style.save(made, path)


def _labelled(points: Sequence[tuple[Row, Quartiles]]) -> list[Row]:
    """Rows that get a label; of many, those that no other beats in both accuracy and speed."""
    if len(points) <= _LABELLED:
        return [row for row, _ in points]
    front, best = [], -np.inf
    for row, _ in sorted(points, key=lambda point: (-point[1].median, point[0].rank)):
        accuracy = _setups(row)[0][1].accuracy.mean
        if accuracy > best:
            best = accuracy
            front.append(row)
    return front


def _axes_for_rates(axes: Axes, rates: Sequence[Quartiles]) -> None:
    """From zero, as rates are ratios; logarithmic when they span more than a factor of eight."""
    slowest, fastest = min(rate.q1 for rate in rates), max(rate.q3 for rate in rates)
    if fastest > 8 * slowest:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f.significant(value, 1))
    else:
        axes.set_xlim(0, 1.18 * fastest)


def _room_for_ticks(axes: Axes, decimals: int) -> None:
    """At least half a point of height, so that equal accuracies do not become mountains."""
    low, high = axes.get_ylim()
    least = 5 * 10.0**-decimals
    if high - low < 2 * least:
        middle = (low + high) / 2
        axes.set_ylim(middle - least, middle + least)
    axes.yaxis.set_major_locator(MaxNLocator(6))


def _spread(rows: Sequence[Row], decimals: int, path: Path) -> None:
    lines = sum(len(_setups(row)) for row in rows)
    made = _style.figure(7.2, 0.9 + 0.27 * lines + 0.14 * len(rows))
    axes = made.add_subplot()
    names, places = [], []
    height = 0.0
    span = _span(rows)
    for row in rows:
        setups = _setups(row)
        for name, setup in setups:
            _spread_line(axes, height, span, _Line(name, row.library, setup, decimals))
            height += 1
        names.append(_shortened(_point_name(row, full=True)))
        places.append(height - (len(setups) + 1) / 2)
        height += 0.5
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    for tick, row in zip(axes.get_yticklabels(), rows, strict=True):
        tick.set_color(_style.colour(row.library))
    axes.set_ylim(height - 0.75, -0.75)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(7))
    axes.margins(x=0.06)
    low, high = axes.get_xlim()
    least = 5 * 10.0**-decimals
    if high - low < 2 * least:
        axes.set_xlim((low + high) / 2 - least, (low + high) / 2 + least)
    axes.set_xlabel("accuracy, %")
    _legend(axes, rows, by_library=False)
    _style.save(made, path)


@dataclass(frozen=True)
class _Line:
    name: str
    library: str
    setup: SetUp
    decimals: int


def _spread_line(axes: Axes, height: float, span: float, line: _Line) -> None:
    """One set-up's seeds as dots, mean and interval below them, the figures at the right edge."""
    hue, accuracy = _style.colour(line.library), line.setup.accuracy
    values = np.array(sorted(line.setup.by_seed.values()))
    axes.plot(values, height - 0.13 - _stacked(values, span), alpha=0.7, **_style.marker(line.name, line.library, 3.6))
    level = height + 0.2
    if not isnan(accuracy.margin):
        axes.plot([accuracy.low, accuracy.high], [level, level], color=hue, linewidth=1.6, solid_capstyle="butt")
    axes.plot([accuracy.mean] * 2, [level - 0.13, level + 0.13], color=hue, linewidth=2.2, solid_capstyle="butt")
    axes.annotate(
        f.accuracy(accuracy, line.decimals),
        (1, height),
        xycoords=("axes fraction", "data"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        color=hue,
        fontsize=8.5,
    )


def _stacked(values: np.ndarray, span: float) -> np.ndarray:
    """Heights that set seeds apart whose dots would cover each other."""
    if not len(values):
        return values
    heaps: dict[int, int] = defaultdict(int)
    heights = []
    for value in values:
        heap = round(60 * (value - values[0]) / span)
        heights.append(0.11 * min(heaps[heap], 3))
        heaps[heap] += 1
    return np.array(heights)


def _span(rows: Sequence[Row]) -> float:
    values = [value for row in rows for _, setup in _setups(row) for value in setup.by_seed.values()]
    return max(max(values) - min(values), 1e-9)


def _setups(row: Row) -> list[tuple[str, SetUp]]:
    pairs = (("identical", row.identical), ("native", row.native))
    return [(name, setup) for name, setup in pairs if setup is not None]


def _point_name(row: Row, *, full: bool = False) -> str:
    """As plain text: the model, and what sets it apart."""
    mode = "" if row.mode == "float32" else row.mode
    return " ".join(filter(None, (row.model, mode, row.overrides if full else ""))).replace("$", r"\$")


def _shortened(name: str, most: int = 44) -> str:
    return name if len(name) <= most else f"{name[: most // 2 - 1]}...{name[-most // 2 + 2 :]}"


def _legend(axes: Axes, rows: Sequence[Row], *, by_library: bool) -> None:
    """Above the axes: what the markers say; the colours only where points bear no names."""
    handles = []
    for setup in ("identical", "native"):
        if any(getattr(row, setup) for row in rows):
            keywords = _style.marker(setup, "", 6)
            edge = {"markeredgecolor": _style.QUIET}
            face = {"markerfacecolor": _style.QUIET if setup == "identical" else "white"}
            handles.append(Line2D([], [], label=setup, **{**keywords, **edge, **face}))
    if by_library:
        for library in sorted({row.library.partition("@")[0] for row in rows}):
            handles.append(Line2D([], [], label=f.library(library), **_style.marker("identical", library, 6)))
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), borderaxespad=0.2)
