"""An investigation in a terminal, a notebook, as JSON, and as files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from isotune import attribution as attributions
from isotune import cache, file_names
from isotune.attribution import Attribution
from isotune.comparison.sides import Side
from isotune.errors import UsageError
from isotune.investigation.findings import Findings
from isotune.investigation.report._document import document
from isotune.investigation.report._sentences import environment_of, stop
from isotune.investigation.report._tables import COLUMNS, NUMERIC, lines_of_causes, row
from isotune.investigation.report._verdict import verdict


def default_name(left: Side, right: Side) -> str:
    """A file's name: both models, and what tells the sides apart when they are one model."""
    words = [left.model, right.model]
    if left.model == right.model:
        words = [f"{side.model} {side.conventions} {side.mode} {environment_of(side)}" for side in (left, right)]
    return file_names.shortened("-vs-".join(file_names.of_words(word, keep=".") for word in words))


def as_json(findings: Findings, attribution: Attribution | None) -> dict[str, Any]:
    """All that was learned, unrounded."""
    return findings.model_dump(mode="json") | {
        "verdict": verdict(findings, attribution),
        "attribution": attributions.as_json(attribution) if attribution else None,
    }


def show(findings: Findings, attribution: Attribution | None) -> None:
    """Print the ladder, the causes and the attribution."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(COLUMNS[:-1]):
        table.add_column(name, justify="right" if index in NUMERIC else "left", no_wrap=index < len(COLUMNS) - 2)
    for rung in findings.rungs:
        table.add_row(*row(findings, rung)[:-1])
    console.print(table, markup=False, highlight=False)
    for line in _lines(findings, attribution):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def html(findings: Findings, attribution: Attribution | None) -> str:
    """The verdict, the ladder, the causes and the attribution, for a notebook."""
    head = "".join(f"<th>{escape(name)}</th>" for name in COLUMNS)
    rows = (
        "".join(f"<td>{escape(cell)}</td>" for cell in row(findings, rung)) for rung in findings.rungs
    )  # fmt: skip
    lines = "".join(f"<li>{escape(line)}</li>" for line in _lines(findings, attribution))
    table = "".join(f"<tr>{cells}</tr>" for cells in rows)
    return f"<p>{escape(verdict(findings, attribution))}</p><table><tr>{head}</tr>{table}</table><ul>{lines}</ul>"


def _lines(findings: Findings, attribution: Attribution | None) -> Iterator[str]:
    yield from lines_of_causes(findings)
    yield from attributions.sentences(attribution) if attribution else ()
    yield verdict(findings, attribution)
    if findings.stopped:
        yield stop(findings)


def write(
    findings: Findings,
    attribution: Attribution | None,
    folder: Path,
    name: str,
    command: str,
    more: Iterable[str] = (),
) -> Path:
    """Write `name.md`, whose path is given back, `name.json` and the figures. more: lines at its end.
    UsageError: the folder cannot be written, or the name is none of a file."""
    file_names.checked(name, "name")
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        drawn = _figures(findings, attribution, folder, name)
        texts = {
            f"{name}.json": json.dumps(as_json(findings, attribution), indent=1),
            f"{name}.md": "\n".join([*document(findings, attribution, drawn, command), *_after(more)]),
        }
        for file, text in texts.items():
            with cache.draft_file(folder / file) as draft:
                draft.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the report cannot be written to {folder}: {error.strerror}; choose another folder") from None
    return folder / f"{name}.md"


def _after(more: Iterable[str]) -> list[str]:
    """A section after the last one."""
    lines = list(more)
    return ["", *lines] if lines else []


def _figures(findings: Findings, attribution: Attribution | None, folder: Path, name: str) -> dict[str, str]:
    """What is drawn -> its file, seen from the folder: layers, attribution, and a rung's smallest input."""
    from isotune.attribution import waterfall
    from isotune.investigation.report import _layers_figure

    figures = {}
    if _layers_figure.draw(findings, folder / (path := f"figures/{name}-layers.svg")):
        figures["layers figure"] = path
    if attribution is not None and waterfall.draw(attribution, folder / (path := f"figures/{name}-attribution.svg")):
        figures["attribution"] = path
    for rung in findings.rungs:
        if rung.smallest is not None:
            figures[rung.name] = f"figures/{name}-{rung.name.replace(' ', '-')}-smallest.png"
            (folder / figures[rung.name]).write_bytes(base64.b64decode(rung.smallest.png))
    return figures
