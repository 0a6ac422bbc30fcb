"""A figure with its goal, and a table of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def figure(what: str, value: float, unit: str, *, most: float | None = None, least: float | None = None) -> dict:
    """most, least: the goal; none: it is told, and has none."""
    return {"what": what, "value": value, "unit": unit, "most": most, "least": least}


def table(figures: Iterable[Mapping[str, Any]]) -> list[str]:
    """In markdown."""
    lines = ["| what | measured | goal | |", "| --- | ---: | ---: | --- |"]
    for each in figures:
        shown = f"{_number(each['value'])} {each['unit']}".rstrip()
        lines.append(f"| {each['what']} | {shown} | {_goal(each)} | {_reached(each)} |")
    return lines


def _goal(each: Mapping[str, Any]) -> str:
    if each["most"] is not None:
        return f"at most {_number(each['most'])} {each['unit']}".rstrip()
    return f"at least {_number(each['least'])} {each['unit']}".rstrip() if each["least"] is not None else ""


def _reached(each: Mapping[str, Any]) -> str:
    if each["most"] is None and each["least"] is None:
        return ""
    reached = each["value"] <= each["most"] if each["most"] is not None else each["value"] >= each["least"]
    return "reached" if reached else "**missed**"


def _number(value: float) -> str:
    """Three digits."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
