"""Writing the leaderboard: figures into `leaderboard.md.j2`, and the figures beside it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune.errors import UsageError
from isotune.records import Record
from isotune.report._benchmark import Speed

if TYPE_CHECKING:
    from isotune.report._sections import Predictions

README_ROWS = 10


def write(
    records: Iterable[Record],
    folder: str | Path,
    *,
    speeds: Iterable[Speed] = (),
    command: str | None = None,
    predictions: Predictions | None = None,
) -> Path:
    """Write `folder/leaderboard.md` and `folder/figures/*.svg`; the leaderboard's path.

    records: any number, of any data sets and protocols; of one cell's the last counts.
    speeds: see `Speed`.
    command: what gave the records, for the evidence.
    predictions: gives a cell's predicted classes (`Store.predictions`), for the share that changed; without
        it, or where it raises UsageError, only what accuracies and digests prove is shown.
    Errors: UsageError when there is nothing to report or the folder cannot be written.
    """
    from isotune.report import _figures
    from isotune.report._sections import latest, sections

    kept, measured = latest(records), list(speeds)
    if not kept and not measured:
        raise UsageError("there is nothing to report: no record and no speed; run first: isotune run")
    found = sections(kept, measured, predictions)
    place = Path(folder)
    try:
        (place / "figures").mkdir(parents=True, exist_ok=True)
        figures = [figure for section in found for figure in _figures.draw(section, place)]
        leaderboard = place / "leaderboard.md"
        text = (
            _templates()
            .get_template("leaderboard.md.j2")
            .render(**_view(found, kept, measured), command=_command(command), figures=figures)
        )
        leaderboard.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the report cannot be written to {place}: {error.strerror}; choose another folder") from None
    return leaderboard


def first_rows(records: Iterable[Record], speeds: Iterable[Speed] = (), predictions: Predictions | None = None) -> str:
    """The sentence and the first table's head, in markdown: the leaderboard in short, for a README."""
    from isotune.report._sections import latest, sections
    from isotune.report._sentence import sentence
    from isotune.report._tables import board

    found = sections(latest(records), speeds, predictions)
    if not found:
        raise UsageError("there is nothing to report: no record; run first: isotune run")
    table = _templates().get_template("table.md.j2").module.table(board(found[0]).head(README_ROWS))
    return f"{sentence(found[0])}\n\n{table}".rstrip() + "\n"


def _templates() -> Any:
    import jinja2

    loader = jinja2.PackageLoader("isotune.report", ".")
    # not HTML, so no autoescape: what others wrote is escaped by _format
    return jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)


def _view(found: Sequence[Any], records: Sequence[Record], speeds: Sequence[Speed]) -> dict[str, Any]:
    from isotune.report import _format as f
    from isotune.report import _tables as tables
    from isotune.report._evidence import evidence
    from isotune.report._sentence import sentence

    failed = [record for section in found for record in section.failed]
    shown = {id(speed) for section in found for row in section.rows for speed in row.measured.sources}
    return {
        "headline": sentence(found[0]) if found else "Speeds only: no accuracy was measured.",
        "more": [f"[{f.text(section.title)}](#{section.slug}): {sentence(section)}" for section in found[1:]],
        "sections": [tables.view(section) for section in found],
        "speeds": tables.speed_table([s for s in speeds if id(s) not in shown and not s.repeats]),
        "failed": tables.failed_table(failed),
        "failed_count": f"{len(failed):,} of {f.number(len(records), 'cell')}",
        "evidence": evidence(records, speeds),
    }


def _command(command: str | None) -> str | None:
    from isotune.report._format import code

    return code(command) if command else None
