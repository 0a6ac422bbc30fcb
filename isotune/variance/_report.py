"""A study's findings as a table, as JSON, and as `variance.md` with its figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isotune import cache, file_names
from isotune.errors import UsageError
from isotune.statistics import Component
from isotune.variance._design import Design, Study
from isotune.variance._judging import Finding

if TYPE_CHECKING:
    from isotune.variance._study import Outlook

COLUMNS = (
    "model",
    "accuracy %, mean (lowest to highest)",
    "source",
    "sd, points",
    "95 % interval",
    "share of variance %",
)
_LEFT = (0, 2)  # columns of words


def describe(study: Study, ahead: Outlook) -> Iterator[str]:
    """The design in lines of text: which streams are drawn, why the others are idle, how many runs, how long."""
    from isotune.report import wording as f

    design, first = study.design, study.firsts[0]
    affecting = len(design.drawn) + len(design.held)
    drawn = f"{f.word(affecting)} of {f.word(affecting + len(design.idle))} seed streams"
    yield f"{first.protocol.name} on {first.dataset}, {first.conventions}: {drawn} affect the result"
    yield from _streams(design)
    again = f", the first seeds {_times(design.repeats)} more" if design.repeats else ""
    crossed = f"{len(design.seeds)} crossed runs{again}"
    yield f"{crossed}, of {f.number(len(study.firsts), 'model')}: {ahead.runs} runs, {ahead.done} of them done"
    if ahead.seconds is None:
        yield "the time needed is not known: a model has no finished run yet"
    elif ahead.done < ahead.runs:
        yield f"run one after another, the rest take about {f.duration(ahead.seconds)}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _streams(design: Design) -> Iterator[str]:
    for stream, what in design.drawn.items():
        yield f"- {stream}: {what}, {design.levels} seeds"
    for stream, what in design.held.items():
        yield f"- {stream}: {what}"
    for stream, why in design.idle.items():
        yield f"- {stream}: idle, as {why}"


def rows(findings: Sequence[Finding]) -> Iterator[list[str]]:
    """The table as cells of text: a line for each source of each model; `-` is not known."""
    from isotune.variance._sentences import decimals, source

    for finding in findings:
        places, sources = decimals(finding), finding.sources
        start = [finding.model, _accuracies(finding, places - 1)]
        if sources.total is not None:
            whole = "100" if any(part.share for part in sources.components) else "-"
            yield [*start, "all together", f"{sqrt(max(sources.total, 0.0)):.{places}f}", "-", whole]
        elif not sources.components:
            yield [*start, f"none: {sources.reason}", "-", "-", "-"]
        for part in _parts(finding):
            low, high = sqrt(part.interval.low), sqrt(part.interval.high)
            share = "-" if part.share is None else f"{100 * part.share:.0f}"
            yield [*start, source(part), f"{part.sd:.{places}f}", f"{low:.{places}f} to {high:.{places}f}", share]


def _accuracies(finding: Finding, places: int) -> str:
    if not (known := finding.accuracies):
        return "-"
    low, mean, high = (f"{value:.{places}f}" for value in (min(known), sum(known) / len(known), max(known)))
    return f"{mean} ({low} to {high})"


def _parts(finding: Finding) -> list[Component]:
    """Components, and what the same seeds vary by where that is none of them."""
    noise = finding.sources.noise
    apart = [noise] if noise is not None and noise not in finding.sources.components else []
    return [*finding.sources.components, *apart]


def sentences(findings: Sequence[Finding]) -> list[str]:
    """What was found, a sentence for each model."""
    from isotune.variance._sentences import sentence

    return [sentence(finding) for finding in findings]


def sources(findings: Sequence[Finding]) -> Iterator[tuple[str, str, float, float, float, float | None]]:
    """(model, source, sd in points, its 95 % interval, share of the variance) of each source of each model."""
    from isotune.variance._sentences import source

    for finding in findings:
        for part in _parts(finding):
            low, high = sqrt(part.interval.low), sqrt(part.interval.high)
            yield finding.model, source(part), part.sd, low, high, part.share


def show(findings: Sequence[Finding]) -> None:
    """Print the table and a sentence for each model; failed runs are named."""
    from rich.console import Console
    from rich.table import Table

    from isotune.variance._sentences import sentence

    console = Console()
    if not console.is_terminal:
        console = Console(width=140)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if index in _LEFT else "right", no_wrap=True)
    for row in rows(findings):
        table.add_row(*row)
    console.print(table, markup=False, highlight=False)
    for line in [*map(sentence, findings), *(f"FAILED: {line}" for line in _failed(findings))]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _failed(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        for record, why in finding.failed:
            yield f"{record.cell}: {why}"


def as_json(study: Study, ahead: Outlook, findings: Sequence[Finding]) -> dict[str, Any]:
    """The study, what it still takes, and of each model judged its components (variances in points squared), noise
    floor and failed runs."""
    from isotune.variance._sentences import sentence

    first = study.firsts[0]
    return {
        "dataset": first.dataset,
        "protocol": first.protocol.name,
        "conventions": first.conventions,
        "checkpoint": first.checkpoint,
        "models": [cell.model for cell in study.firsts],
        "design": asdict(study.design),
        "outlook": asdict(ahead),
        "findings": [
            {
                "model": finding.model,
                "sentence": sentence(finding),
                "accuracies": list(finding.accuracies),
                "total": finding.sources.total,
                **asdict(finding.sources),
                "same_seeds": asdict(finding.floor),
                "missing": finding.missing,
                "failed": [{"seeds": record.cell.seeds.model_dump(), "error": why} for record, why in finding.failed],
            }
            for finding in findings
        ],
    }


def write(study: Study, findings: Sequence[Finding], folder: Path, command: str | None = None) -> Path:
    """Write `variance.md`, whose path is given back, and its figure in `figures/`; the same records, the same bytes.

    command: what gave the records, for the evidence. UsageError: there is no finding, or the folder cannot be written.
    """
    from isotune.variance import _figures

    if not findings:
        raise UsageError("there is nothing to report: the study was planned and not run")

    first = study.firsts[0]
    name = file_names.of_words(f"{first.dataset} {first.protocol.name} {first.conventions}")
    figure = f"figures/variance-{name}.svg"
    report = folder / "variance.md"
    try:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        drawn = _figures.write(findings, folder / figure)
        with cache.draft_file(report) as draft:
            draft.write_text(
                "\n".join(_lines(study, findings, figure if drawn else "", command)) + "\n", encoding="utf-8"
            )
    except OSError as error:
        raise UsageError(f"the report cannot be written to {folder}: {error.strerror}; choose another folder") from None
    return report


def _lines(study: Study, findings: Sequence[Finding], figure: str, command: str | None) -> Iterator[str]:
    from isotune.report import wording as f
    from isotune.variance._sentences import sentence

    first = study.firsts[0]
    setting = f"{first.dataset}, {first.protocol.name}, {first.conventions}"
    yield f"# Variance by source: {f.text(setting)}"
    yield ""
    for finding in findings:
        yield f"- {f.text(sentence(finding))}"
    yield ""
    yield "| " + " | ".join(COLUMNS) + " |"
    yield "| " + " | ".join("---" if index in _LEFT else "---:" for index in range(len(COLUMNS))) + " |"
    for model, *cells in rows(findings):
        yield "| " + " | ".join([f.code(model), *map(f.text, cells)]) + " |"
    yield ""
    if figure:
        yield f"![Variance by source, {f.text(setting)}]({figure})"
        yield ""
    if failed := list(_failed(findings)):
        yield "## Failed runs"
        yield ""
        yield from (f"- {f.text(line)}" for line in failed)
        yield ""
    yield "## Design"
    yield ""
    yield from _streams(study.design)
    yield ""
    yield from _evidence(findings, command)
    yield ""
    yield from _EXPLAINED


def _evidence(findings: Sequence[Finding], command: str | None) -> Iterator[str]:
    """Everything that the figures rest on, under one header."""
    from isotune.report import wording as f
    from isotune.report.evidence import evidence

    facts = evidence([record for finding in findings for record in finding.records], [])
    yield "## Evidence"
    yield ""
    if command:
        yield f"- Command: {f.code(command)}"
    if facts.date:
        yield f"- Date: {facts.date}"
        yield f"- Runs: {facts.cells}"
        yield f"- Duration, all runs added up: {facts.duration}"
    yield from (f"- {line}" for line in facts.environment)
    lines = {"Checkpoint": facts.checkpoints, "Data set": facts.datasets, "Protocol": facts.protocols}
    yield from (f"- {name}: {line}" for name, several in lines.items() for line in several)


_EXPLAINED = """## How to read this

- Every seed of each stream runs with every seed of the others. A source is what the accuracy varies by when only that
  stream is drawn anew; `head x order` is what two streams do together beyond what each does alone. The widest of
  these holds the noise of the same seeds too.
- **Share** is of the variance, the square of the standard deviation (sd). Components are unbiased (method of moments),
  so that one can fall below zero; it is shown as 0.
- The 95 % interval is the modified large-sample one of the standard deviation, for normal effects. With few seeds it is
  wide; one that begins at 0 leaves open that there is nothing.
- **the same seeds again** is the noise floor: the first seeds in a fresh worker process. 0 says that nothing but the
  seeds makes two runs differ.
- In the figure a dot is a seed, or a combination of seeds: what it adds to the model's mean. An interval that ends in
  an arrow goes on. `-` is not known.""".splitlines()
