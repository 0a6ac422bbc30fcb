"""`isotune compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from isotune import defaults
from isotune.cli._shared import JsonOption, StoreOption, interface
from isotune.errors import UsageError, nearest

_FAILING = {"any": ("accuracy", "speed"), "accuracy": ("accuracy",), "speed": ("speed",), "nothing": ()}

EPILOG = """\b
Exit status: 0 nothing fell, 1 an accuracy or a speed fell, or a cell that was
done before fails now (--fail-on says which counts), 2 wrong use."""


def compare(
    before: Annotated[
        Path,
        typer.Argument(
            metavar="BEFORE",
            help="A folder of records, the JSON of 'pytest benchmarks/', or a report's leaderboard.json.",
        ),
    ],
    after: Annotated[Path, typer.Argument(metavar="AFTER", help="Another of them.")],
    fail_on: Annotated[
        str, typer.Option("--fail-on", help="What ends with status 1 where it fell: any, accuracy, speed or nothing.")
    ] = "any",
    margin: Annotated[
        float, typer.Option(min=0, max=99, help="Percent that a speed may fall by, beside its noise.")
    ] = 10.0,
    markdown: Annotated[
        Path | None,
        typer.Option(help="A new file for a pull request's comment; - prints it in the place of the tables."),
    ] = None,
    store: StoreOption = defaults.STORE,
    as_json: JsonOption = False,
) -> None:
    """Say what changed between two sets of runs: after an upgrade, a patch, on another machine. Nothing is run."""
    if fail_on not in _FAILING:
        raise UsageError(f"--fail-on {fail_on!r}: {nearest(fail_on, _FAILING)}")
    printed = markdown == Path("-")
    if printed and as_json:
        raise UsageError("--markdown - and --json: both print; name a file with --markdown, or leave one of them out")
    if markdown is not None and not printed:
        _check_new(markdown)
    changed = interface().compare(before, after, margin=margin, store=store)
    if markdown is not None and not printed:
        _write(markdown, changed.markdown())
    if as_json:
        typer.echo(json.dumps(changed.json))
    elif printed:
        typer.echo(changed.markdown(), nl=False)
    else:
        from isotune.changes import show

        show(changed)
    if (kinds := _FAILING[fail_on]) and changed.fell(*kinds):
        raise typer.Exit(1)


def _check_new(file: Path) -> None:
    from isotune import places

    places.check_file(file, "--markdown")
    if file.exists():
        raise UsageError(f"--markdown: {file} is there; name a new file, or print it with --markdown -")


def _write(file: Path, text: str) -> None:
    from isotune import cache, places

    places.make_folder_of(file)
    try:
        with cache.draft_file(file) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--markdown: {file} cannot be written ({error.strerror}); name another file") from None
