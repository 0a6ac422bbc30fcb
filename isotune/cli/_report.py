"""`isotune report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from isotune.cli._shared import DEFAULT_STORE
from isotune.errors import UsageError, nearest

_FORMATS = ("markdown", "model-index")


def report(
    source: Annotated[
        Path, typer.Argument(help="A folder of records, or the JSON of 'pytest benchmarks/'.")
    ] = DEFAULT_STORE,
    out: Annotated[
        Path, typer.Option(help="Folder for the leaderboard, as .md, .html and .json, and its figures.")
    ] = Path("reports"),
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
) -> None:
    """Turn records into a leaderboard with figures, and name the file written; or into evaluation results."""
    if schema:
        import json

        from isotune.runs.records import schema as record_schema

        typer.echo(json.dumps(record_schema(), indent=1))
        return
    if form not in _FORMATS:
        raise UsageError(f"format {form!r}: {nearest(form, _FORMATS)}")
    from isotune import report as reports
    from isotune.runs.records import Store

    store = Store(source if source.is_dir() else DEFAULT_STORE)
    if source.is_dir():
        records, speeds = store.all(), list[Any]()
    elif source.is_file():
        records, speeds = reports.read_benchmark(source)
    else:
        raise UsageError(
            f"there is no {source}; give a folder of records ('isotune run' makes {DEFAULT_STORE}) or a JSON"
        )
    if not records and not speeds:
        raise UsageError(f"{source} holds no records; 'isotune run' makes some")
    if form == "model-index":
        typer.echo(reports.model_index(records), nl=False)
        return
    typer.echo(reports.write(records, out, speeds=speeds, command=command, predictions=store.predictions))
