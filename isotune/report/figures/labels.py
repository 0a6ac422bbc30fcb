"""Labels beside points, none over another label, a point or its error bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

_DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))
_DISTANCES = (9, 19, 32, 50, 75)  # points from a marker's centre; a thin line leads to what is not close by
_AIR = 4  # pixels between labels
_MARK = 6.5  # half a marker's side, points


@dataclass(frozen=True)
class Label:
    x: float
    y: float
    text: str
    colour: str


@dataclass(frozen=True)
class Mark:
    """What no label may cover: a point with its error bars, in data coordinates."""

    x: tuple[float, float, float]  # least, centre, greatest
    y: tuple[float, float, float]


def place(axes: Axes, labels: Sequence[Label], marks: Sequence[Mark]) -> list[Annotation]:
    """Write labels, the most important first; one that finds no free place is left out.

    Call when everything else is drawn: the axes must not move any more.
    """
    drawn = axes.get_figure(root=True)
    assert isinstance(drawn, Figure)
    drawn.draw_without_rendering()
    drawn.set_layout_engine("none")
    canvas = drawn.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    room = Bbox.from_extents(axes.bbox.x0, axes.bbox.y0, drawn.bbox.x1, axes.bbox.y1)
    taken = [box for mark in marks for box in _boxes(axes, mark, _MARK * drawn.dpi / 72)]
    written = []
    for label in labels:
        for distance, (right, up) in product(_DISTANCES, _DIRECTIONS):
            text = _annotate(axes, label, right * distance, up * distance)
            text.update_positions(renderer)
            box = Text.get_window_extent(text, renderer)  # the words, without the line that leads to them
            within = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1
            if within and not box.count_overlaps(taken):
                taken.append(box.padded(_AIR))
                written.append(text)
                break
            text.remove()
    return written


def _annotate(axes: Axes, label: Label, right: float, up: float) -> Annotation:
    far = max(abs(right), abs(up)) > _DISTANCES[0]
    leader = {"arrowstyle": "-", "color": label.colour, "linewidth": 0.6, "alpha": 0.7, "shrinkA": 1, "shrinkB": 4}
    return axes.annotate(
        label.text,
        (label.x, label.y),
        xytext=(right, up),
        textcoords="offset points",
        ha="center" if not right else "left" if right > 0 else "right",
        va="center" if not up else "bottom" if up > 0 else "top",
        color=label.colour,
        annotation_clip=False,
        arrowprops=leader if far else None,
    )


def _boxes(axes: Axes, mark: Mark, half: float) -> Iterator[Bbox]:
    """Pixels of a point and of its two error bars."""
    (x0, y0), (x, y), (x1, y1) = axes.transData.transform(list(zip(mark.x, mark.y, strict=True)))
    yield Bbox.from_extents(x - half, y - half, x + half, y + half)
    yield Bbox.from_extents(x0, y - 1, x1, y + 1)
    yield Bbox.from_extents(x - 1, y0, x + 1, y1)
