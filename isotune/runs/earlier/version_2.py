"""Records of version 2: what isotune wrote before a mode had a layout.

Networks of a library that has channels_last were in it, whatever the library's user gets, and only the environment said
so. They are read as what they were (`upgraded`), and a current cell is found in an old store (`cell`) where it is in
that layout.
"""

from __future__ import annotations

from typing import Any

from isotune.models import layouts
from isotune.protocols import Layout

_CHANNELS_LAST: Layout = "channels_last"


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a record of version 2 as one of version 3."""
    cell, environment = record["cell"], record.get("environment") or {}
    layout = environment.get("memory_format") or layout_of(cell["model"])  # one that failed has no environment
    return {**record, "version": 3, "cell": {**cell, "layout": layout}, "environment": _renamed(environment)}


def upgraded_speed(speed: dict[str, Any]) -> dict[str, Any]:
    """What the benchmark suite wrote of a measurement, likewise."""
    environment = speed.get("environment") or {}
    if (layout := environment.get("memory_format")) is None:
        return speed
    numeric_mode, _, compiled = speed.get("mode", "float32").partition(" ")
    mode = " ".join(filter(None, (numeric_mode, layout, compiled)))
    return {**speed, "mode": mode, "environment": _renamed(environment)}


def cell(cell: dict[str, Any]) -> dict[str, Any] | None:
    """A current cell, as JSON, as it was then; None: there was none in its layout."""
    if cell["layout"] != layout_of(cell["model"]):
        return None
    return {name: value for name, value in cell.items() if name != "layout"}


def layout_of(model: str) -> Layout | None:
    """The layout, as a mode has it, in which a model was computed then."""
    return _CHANNELS_LAST if _CHANNELS_LAST in layouts.others(model.partition(":")[0]) else None


def _renamed(environment: dict[str, str]) -> dict[str, str]:
    return {"layout" if name == "memory_format" else name: value for name, value in environment.items()}
