"""Labels beside points, none over another or over a point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

_GAP = 7  # points between a marker's centre and its label
_PLACES = (
    (0, 1, "center", "bottom"),
    (0, -1, "center", "top"),
    (1, 0, "left", "center"),
    (-1, 0, "right", "center"),
    (1, 1, "left", "bottom"),
    (-1, 1, "right", "bottom"),
    (1, -1, "left", "top"),
    (-1, -1, "right", "top"),
    (0, 3, "center", "bottom"),
    (0, -3, "center", "top"),
)


@dataclass(frozen=True)
class Label:
    x: float
    y: float
    text: str
    colour: str


def place(axes: Axes, labels: Sequence[Label], marks: np.ndarray) -> list[Annotation]:
    """Write labels, the most important first; one that finds no free place is left out.

    marks: [N, 2] data coordinates of every point drawn, which no label may cover. Call when everything
    else is drawn: what is placed here does not move the axes.
    """
    drawn = axes.get_figure(root=True)
    assert isinstance(drawn, Figure)
    drawn.draw_without_rendering()
    drawn.set_layout_engine("none")
    canvas = drawn.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer, frame = canvas.get_renderer(), drawn.bbox
    scale = drawn.dpi / 72
    centres = axes.transData.transform(marks) if len(marks) else np.empty((0, 2))
    taken = [Bbox.from_bounds(x - 4 * scale, y - 4 * scale, 8 * scale, 8 * scale) for x, y in centres]
    written = []
    for label in labels:
        for right, up, horizontal, vertical in _PLACES:
            text = axes.annotate(
                label.text,
                (label.x, label.y),
                xytext=(right * _GAP, up * _GAP),
                textcoords="offset points",
                ha=horizontal,
                va=vertical,
                color=label.colour,
                annotation_clip=False,
            )
            box = text.get_window_extent(renderer)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= axes.bbox.y1 + 2
            if inside and box.y0 >= axes.bbox.y0 and not box.count_overlaps(taken):
                taken.append(box)
                written.append(text)
                break
            text.remove()
    return written
