"""The figures of a section: accuracy against speed, every seed, differences with margins, variance by source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from matplotlib.figure import Figure

from isotune import file_names
from isotune.report import wording as f
from isotune.report.analysis.judging import Finding
from isotune.report.analysis.sections import Section
from isotune.report.figures import components as _components
from isotune.report.figures import forest as _forest
from isotune.report.figures import scatter as _scatter
from isotune.report.figures import spread as _spread
from isotune.report.figures import style as _style

_SPREAD_ROWS = 40


@dataclass(frozen=True)
class Drawn:
    """A figure on disk; caption and alt are markdown, path is relative to the leaderboard."""

    path: str
    caption: str
    alt: str


def draw(finding: Finding, folder: Path) -> Iterator[Drawn]:
    """Write the section's figures into `folder/figures`."""
    section = finding.section
    if not section.rows:
        return
    decimals = f.decimals(section.test_images)
    with _style.style():
        points, speed = _speeds(section)
        if points:
            over = "" if section.evaluated else " (95 % interval over seeds)"
            caption = f"accuracy{over} against {speed} (median, interval or range as in the table)."
            if len(points) > _scatter.NUMBERED:
                caption += (
                    " Numbered: what no other model beats in both; the others are faint, without their intervals."
                )
            made = _scatter.figure(points, f"{speed}, images/s", decimals)
            yield _saved(made, section, folder, "accuracy-speed", caption, f"Accuracy against {speed}")
        if not section.evaluated:
            made = _spread.figure(section.rows[:_SPREAD_ROWS], decimals)
            caption = "every seed, with mean and 95 % interval."
            caption += _first(_SPREAD_ROWS, len(section.rows), "rows")
            yield _saved(made, section, folder, "spread", caption, "Accuracy of every seed")
        parts, left_out = _forest.parts(finding)
        if parts:
            caption = _EVALUATION if section.evaluated else _FOREST
            caption += _first(_forest.MOST, _forest.MOST + left_out, "differences")
            yield _saved(_forest.figure(parts, decimals), section, folder, "differences", caption, "Differences")
        known = [spread for spread in finding.spreads if _components.told(spread)]
        if known:
            made = _components.figure(known[: _components.MOST], decimals)
            caption = _COMPONENTS + _first(_components.MOST, len(known), "set-ups")
            yield _saved(made, section, folder, "variance", caption, "Variance by source")


_FOREST = (
    "differences with their intervals: 90 % against published numbers, where the band is the margin of the verdict;"
    " 95 % between models, not corrected, where the band is one point. Filled: different, or a difference that holds;"
    " n.d.: not distinguishable."
)
_EVALUATION = (
    "differences, without intervals where nothing is drawn at random: against published numbers, where the band is the"
    " margin of the verdict, between models, and one thing done otherwise, where it is one point. Filled: different, or"
    " a difference that holds; n.d.: not distinguishable."
)
_COMPONENTS = (
    "variance by source, as standard deviations: all seeds as observed, the part that a finite test set explains, the"
    " rest, which is training; seed streams with 95 % intervals where their seeds were drawn apart."
)


def _saved(made: Figure, section: Section, folder: Path, kind: str, caption: str, alt: str) -> Drawn:
    path = f"figures/{file_names.shortened(section.slug)}-{kind}.svg"
    _style.save(made, folder / path)
    return Drawn(path, f.text(f"{section.title}: {caption}"), f.text(f"{alt}, {section.title}"))


def _first(most: int, count: int, what: str) -> str:
    return f" The first {most} of {count} {what}." if count > most else ""


def _speeds(section: Section) -> tuple[list[_scatter.Point], str]:
    """Rows that have a speed, and which speed: training where it was measured, else inference."""
    for name in ("training", "inference"):
        rows = [(row, getattr(row.measured, name)) for row in section.rows]
        if known := [_scatter.Point(row, rate) for row, rate in rows if rate and not isnan(rate.median)]:
            return known, f"{name} speed"
    return [], ""
