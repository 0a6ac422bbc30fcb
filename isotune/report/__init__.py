"""Reports: records and speeds to a leaderboard with figures, in markdown, as one HTML page and as JSON.

- `Leaderboard(records, speeds)`: `.markdown()`, `.html()`, `.json()`, `.model_index()`, `.write(folder)`;
- `write(records, folder, speeds=...)`: the same in one call;
- `read_benchmark(path)`: the records and speeds that `pytest benchmarks/ --benchmark-json=FILE` left;
- `schema()`: what is in a leaderboard's JSON, as a JSON schema; `is_leaderboard(content)`, `read_leaderboard(content)`:
  whether a JSON is one, and what it holds;
- `model_index(records)`: evaluation results for model cards on the Hugging Face Hub, YAML;
- `judged(records, handed_in)`: published numbers that were handed in (`HandedIn`), each with its verdict (`Judged`) and
  what was concluded in one line (`line`); `foreseen`: what would be compared with what, before anything runs;
- `analysis.measured`: the models that a leaderboard shows (`MeasuredModel`), to choose one;
- `first_rows(records, speeds)`: the sentence and the first table's head, for a README.

Three modules are for whoever else writes a report (investigation, attribution, variance, changes):

- `wording`: numbers and words in markdown: `text`, `code`, `significant`, `duration`, `listing`, `Table`;
- `evidence.evidence(records, speeds)`: what a report rests on: dates, versions, checkpoints, data, recipes;
- `figures.style`: colours, markers and fonts, and how a figure is saved.

Inside: `analysis` turns records into rows and conclusions, `figures` draws them, `_tables`, `_evaluation`, `_sentence`
and `_conclusions` put them into words, which `_reading` explains, `_document` and `_schema` into JSON, `_page` into
HTML, with the images of `_images`.

The same records always give the same bytes, so that a committed report changes only when results do.
SciPy and matplotlib are imported when a report is made, not before.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from isotune.report._handed_in import foreseen, judged, line
from isotune.report._leaderboard import JSON, Leaderboard, first_rows, schema
from isotune.report._model_index import model_index
from isotune.report._replacing import is_leaderboard, read_leaderboard
from isotune.report.analysis.benchmark import Speed, read_benchmark
from isotune.report.analysis.handed_in import HandedIn
from isotune.report.analysis.published import Judged

if TYPE_CHECKING:
    from isotune.report.analysis.answers import Predictions
    from isotune.runs.records import Record

__all__ = [
    "JSON",
    "HandedIn",
    "Judged",
    "Leaderboard",
    "Speed",
    "first_rows",
    "foreseen",
    "is_leaderboard",
    "judged",
    "line",
    "model_index",
    "read_benchmark",
    "read_leaderboard",
    "schema",
    "write",
]


def write(
    records: Iterable[Record],
    folder: str | Path,
    *,
    speeds: Iterable[Speed] = (),
    command: str | None = None,
    predictions: Predictions | None = None,
    handed_in: Iterable[HandedIn] = (),
) -> Path:
    """`Leaderboard(records, speeds, ...).write(folder)`: the path of `leaderboard.md`."""
    return Leaderboard(records, speeds, command=command, predictions=predictions, handed_in=handed_in).write(folder)
