"""What `isotune models --measured` prints: a table for each data set and protocol."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

import typer

from isotune.printable import printable
from isotune.report.wording import NOTHING, significant

if TYPE_CHECKING:
    from isotune.interface import MeasuredModels
    from isotune.report.analysis.measured import MeasuredModel

_BOUND = "*"
_EXPLAINED = (
    "accuracy %: under the checkpoint's conventions, and under the library's own; training, inference: images/s;\n"
    "latency: ms of one image; memory: the peak of the process; parameters: millions, the classifier's left out"
)


def show(models: MeasuredModels, *, as_json: bool) -> None:
    """JSON, or tables."""
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in models], indent=1))
        return
    for (dataset, protocol, size), group in groupby(models, key=lambda each: (each.dataset, each.protocol, each.size)):
        typer.echo(printable(f"{dataset}, {protocol}, {size} px"))
        for line in _aligned([_COLUMNS, *map(_row, group)]):
            typer.echo(line)
        typer.echo()
    typer.echo(_EXPLAINED)
    if any(each.lower_bounds for each in models):
        typer.echo(f"{_BOUND} others disturbed every round: the machine can do better")


_COLUMNS = ["model", "accuracy %", "native", "training", "inference", "latency", "memory MiB", "parameters"]


def _row(each: MeasuredModel) -> list[str]:
    apart = ("" if each.mode == "float32" else each.mode, each.overrides)
    name = printable(" ".join(filter(None, (each.model, *apart))))
    speeds = ("training", "inference", "latency")
    return [
        name,
        *(NOTHING if value is None else f"{value:.1f}" for value in (each.identical, each.native)),
        *(significant(getattr(each, what)) + _BOUND * (what in each.lower_bounds) for what in speeds),
        NOTHING if each.memory is None else f"{each.memory / 2**20:,.0f}",
        NOTHING if each.parameters is None else f"{each.parameters / 1e6:.2f}",
    ]


def _aligned(rows: list[list[str]]) -> list[str]:
    """The first column to the left, numbers to the right; without columns that say nothing."""
    columns = list(zip(*rows, strict=True))
    kept = [column for column in columns if any(cell != NOTHING for cell in column[1:])]
    widths = [max(map(len, column)) for column in kept]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in zip(*kept, strict=True)
    ]
