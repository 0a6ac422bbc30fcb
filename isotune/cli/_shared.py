"""What several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isotune import names
from isotune.errors import UsageError

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of records, one folder a cell.")]
ModelsOption = Annotated[
    str, typer.Option(help="Comma-separated adapter[@engine]:name[:option=value]; 'isotune models' lists them.")
]
DatasetOption = Annotated[str, typer.Option(help="One data set; see 'isotune prepare'.")]
CheckpointOption = Annotated[
    str, typer.Option(help="offline, pretrained, a library's own name, file:PATH or random:SEED.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
DEFAULT_MODELS = ",".join(names.DEFAULT_MODELS)


def conventions_or_help(given: str | list[str] | None) -> str | list[str] | None:
    """What was given with --conventions; for `help`, every axis with its values, and the end."""
    if given in ("help", ["help"]):
        from isotune import conventions

        typer.echo(conventions.described())
        raise typer.Exit
    return given


def split(text: str) -> list[str]:
    """`"a,b"` -> a, b."""
    return [part.strip() for part in text.split(",") if part.strip()]


def pythons(pairs: list[str]) -> dict[str, str]:
    """Interpreters by adapter. UsageError: not ADAPTER=PATH, or no such file."""
    by_adapter = {}
    for pair in pairs:
        adapter, sign, path = pair.partition("=")
        if not sign or not Path(path).is_file():
            raise UsageError(f"--python {pair!r}: give ADAPTER=PATH with an interpreter that exists")
        by_adapter[adapter] = path
    return by_adapter
