"""What single defaults of the libraries cost, over all sections that priced them.

Each line is one default of a model, each mark on it one section: filled where the difference holds there, open where it
does not. The bar is the median.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isotune.report import wording as f
from isotune.report.analysis.prices import DefaultOverSections
from isotune.report.figures import style as _style
from isotune.report.figures.names import distinct, of_rows
from isotune.report.figures.section import Drawn

_MOST = 60  # lines
_LONGEST = 52  # characters of a name
_PATH = "figures/defaults.svg"
_CAPTION = (
    "What single defaults cost, over all tables: a line a default, a mark a table, filled where the difference holds"
    " there; the bar is the median. Without those that change no prediction anywhere."
)


def draw(over: Sequence[DefaultOverSections], folder: Path) -> Iterator[Drawn]:
    """Write `folder/figures/defaults.svg`; nothing where nothing changes anything."""
    told = [each for each in over if not each.changes_nothing]
    if told:
        with _style.style():
            _style.save(figure(told[:_MOST]), folder / _PATH)
        left = f" The first {_MOST} of {len(told)}." if len(told) > _MOST else ""
        yield Drawn(_PATH, f.text(_CAPTION + left), "What single defaults cost, over all tables")


def figure(over: Sequence[DefaultOverSections]) -> Figure:
    models = list(dict.fromkeys(each.model for each in over))
    titles = of_rows([next(each.row for each in over if each.model == model) for model in models])
    made = _style.figure(7.6, 1.3 + 0.27 * len(over) + 0.42 * len(models))
    axes = made.add_subplot()
    places, words, level = [], [], 0.0
    for model, title in zip(models, titles.values(), strict=True):
        of_model = [each for each in over if each.model == model]
        level += 0.35
        _style.title(axes, level, _style.QUIET, title)
        level += 0.85
        for each in of_model:
            places.append(level)
            _draw(axes, level, each)
            level += 1
        words += distinct([each.what for each in of_model], _LONGEST)
    axes.axvline(0, color=_style.QUIET, linewidth=0.9, zorder=1)
    axes.set_ylim(level - 0.35, -0.35)
    _style.names(axes, places, words, [each.row.library for each in over])
    axes.set_xlabel("with the default less identical, points of accuracy")
    mark: dict[str, Any] = {"marker": "o", "markersize": 5, "linestyle": "none", "markeredgecolor": _style.QUIET}
    _style.legend_of(axes, [
        _style.line("holds", markerfacecolor=_style.QUIET, **mark),
        _style.line("not distinguishable", markerfacecolor="white", **mark),
        _style.line("median", marker="|", markersize=11, linestyle="none", markeredgecolor=_style.INK),
    ])  # fmt: skip
    return made


def _draw(axes: Axes, level: float, each: DefaultOverSections) -> None:
    colour = _style.colour(each.row.library)
    for cost in each.costs:
        axes.plot(cost.difference.gap.mean, level, marker="o", markersize=5, linestyle="none", zorder=2,
                  markeredgecolor=colour, markeredgewidth=1.1,
                  markerfacecolor=colour if cost.difference.holds else "white")  # fmt: skip
    axes.plot(each.median, level, marker="|", markersize=11, markeredgewidth=1.6, linestyle="none", zorder=3,
              markeredgecolor=_style.INK)  # fmt: skip
