"""Writing the leaderboard: figures into `leaderboard.md.j2`, and the figures beside it."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune.errors import UsageError
from isotune.report.analysis.benchmark import Speed
from isotune.runs.records import Record

if TYPE_CHECKING:
    from isotune.report.analysis.answers import Predictions
    from isotune.report.analysis.judging import Finding

README_ROWS = 10
NO_ACCURACY = "Speeds only: no accuracy was measured."


def write(
    records: Iterable[Record],
    folder: str | Path,
    *,
    speeds: Iterable[Speed] = (),
    command: str | None = None,
    predictions: Predictions | None = None,
) -> Path:
    """Write `folder/leaderboard.md`, `.html` and `.json`, and `folder/figures/*.svg`; the leaderboard's path.

    records: any number, of any data sets and protocols; of one cell's the last counts.
    speeds: see `Speed`.
    command: what gave the records, for the evidence.
    predictions: gives a cell's predicted classes (`Store.predictions`), for the share that changed; without
        it, or where it raises UsageError, only what accuracies and digests prove is shown. With the labels of a data
        set that is in the cache they also give McNemar's test, and the share of the spread that the test set explains.
    Errors: UsageError when there is nothing to report or the folder cannot be written.
    """
    found, measured = list(records), list(speeds)
    if not found and not measured:
        raise UsageError("there is nothing to report: no record and no speed; run first: isotune run")
    gc.freeze()  # the records; else the collector of cycles looks through 100,000 of them again and again
    try:
        return _written(found, measured, Path(folder), command, predictions)
    finally:
        gc.unfreeze()


def _written(
    records: list[Record], measured: list[Speed], place: Path, command: str | None, predictions: Predictions | None
) -> Path:
    from isotune.report import _document
    from isotune.report._page import write_page
    from isotune.report.analysis.answers import Answers
    from isotune.report.analysis.judging import judge
    from isotune.report.analysis.sections import latest, sections
    from isotune.report.figures import section as _figures

    kept = latest(records)
    answers = Answers(predictions)
    findings = [judge(section, answers) for section in sections(kept, measured)]
    try:
        (place / "figures").mkdir(parents=True, exist_ok=True)
        figures = [figure for finding in findings for figure in _figures.draw(finding, place)]
        leaderboard = place / "leaderboard.md"
        text = (
            _templates()
            .get_template("leaderboard.md.j2")
            .render(**_view(findings, kept, measured), command=_command(command), figures=figures)
        )
        leaderboard.write_text(text, encoding="utf-8")
        _document.write(place / "leaderboard.json", findings, kept, measured, command)
    except OSError as error:
        raise UsageError(f"the report cannot be written to {place}: {error.strerror}; choose another folder") from None
    write_page(leaderboard)
    return leaderboard


def first_rows(records: Iterable[Record], speeds: Iterable[Speed] = (), predictions: Predictions | None = None) -> str:
    """The sentence and the first table's head, in markdown: the leaderboard in short, for a README."""
    from isotune.report._sentence import sentence
    from isotune.report._tables import board
    from isotune.report.analysis.answers import Answers
    from isotune.report.analysis.sections import latest, sections

    found = sections(latest(records), speeds)
    if not found:
        raise UsageError("there is nothing to report: no record; run first: isotune run")
    table = _templates().get_template("table.md.j2").module.table(board(found[0]).head(README_ROWS))
    return f"{sentence(found[0], Answers(predictions))}\n\n{table}".rstrip() + "\n"


def schema() -> dict[str, Any]:
    """JSON schema of `leaderboard.json`."""
    from isotune.report._schema import Leaderboard

    return Leaderboard.model_json_schema()


def _templates() -> Any:
    import jinja2

    loader = jinja2.PackageLoader("isotune.report", ".")
    # not HTML, so no autoescape: what others wrote is escaped by _format
    return jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)


def _view(findings: Sequence[Finding], records: Sequence[Record], speeds: Sequence[Speed]) -> dict[str, Any]:
    from isotune.report import _conclusions, _tables
    from isotune.report import _format as f
    from isotune.report._evidence import evidence
    from isotune.report.analysis.judging import other_speeds

    failed = [record for finding in findings for record in finding.section.failed]
    return {
        "headline": findings[0].sentence if findings else NO_ACCURACY,
        "more": [f"[{f.text(each.section.title)}](#{each.section.slug}): {each.sentence}" for each in findings[1:]],
        "sections": [_conclusions.view(finding) for finding in findings],
        "speeds": _tables.speed_table(other_speeds(findings, speeds)),
        "failed": _tables.failed_table(failed),
        "failed_count": f"{len(failed):,} of {f.number(len(records), 'cell')}",
        "evidence": evidence(records, speeds),
        "sources": _conclusions.sources(findings),
    }


def _command(command: str | None) -> str | None:
    from isotune.report._format import code

    return code(command) if command else None
