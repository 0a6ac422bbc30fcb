"""The leaderboard: figures into `leaderboard.md.j2`, and the figures beside it."""

from __future__ import annotations

import gc
import json
import re
import tempfile
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune.errors import UsageError
from isotune.places import path
from isotune.report.analysis.benchmark import Speed
from isotune.runs.records import Record, latest

if TYPE_CHECKING:
    from isotune.report._images import Opened
    from isotune.report.analysis.answers import Predictions
    from isotune.report.analysis.handed_in import HandedIn
    from isotune.report.analysis.judging import Finding
    from isotune.report.analysis.prices import DefaultOverSections

README_ROWS = 10
MARKDOWN, PAGE, JSON = "leaderboard.md", "leaderboard.html", "leaderboard.json"
NO_ACCURACY = "Speeds only: no accuracy was measured."


class Leaderboard:
    """Records and speeds as a leaderboard: markdown, one HTML page, JSON, evaluation results; shown in a notebook.

    records: any number, of any data sets and protocols; of one cell's the last counts.
    speeds: see `Speed`.
    command: what gave the records, for the evidence.
    damaged: a line for each record that could not be read, for the evidence.
    predictions: gives a run's predicted classes (`Store.predictions`), for the share that changed; without
        it, or where it raises UsageError, only what accuracies and digests prove is shown. With the labels of a data
        set that is in the cache they also give McNemar's test, and the share of the spread that the test set explains.
    handed_in: published numbers of the user's that runs are held against, besides those of the tables.
    Errors: UsageError when there is nothing to report.

    >>> board = isotune.load_runs(".isotune/records").leaderboard()
    >>> print(board.markdown())
    >>> board.write("my-report")
    PosixPath('my-report/leaderboard.md')
    """

    def __init__(
        self,
        records: Iterable[Record],
        speeds: Iterable[Speed] = (),
        *,
        command: str | None = None,
        predictions: Predictions | None = None,
        damaged: Sequence[str] = (),
        handed_in: Iterable[HandedIn] = (),
    ) -> None:
        self.records, self.speeds, self._handed_in = tuple(records), tuple(speeds), tuple(handed_in)
        self._command, self._predictions, self._damaged = command, predictions, tuple(damaged)
        if not self.records and not self.speeds:
            raise UsageError("there is nothing to report: no records and no speeds; run first: isotune run")

    def markdown(self) -> str:
        """The leaderboard; its figures are links to files that `write` writes."""
        return self._files[MARKDOWN].decode()

    def html(self) -> str:
        """One page with its figures within, tables that sort and filter; it loads nothing from elsewhere."""
        return self._files[PAGE].decode()

    def json(self) -> dict[str, Any]:
        """All that the leaderboard shows, unrounded; `isotune.report.schema()` says what is in it."""
        content: dict[str, Any] = json.loads(self._files[JSON])
        return content

    def model_index(self) -> str:
        """Evaluation results for model cards on the Hugging Face Hub, YAML. MissingExtra: no huggingface_hub."""
        from isotune.report._model_index import model_index

        return model_index(self.records)

    def first_rows(self) -> str:
        """The sentence and the first table's head, in markdown: the leaderboard in short, for a README."""
        return first_rows(self.records, self.speeds, self._predictions)

    def write(self, folder: str | Path) -> Path:
        """Write `leaderboard.md`, `.html` and `.json` and `figures/*.svg` into a folder; the leaderboard's path.

        Figures that one before it in the folder showed, and this one does not, are removed.

        Errors: UsageError when the folder cannot be written.
        """
        place = path(folder, "folder")
        try:
            (place / "figures").mkdir(parents=True, exist_ok=True)
            former = _figures(place / MARKDOWN)
            for name, content in self._files.items():
                (place / name).write_bytes(content)
            for name in former - set(self._files):
                (place / name).unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(
                f"the report cannot be written to {place}: {error.strerror}; choose another folder"
            ) from None
        return place / MARKDOWN

    def lost(self, folder: str | Path) -> list[str]:
        """The runs that a leaderboard in a folder shows and this one does not: `write` would replace it."""
        from isotune.report._replacing import lost

        place = path(folder, "folder")
        return lost(place / MARKDOWN, place / JSON, self.json)

    def _repr_html_(self) -> str:
        """What a notebook shows: the page without its script, so that nothing must be trusted."""
        from isotune.report._page import fragment

        with tempfile.TemporaryDirectory(prefix="isotune-report-") as folder:
            return fragment(self.write(folder))

    @cached_property
    def _files(self) -> dict[str, bytes]:
        """Every file of the report by its path within a folder."""
        gc.freeze()  # the records; else the collector of cycles looks through 100,000 of them again and again
        try:
            with tempfile.TemporaryDirectory(prefix="isotune-report-") as folder:
                place = Path(folder)
                _write(
                    self.records, self.speeds, place, self._command, self._predictions, self._damaged, self._handed_in
                )  # fmt: skip
                files = sorted(path for path in place.rglob("*") if path.is_file())
                return {path.relative_to(place).as_posix(): path.read_bytes() for path in files}
        finally:
            gc.unfreeze()


