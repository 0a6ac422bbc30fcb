"""The waterfall of an attribution: from the left's accuracy, axis by axis, to the right's.

A line each. The bar of an axis begins where those above it have led, and is as long as its share; the rule across its
end is the share's 95 % interval over seeds, the dots are the seeds, each set off from the bar's beginning. A bar is
filled where accuracy is lost, open where it is gained. The remainder, what no axis explains, is hatched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from isotune.attribution._attribution import Amount, Attribution
from isotune.attribution._sentences import switched
from isotune.report import wording as f
from isotune.report.figures import style as _style
from isotune.report.figures.names import distinct
from isotune.statistics import PERCENT, Interval

MOST = 20  # axes
_FILL = "#c2c9d1"
_HIGH = 0.56  # of a line, the bar


@dataclass(frozen=True)
class Line:
    name: str
    begin: float | None  # percent, where its bar begins; None: an accuracy, which has none
    amount: Amount
    library: str  # whose colour it has; "": none
    words: str  # at the right edge
    remainder: bool = False

    @property
    def end(self) -> float:
        return (self.begin or 0.0) + self.amount.estimate.mean


def draw(attribution: Attribution, path: Path) -> bool:
    """Draw it as SVG. False: too little is known, and nothing is written."""
    shown = list(lines(attribution))
    if shown:
        with _style.style():
            _style.save(figure(shown), path)
    return bool(shown)


def lines(attribution: Attribution) -> Iterator[Line]:
    """From top to bottom; none where the share of an axis, or the left's accuracy, is not known."""
    if not attribution.begin.known or not all(step.share.known for step in attribution.steps):
        return
    decimals = f.decimals(attribution.test_images)
    left, right = (model.partition(":")[0] for model in (attribution.left, attribution.right))
    yield Line(
        f"{attribution.left}, {attribution.left_spec}",
        None,
        attribution.begin,
        left,
        f.accuracy(attribution.begin.estimate, decimals),
    )
    level = attribution.begin.estimate.mean
    for step in attribution.steps[:MOST]:
        yield Line(switched(step.switch), level, step.share, "", f.gap(step.share.estimate, decimals))
        level += step.share.estimate.mean
    if rest := attribution.steps[MOST:]:
        together = Amount(tuple(map(sum, zip(*(step.share.by_seed for step in rest), strict=True))))
        yield Line(f"{len(rest)} more axes", level, together, "", f.gap(together.estimate, decimals))
    if attribution.end.known:
        rest_of_it = attribution.remainder
        begin = attribution.switched.estimate.mean
        yield Line("what no axis explains", begin, rest_of_it, "", f.gap(rest_of_it.estimate, decimals), True)
        yield Line(
            f"{attribution.right}, {attribution.right_spec}",
            None,
            attribution.end,
            right,
            f.accuracy(attribution.end.estimate, decimals),
        )


def figure(shown: Sequence[Line]) -> Figure:
    made = _style.figure(7.6, 0.95 + 0.36 * len(shown))
    axes = made.add_subplot()
    _limits(axes, shown)
    for place, line in enumerate(shown):
        if place + 1 < len(shown):  # down to where the next begins
            axes.plot([line.end] * 2, [place, place + 1], color=_style.QUIET, linewidth=0.8, zorder=1)
        (_accuracy if line.begin is None else _bar)(axes, place, line)
        hue = _style.colour(line.library) if line.library else _style.INK
        _style.at_the_edge(axes, place, hue, line.words)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.set_yticks(range(len(shown)), distinct([line.name for line in shown], 56))
    for tick, line in zip(axes.get_yticklabels(), shown, strict=True):
        tick.set_color(_style.colour(line.library) if line.library else _style.INK)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("accuracy, percent")
    _legend(axes, shown)
    return made


def _limits(axes: Axes, shown: Sequence[Line]) -> None:
    ends = [end for line in shown for end in (*_dots(line), *_interval(line), line.end)]
    low, high = min(ends), max(ends)
    air = 0.05 * (high - low) or 1.0
    axes.set_xlim(low - air, high + air)


def _bar(axes: Axes, place: float, line: Line) -> None:
    assert line.begin is not None
    length = line.end - line.begin
    axes.barh(
        place, length, _HIGH, left=line.begin, zorder=2, edgecolor=_style.QUIET, linewidth=0.9,
        facecolor=_FILL if length < 0 and not line.remainder else "white", hatch="////" if line.remainder else None,
    )  # fmt: skip
    _seeds(axes, place, line, _style.INK)


def _accuracy(axes: Axes, place: float, line: Line) -> None:
    _seeds(axes, place, line, _style.colour(line.library))


def _seeds(axes: Axes, place: float, line: Line, hue: str) -> None:
    """Every seed, below the mean with its interval."""
    axes.plot(
        list(_dots(line)), [place + 0.17] * len(line.amount.by_seed), marker="o", markersize=3, alpha=0.65, color=hue,
        markeredgewidth=0, linestyle="none", zorder=4,
    )  # fmt: skip
    if interval := _interval(line):
        axes.plot(interval, [place] * 2, color=hue, linewidth=1.6, solid_capstyle="butt", zorder=3)
    axes.plot(line.end, place, marker="|", markersize=11, markeredgewidth=1.8, color=hue, zorder=3)


def _dots(line: Line) -> list[float]:
    return [(line.begin or 0.0) + value for value in line.amount.by_seed]


def _interval(line: Line) -> list[float]:
    """Its two ends, as far as they are accuracies; empty where one seed gives none."""
    estimate, begin = line.amount.estimate, line.begin or 0.0
    if isnan(estimate.low):
        return []
    drawn = Interval(begin + estimate.low, begin + estimate.high).within(PERCENT)
    return [drawn.low, drawn.high]


def _legend(axes: Axes, shown: Sequence[Line]) -> None:
    bars = [line for line in shown if line.begin is not None and not line.remainder]
    handles: list[Patch | Line2D] = []
    if any(line.amount.estimate.mean < 0 for line in bars):
        handles.append(Patch(facecolor=_FILL, edgecolor=_style.QUIET, label="lost"))
    if any(line.amount.estimate.mean > 0 for line in bars):
        handles.append(Patch(facecolor="white", edgecolor=_style.QUIET, label="gained"))
    if any(map(_interval, shown)):
        handles.append(Line2D([], [], color=_style.INK, linewidth=1.6, label="95 % interval over seeds"))
    handles.append(
        Line2D([], [], color=_style.INK, marker="o", markersize=3, alpha=0.65, linestyle="none", label="each seed")
    )
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(handles), borderaxespad=0.2)
