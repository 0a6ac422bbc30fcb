"""Variance by source: standard deviations of each set-up, every one a dot, with its interval where there is one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isotune.report.analysis.variance import Spread, deviation, stream
from isotune.report.figures import names as _names
from isotune.report.figures import style as _style
from isotune.statistics import Interval

MOST = 16  # set-ups
_SOURCES = {"all seeds": "o", "test set": "s", "training": "D"}  # and the streams: a triangle


@dataclass(frozen=True)
class Source:
    name: str
    sd: float  # percentage points
    interval: Interval | None


def told(spread: Spread) -> bool:
    """Whether anything is known of the sources."""
    return bool(spread.parts) or (spread.split is not None and spread.split.training is not None)


def sources(spread: Spread) -> Iterator[Source]:
    yield Source("all seeds", spread.setup.accuracy.sd, None)
    if spread.split is not None and spread.split.test_set is not None and spread.split.training_sd is not None:
        yield Source("test set", 100 * sqrt(spread.split.test_set), None)
        yield Source("training", 100 * spread.split.training_sd, None)
    for part in spread.parts:
        yield Source(stream(part), part.sd, deviation(part))


def figure(spreads: Sequence[Spread], decimals: int) -> Figure:
    """One block for each set-up, a line for each source. spreads: those that are `told`."""
    blocks = [(spread, list(sources(spread))) for spread in spreads]
    lines = sum(len(shown) for _, shown in blocks)
    made = _style.figure(7.2, 1.3 + 0.2 * lines + 0.4 * len(blocks))
    axes = made.add_subplot()
    ends = [source.interval.high if source.interval else source.sd for _, shown in blocks for source in shown]
    most = max(*ends, 10.0**-decimals)
    axes.set_xlim(-0.02 * most, 1.08 * most)
    places, names, libraries, level = [], [], [], 0.0
    full = _names.of_rows(spread.row for spread in spreads)
    titles = _names.distinct([f"{full[id(spread.row)]}, {spread.setup.name}" for spread in spreads], 64)
    for (spread, shown), title in zip(blocks, titles, strict=True):
        colour = _style.colour(spread.row.library)
        _style.title(axes, level, colour, title)
        level += 1
        for source in shown:
            if source.interval:
                axes.plot(
                    [source.interval.low, source.interval.high],
                    [level] * 2,
                    color=colour,
                    linewidth=1.6,
                    solid_capstyle="butt",
                )
            axes.plot(
                source.sd,
                level,
                marker=_SOURCES.get(source.name, "^"),
                markersize=5,
                color=colour,
                linestyle="none",
                clip_on=False,
                zorder=3,
            )
            places.append(level)
            names.append(source.name)
            libraries.append(spread.row.library)
            _style.at_the_edge(axes, level, colour, f"{source.sd:.{decimals + 1}f}")
            level += 1
        level += 0.5
    axes.set_ylim(level - 0.5, -0.75)
    _style.names(axes, places, names, libraries)
    axes.set_xlabel("standard deviation of the accuracy over seeds, points")
    _legend(axes, blocks)
    return made


def _legend(axes: Axes, blocks: Sequence[tuple[Spread, Sequence[Source]]]) -> None:
    """Every marker once, and the line of an interval where there is one."""
    every = [source for _, shown in blocks for source in shown]
    kinds = [(name, marker) for name, marker in _SOURCES.items() if any(source.name == name for source in every)]
    if any(source.name not in _SOURCES for source in every):
        kinds.append(("seed streams", "^"))
    handles = [_style.line(name, marker=marker, markersize=5, linestyle="none") for name, marker in kinds]
    if any(source.interval for source in every):
        handles.append(_style.line("95 % interval"))
    _style.legend(axes, [spread.row for spread, _ in blocks], handles, set_ups=False)
