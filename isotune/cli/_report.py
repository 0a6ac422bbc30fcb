"""`isotune report` and `isotune export`: what was run, for readers and for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isotune import defaults
from isotune.cli._shared import interface
from isotune.errors import UsageError, listed, nearest

_FORMATS = ("markdown", "model-index")


def report(
    source: Annotated[
        Path, typer.Argument(help="A folder of records, or the JSON of 'pytest benchmarks/'.")
    ] = defaults.STORE,
    out: Annotated[
        Path, typer.Option(help="Folder for the leaderboard, as .md, .html and .json, and its figures.")
    ] = defaults.REPORT,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="markdown: the leaderboard; model-index: evaluation results for model cards on the Hugging Face Hub, "
            "printed as YAML.",
        ),
    ] = "markdown",
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a record and end.")] = False,
    command: Annotated[
        str | None, typer.Option(help="The command that made the figures, for the evidence part.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Also replace a leaderboard that shows runs which these records lack.")
    ] = False,
) -> None:
    """Turn records into a leaderboard with figures, and name the file written; or into evaluation results."""
    if schema:
        import json

        from isotune.runs.records import schema as record_schema

        typer.echo(json.dumps(record_schema(), indent=1))
        return
    if form not in _FORMATS:
        raise UsageError(f"format {form!r}: {nearest(form, _FORMATS)}")
    board = interface().load_runs(source).leaderboard(command=command)
    if form == "model-index":
        typer.echo(board.model_index(), nl=False)
    elif not replace and (lost := board.lost(out)):
        raise UsageError(
            f"the leaderboard in {out} shows what these records do not have:"
            f" {listed(lost, most=2, between='; ', longest=150)}; name another folder with --out, or --replace it"
        )
    else:
        typer.echo(board.write(out))


def export(
    source: Annotated[
        Path, typer.Argument(help="A folder of records, or the JSON of 'pytest benchmarks/'.")
    ] = defaults.STORE,
    to: Annotated[
        str,
        typer.Option(
            help="csv, parquet: tables; tensorboard: event files; mlflow: a tracking database; eval-results:"
            " .eval_results/*.yaml of model repositories on the Hugging Face Hub.",
        ),
    ] = "csv",
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path("isotune-export"),
    benchmark: Annotated[
        list[str] | None,
        typer.Option(help="DATASET=OWNER/NAME:TASK: of eval-results, the benchmark that a data set is. Repeatable."),
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Also replace files of the same names.")] = False,
) -> None:
    """Write records in another tool's format, and name the files written."""
    for file in interface().load_runs(source).export(to, out, benchmarks=benchmark or [], replace=replace):
        typer.echo(file)
