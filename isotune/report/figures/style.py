"""How every figure looks: one place for colours, markers, fonts and the bytes on disk.

Colour says the library (Okabe and Ito's palette, told apart by colour-blind readers), the marker says the
set-up: filled circle identical, open diamond native. SVG with text as paths: the same everywhere, sharp, and small.
It is drawn on white, and says itself what it looks like in the dark (`dark`): a browser follows its reader's scheme,
and whatever knows no style sheets shows it as it is drawn.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.text import Text

from isotune.names import facts
from isotune.printable import printable
from isotune.report import wording as f
from isotune.report.analysis.sections import Row
from isotune.report.figures import dark

INK, QUIET, GRID = "#24292f", "#6e7781", "#e4e7eb"
_OTHERS = ("#CC79A7", "#E69F00", "#56B4E9", "#7F5AA8")
_MARKERS = {"identical": "o", "native": "D"}
_COLUMNS = 5  # of a legend

RC: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": QUIET,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "white",
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "svg.fonttype": "path",
    "svg.hashsalt": "isotune",  # otherwise the ids in the file differ each time
    "text.color": INK,
    "text.parse_math": False,  # a dollar in a name is a dollar
    "xtick.color": QUIET,
    "xtick.labelcolor": INK,
    "ytick.color": QUIET,
    "ytick.labelcolor": INK,
}


def figure(width: float, height: float) -> Figure:
    """An empty figure, inches, with a canvas that can measure text. Call and save within `style()`."""
    made = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(made)
    return made


@contextmanager
def style() -> Iterator[None]:
    """The context in which a figure is made and saved, whatever the user's own matplotlibrc says."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def save(made: Figure, path: Path) -> None:
    """As SVG without a date or version, for light and dark readers; the same figure gives the same bytes. What does not
    print is escaped, as SVG does not hold it."""
    for words in made.findobj(Text):
        words.set_text("\n".join(map(printable, words.get_text().split("\n"))))
    drawn = StringIO()
    made.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    path.write_text(dark.dressed(drawn.getvalue()), encoding="utf-8")


def colour(library: str) -> str:
    """Of an adapter, whatever its engine: the one that it names, else one that is picked by its name."""
    adapter = library.partition("@")[0]
    known = facts(adapter)
    return (known and known.colour) or _OTHERS[zlib.crc32(adapter.encode()) % len(_OTHERS)]


def marker(setup: str, library: str, size: float) -> dict[str, Any]:
    """Arguments of `Axes.plot` for a set-up's point; a diamond on a circle of the same size is a ring around it."""
    filled = setup == "identical"
    return {
        "marker": _MARKERS[setup],
        "markersize": size if filled else 1.4 * size,
        "markerfacecolor": colour(library) if filled else "none",
        "markeredgecolor": colour(library),
        "markeredgewidth": 1.3,
        "linestyle": "none",
    }


def legend(
    axes: Axes, rows: Sequence[Row], more: Sequence[Artist] = (), *, set_ups: bool = True, by_library: bool = True
) -> Legend:
    """Above the axes, everything that is drawn in them: what the markers say, the colours where there are several, and
    `more`: artists with labels of their own."""
    handles: list[Artist] = []
    for setup in ("identical", "native"):
        if set_ups and any(setup == each.name for row in rows for each in row.setups):
            grey = {"markeredgecolor": QUIET, "markerfacecolor": QUIET if setup == "identical" else "none"}
            handles.append(Line2D([], [], label=setup, **(marker(setup, "", 6) | grey)))
    handles += more
    libraries = sorted({row.library.partition("@")[0] for row in rows})
    if by_library and len(libraries) > 1:
        for library in libraries:
            handles.append(Line2D([], [], label=f.library(library), color=colour(library), linewidth=4))
    return legend_of(axes, handles)


def legend_of(axes: Axes, handles: Sequence[Artist]) -> Legend:
    """Above the axes, as wide as the figure: artists with labels of their own."""
    made = axes.get_figure(root=True)
    assert made is not None
    columns = min(len(handles), _COLUMNS)
    return made.legend(handles=handles, loc="outside upper left", ncols=columns, borderaxespad=0.2)


def line(label: str, **how: Any) -> Line2D:
    """What a line in the axes means, for the legend, in grey."""
    drawn: dict[str, Any] = {"color": QUIET, "linewidth": 1.6} | how
    return Line2D([], [], label=label, **drawn)


def names(axes: Axes, places: Sequence[float], words: Sequence[str], libraries: Sequence[str]) -> None:
    """Left of the axes: what each line is, in its library's colour, without an axis."""
    axes.set_yticks(places, list(words))
    for tick, library in zip(axes.get_yticklabels(), libraries, strict=True):
        tick.set_color(colour(library))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def at_the_edge(axes: Axes, level: float, hue: str, words: str) -> None:
    """Right of the axes: a line's figures."""
    _beside(axes, 1, level, 6, hue, words, 8.5)


def title(axes: Axes, level: float, hue: str, words: str) -> None:
    """Above the lines that belong together."""
    _beside(axes, 0, level, 3, hue, words, 8)


def _beside(axes: Axes, edge: int, level: float, right: int, hue: str, words: str, size: float) -> None:
    """Text at a height of the data, offset in points to the right of an edge of the axes (0: left, 1: right)."""
    axes.annotate(
        words, (edge, level), xycoords=("axes fraction", "data"), xytext=(right, 0), textcoords="offset points",
        va="center", color=hue, fontsize=size,
    )  # fmt: skip