def _figures(markdown: Path) -> set[str]:
    """The figures that a leaderboard shows, by their paths beside it; none where there is none."""
    text = markdown.read_text(encoding="utf-8", errors="replace") if markdown.is_file() else ""
    return set(re.findall(r"\]\((figures/[\w.-]+\.svg)\)", text))


def _write(
    records: Sequence[Record],
    speeds: Sequence[Speed],
    place: Path,
    command: str | None,
    predictions: Predictions | None,
    damaged: Sequence[str],
    handed_in: Sequence[HandedIn],
) -> None:
    from isotune.report import _document
    from isotune.report._images import Gallery
    from isotune.report._page import write_page
    from isotune.report._reading import how_to_read
    from isotune.report._templates import markdown
    from isotune.report.analysis.answers import Answers
    from isotune.report.analysis.judging import judge
    from isotune.report.analysis.prices import over_sections
    from isotune.report.analysis.sections import sections
    from isotune.report.evidence import left_out
    from isotune.report.figures import defaults as _defaults
    from isotune.report.figures import section as _figures
    from isotune.report.wording import text as escaped

    kept = latest(records)
    counted = set(map(id, kept))
    answers = Answers(predictions)
    answers.check(kept)
    findings = [judge(section, answers, handed_in) for section in sections(kept, speeds)]
    gallery = Gallery(answers)
    opened = [gallery.opened(finding) for finding in findings]
    out = left_out([record for record in records if id(record) not in counted], [*damaged, *answers.damaged])
    (place / "figures").mkdir()
    over = over_sections(finding.defaults for finding in findings)
    figures = [*_defaults.draw(over, place), *(each for one in findings for each in _figures.draw(one, place))]
    beside = {"command": _cited(command), "figures": figures, "left_out": list(map(escaped, out))}

    def written(opened: Sequence[Opened]) -> str:
        page = markdown("leaderboard.md.j2").render(**_view(findings, over, kept, speeds, opened), **beside)
        return f"{page.rstrip()}\n\n{how_to_read(page)}".rstrip() + "\n"

    text = written([])
    (place / MARKDOWN).write_text(text, encoding="utf-8")
    _document.write(place / JSON, findings, kept, speeds, command, out)
    pictures = {anchor: page for each in opened for anchor, page in each.pages.items()}
    write_page(place / MARKDOWN, written(opened) if pictures else text, pictures)


def first_rows(records: Iterable[Record], speeds: Iterable[Speed] = (), predictions: Predictions | None = None) -> str:
    """The sentence and the first table's head, in markdown: the leaderboard in short, for a README."""
    from isotune.report._tables import board
    from isotune.report._templates import markdown
    from isotune.report.analysis.answers import Answers
    from isotune.report.analysis.judging import judge
    from isotune.report.analysis.sections import sections

    ordered = sections(latest(records), speeds)
    if not ordered:
        raise UsageError("there is nothing to report: no records; run first: isotune run")
    table = markdown("table.md.j2").module.table(board(ordered[0]).head(README_ROWS))  # type: ignore[attr-defined]
    return f"{judge(ordered[0], Answers(predictions)).sentence}\n\n{table}".rstrip() + "\n"


def schema() -> dict[str, Any]:
    """JSON schema of `leaderboard.json`."""
    from isotune.report import _schema

    return _schema.Leaderboard.model_json_schema()


def _view(
    findings: Sequence[Finding],
    over: Sequence[DefaultOverSections],
    records: Sequence[Record],
    speeds: Sequence[Speed],
    opened: Sequence[Opened],
) -> dict[str, Any]:
    """over: what single defaults cost. opened: of each finding what images the page has, the markdown having none."""
    from isotune.report import _conclusions, _evaluation, _tables
    from isotune.report import wording as f
    from isotune.report.analysis.judging import other_speeds
    from isotune.report.evidence import evidence

    failed = [record for finding in findings for record in finding.section.failed]
    others = other_speeds(findings, speeds)
    return {
        "headline": findings[0].sentence if findings else NO_ACCURACY,
        "more": [f"[{f.text(each.section.title)}](#{each.section.slug}): {each.sentence}" for each in findings[1:]],
        "outcomes": _conclusions.outcomes(findings),
        "defaults": _evaluation.defaults_over_sections(over),
        "defaults_intro": _evaluation.defaults_over_sections_intro(sum(bool(each.defaults) for each in findings)),
        "sections": [_conclusions.view(finding, images) for finding, images in zip_longest(findings, opened)],
        "speeds": _tables.speed_table(others),
        "speeds_disturbed": _tables.disturbed(others),
        "noise": _tables.noise_table(speeds),
        "failed": _tables.failed_table(failed),
        "failed_count": f"{len(failed):,} of {f.number(len(records), 'cell')}",
        "evidence": evidence(records, speeds),
        "sources": _conclusions.sources(findings),
    }


def _cited(command: str | None) -> str | None:
    from isotune.report.wording import code

    return code(command) if command else None
