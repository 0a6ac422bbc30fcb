"""The smallest input that shows a difference: one image, and as little of it as will do.

Everything outside a window is black. The window shrinks from each edge in turn, by halving, to an eighth of the side: a
dozen questions. That a smaller window never shows more than a larger one is supposed, so that it is small, and not
always the smallest.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

Array = np.ndarray
PARTS = 8  # of a side: how finely the window is cut


class Smallest(BaseModel):
    """The smallest input that shows a difference: one image, black outside a window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: int = Field(description="its place among the ladder's images")
    top: int = Field(description="of the window, pixels; a window of no height: the image is black")
    left: int
    height: int
    width: int
    png: str = Field(description="the image as PNG in base64")


def smallest(images: Array, shows: Callable[[Array], bool]) -> Smallest | None:
    """images: uint8 [N, H, W, 3]. shows: whether one image, [1, H, W, 3], shows the difference.

    None: none alone does.
    """
    number = next((number for number in range(len(images)) if shows(images[number : number + 1])), None)
    if number is None:
        return None
    image = images[number : number + 1]
    height, width = image.shape[1:3]
    if shows(np.zeros_like(image)):
        edges = [0, 0, 0, 0]
    else:
        edges = [0, 0, PARTS, PARTS]  # top, left, bottom, right
        for edge in range(4):
            _shrink(edges, edge, lambda edges: shows(_outside_black(image, _pixels(edges, height, width))))
    top, left, bottom, right = _pixels(edges, height, width)
    return Smallest(
        image=number, top=top, left=left, height=bottom - top, width=right - left,
        png=_png(_outside_black(image, (top, left, bottom, right))[0]),
    )  # fmt: skip


def _shrink(edges: list[int], edge: int, shows: Callable[[list[int]], bool]) -> None:
    """Move one edge inwards as far as the difference still shows, in place."""
    good, opposite = edges[edge], edges[(edge + 2) % 4]
    bad = opposite  # nothing would be left
    while abs(bad - good) > 1:
        middle = (good + bad) // 2
        tried = [*edges[:edge], middle, *edges[edge + 1 :]]
        if shows(tried):
            good = middle
        else:
            bad = middle
    edges[edge] = good


def _pixels(edges: list[int], height: int, width: int) -> tuple[int, int, int, int]:
    top, left, bottom, right = (edge * side // PARTS for edge, side in zip(edges, (height, width) * 2, strict=True))
    return top, left, bottom, right


def _outside_black(image: Array, window: tuple[int, int, int, int]) -> Array:
    top, left, bottom, right = window
    shown = np.zeros_like(image)
    shown[:, top:bottom, left:right] = image[:, top:bottom, left:right]
    return shown


def _png(image: Array) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")
