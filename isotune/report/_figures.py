"""The figures of a section: accuracy against speed, and the spread over seeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from isotune.report import _format as f
from isotune.report import _scatter, _spread, _style
from isotune.report._sections import Section

_SPREAD_ROWS = 40


@dataclass(frozen=True)
class Drawn:
    """A figure on disk; caption and alt are markdown, path is relative to the leaderboard."""

    path: str
    caption: str
    alt: str


def draw(section: Section, folder: Path) -> Iterator[Drawn]:
    """Write the section's figures into `folder/figures`."""
    if not section.rows:
        return
    decimals = f.decimals(section.test_images)
    with _style.style():
        points, speed = _speeds(section)
        if points:
            path = f"figures/{section.slug}-accuracy-speed.svg"
            _style.save(_scatter.figure(points, f"{speed}, images/s", decimals), folder / path)
            caption = f"{section.title}: accuracy (95 % interval over seeds) against {speed} (median, quartiles)."
            if len(points) > _scatter.NUMBERED:
                caption += (
                    " Numbered: what no other model beats in both; the others are faint, without their intervals."
                )
            yield Drawn(path, f.text(caption), f.text(f"Accuracy against {speed}, {section.title}"))
        path = f"figures/{section.slug}-spread.svg"
        _style.save(_spread.figure(section.rows[:_SPREAD_ROWS], decimals), folder / path)
        caption = f"{section.title}: every seed, with mean and 95 % interval."
        if len(section.rows) > _SPREAD_ROWS:
            caption += f" The first {_SPREAD_ROWS} of {len(section.rows)} rows."
        yield Drawn(path, f.text(caption), f.text(f"Accuracy of every seed, {section.title}"))


def _speeds(section: Section) -> tuple[list[_scatter.Point], str]:
    """Rows that have a speed, and which speed: training where it was measured, else inference."""
    for name in ("training", "inference"):
        rows = [(row, getattr(row.measured, name)) for row in section.rows]
        if known := [_scatter.Point(row, rate) for row, rate in rows if rate and not isnan(rate.median)]:
            return known, f"{name} speed"
    return [], ""
