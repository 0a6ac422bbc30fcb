"""What several commands share."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from isotune import names
from isotune.errors import UsageError

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of records, one folder a cell.")]
ModelsOption = Annotated[
    str,
    typer.Option(
        "--models",
        "--model",
        help="Comma-separated adapter[@engine]:name[:option=value], or a quoted pattern such as 'timm:mobilenetv3*';"
        " 'isotune models' lists them.",
    ),
]
DatasetOption = Annotated[
    str, typer.Option("--dataset", "--datasets", help="One data set; 'isotune datasets' lists them.")
]
ProtocolOption = Annotated[
    str,
    typer.Option(
        "--protocol", "--protocols", help="One protocol, by name or TOML file; 'isotune protocols' lists them."
    ),
]
CheckpointOption = Annotated[
    str, typer.Option(help="offline, pretrained, a library's own name, file:PATH or random:SEED.")
]
PythonOption = Annotated[
    list[str] | None,
    typer.Option(help="ADAPTER=PATH: another environment's interpreter for an adapter. Repeatable."),
]
SkipUnreadableOption = Annotated[bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
DEFAULT_MODELS = ",".join(names.DEFAULT_MODELS)


class Command(TyperCommand):
    """A command whose options are given something. An empty value is most often a variable of the shell that is not
    set, and an empty selection would select everything, or nothing."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        for before, argument in zip(["", *args], args, strict=False):
            option, sign, value = argument.partition("=") if argument.startswith("--") else (before, "=", argument)
            if sign and not value.strip(" ,\t\r\n"):
                where = option if option.startswith("-") else "an argument"
                raise UsageError(f"{where}: is empty; give at least one value, or leave it out")
        return super().parse_args(ctx, args)


def conventions_or_help(given: str | list[str] | None) -> str | list[str] | None:
    """What was given with --conventions; for `help`, every axis with its values, and the end."""
    if given in ("help", ["help"]):
        from isotune import conventions

        typer.echo(conventions.described())
        raise typer.Exit
    return given


def interface() -> ModuleType:
    """The Python interface. Importing it takes about a second, more on a busy machine; a terminal says so meanwhile."""
    shown = sys.stderr.isatty()
    if shown:
        print("isotune is starting ...", end="", file=sys.stderr, flush=True)
    from isotune import interface

    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return interface


def split(text: str) -> list[str]:
    """`"a,b"` -> a, b."""
    return [part.strip() for part in text.split(",") if part.strip()]


def pythons(pairs: list[str]) -> dict[str, str]:
    """Interpreters by adapter. UsageError: not ADAPTER=PATH, or one adapter twice."""
    by_adapter: dict[str, str] = {}
    for pair in pairs:
        adapter, sign, path = pair.partition("=")
        if not sign or not path:
            raise UsageError(f"--python {pair!r}: give ADAPTER=PATH with an interpreter that exists")
        if adapter in by_adapter:
            raise UsageError(f"--python {pair!r}: {adapter} has an interpreter already, {by_adapter[adapter]}")
        by_adapter[adapter] = path
    return by_adapter
