"""The spread of each model: every seed a dot, the mean and its interval below them, never bars."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import isnan

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from isotune.report import wording as f
from isotune.report.analysis.sections import Row, SetUp
from isotune.report.figures import names as _names
from isotune.report.figures import style as _style


def figure(rows: Sequence[Row], decimals: int) -> Figure:
    """One line for each set-up of each row, in the order given."""
    lines = sum(len(row.setups) for row in rows)
    made = _style.figure(7.2, 1.2 + 0.27 * lines + 0.14 * len(rows))
    axes = made.add_subplot()
    low, high = _limits(rows, decimals)
    axes.set_xlim(low, high)
    places, level = [], 0.0
    for row in rows:
        places.append(level + (len(row.setups) - 1) / 2)
        for setup in row.setups:
            colour = _style.colour(row.library)
            values = np.array(sorted(setup.by_seed.values()))
            dots = level - 0.13 - _stacked(values, (high - low) / 60)
            axes.plot(values, dots, alpha=0.7, **_style.marker(setup.name, row.library, 3.6))
            _interval(axes, level + 0.2, colour, setup)
            _style.at_the_edge(axes, level, colour, f.accuracy(setup.accuracy, decimals))
            level += 1
        level += 0.5
    axes.set_ylim(level - 0.75, -0.75)
    full = _names.of_rows(rows)
    _style.names(axes, places, _names.distinct([full[id(row)] for row in rows]), [row.library for row in rows])
    axes.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    axes.set_xlabel("accuracy, %")
    told = any(not isnan(setup.accuracy.margin) for row in rows for setup in row.setups)
    mean = _style.line("mean", marker="|", markersize=8, markeredgewidth=2.2, linestyle="none")
    _style.legend(axes, rows, [mean, *([_style.line("its 95 % interval")] if told else [])])
    return made


def _limits(rows: Sequence[Row], decimals: int) -> tuple[float, float]:
    """Everything drawn, with some air; at least a point wide, so that a rounding does not look like a spread."""
    drawn = [
        value
        for row in rows
        for setup in row.setups
        for value in (*setup.by_seed.values(), setup.accuracy.low, setup.accuracy.high)
        if not isnan(value)
    ]
    centre, half = (min(drawn) + max(drawn)) / 2, (max(drawn) - min(drawn)) / 2
    half = max(1.06 * half, 5 * 10.0**-decimals)
    return centre - half, centre + half


def _interval(axes: Axes, level: float, colour: str, setup: SetUp) -> None:
    accuracy = setup.accuracy
    if not isnan(accuracy.margin):
        axes.plot([accuracy.low, accuracy.high], [level, level], color=colour, linewidth=1.6, solid_capstyle="butt")
    tick = [level - 0.13, level + 0.13]
    axes.plot([accuracy.mean] * 2, tick, color=colour, linewidth=2.2, solid_capstyle="butt")


def _stacked(values: np.ndarray, width: float) -> np.ndarray:
    """Heights that set dots apart which would cover each other, being within one dot's width."""
    heaps: dict[int, int] = defaultdict(int)
    heights = []
    for value in values:
        heap = round((value - values[0]) / width)
        heights.append(0.14 * min(heaps[heap], 3))
        heaps[heap] += 1
    return np.array(heights)
