"""`isotune models`, `protocols`, `datasets` and `doctor`: what there is."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Annotated, Any

import typer

from isotune.cli._shared import JsonOption, interface, split
from isotune.errors import UsageError


def models(
    pattern: Annotated[str, typer.Argument(help="Part of a model's or architecture's name.")] = "",
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", "--adapters", help="Comma-separated adapters. [default: all installed]"),
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="Only this architecture: what the libraries share.")] = None,
    measured: Annotated[
        Path | None,
        typer.Option(help="List what was measured instead: a report's folder, a folder of records, or a JSON of them."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            help="With --measured: accuracy, training, inference, latency, memory or parameters. [default: accuracy]"
        ),
    ] = None,
    under_ms: Annotated[
        float | None, typer.Option(help="With --measured: models that take less time for one image.")
    ] = None,
    under_mib: Annotated[
        float | None, typer.Option(help="With --measured: models whose process takes less memory.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable, every checkpoint.")] = False,
) -> None:
    """List what can be run: models, architectures, checkpoints and published ImageNet top-1; or, with --measured, what
    models reached and cost in a report, the best first."""
    adapters = None if adapter is None else split(adapter)
    chosen = {"sort": sort, "under_ms": under_ms, "under_mib": under_mib}
    given: dict[str, Any] = {option: value for option, value in chosen.items() if value is not None}
    if measured is not None:
        from isotune.cli import _measured

        _measured.show(
            interface().measured_models(measured, pattern, adapters=adapters, architecture=architecture, **given),
            as_json=as_json,
        )
        return
    if given:
        raise UsageError(f"--{next(iter(given)).replace('_', '-')} is of measured models; add --measured REPORT")
    from isotune.models.catalogue import show
    from isotune.models.listing import models as listed

    show(listed(pattern, adapters=adapters, architecture=architecture, progress=True), as_json=as_json)


def protocols(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="Show this one whole; a TOML file of yours too, if it is sound.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List the protocols that come with isotune: what each is, needs and computes. A TOML file of yours is another.

    Of a NAME the file is shown: its source, what it deviates in, the number to expect, the command and every setting.
    'isotune protocols NAME > mine.toml' begins one of your own.
    """
    if name:
        from isotune.protocols import parse, written

        text, where = written(name)
        protocol = parse(text, where)
        typer.echo(protocol.model_dump_json(indent=1) if as_json else text.rstrip())
        return
    listed = interface().list_protocols()
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in listed], indent=1))
        return
    _show(
        {
            each.name: [each.title, f"{each.size} px; {each.cost}", f"needs {each.needs}" * bool(each.needs)]
            for each in listed
        }
    )


def datasets(as_json: JsonOption = False) -> None:
    """List the data sets that can be named: what each is and needs, and which are prepared. Nothing is fetched."""
    listed = interface().list_datasets()
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in listed], indent=1))
        return
    lines = {}
    for each in listed:
        state = each.state
        if each.images:
            state += f": {each.images[0]:,} training and {each.images[1]:,} test images, {each.classes} classes, "
            state += f"{each.bytes / 2**20:,.1f} MiB"
        lines[each.name] = [each.about, "; ".join(filter(None, (f"needs {each.needs}" if each.needs else "", state)))]
    _show(lines)


def _show(entries: dict[str, list[str]]) -> None:
    """A name, and beside it lines about it."""
    width = max(map(len, entries))
    across = shutil.get_terminal_size().columns if sys.stdout.isatty() else 160
    for name, lines in entries.items():
        wrapped = [part for line in lines for part in textwrap.wrap(line, max(across - width - 2, 40))]
        for start, text in zip_longest([name], wrapped, fillvalue=""):
            typer.echo(f"{start:<{width}}  {text}")


def doctor(
    references: Annotated[
        bool, typer.Option("--references", help="Check the published numbers and their sources instead.")
    ] = False,
    noise: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds of watching what else the machine does; 0: leave that out.")
    ] = 10,
    as_json: JsonOption = False,
) -> None:
    """Say what is installed, which devices and caches there are, what is missing, and how noisy the machine is.

    With --references exit status 1 says that a published number, a source or the installed torchvision is at odds.
    """
    from isotune.cli import _examination as examination

    if references:
        facts = examination.examine_references()
        examination.show_references(facts, as_json=as_json)
        if facts["problems"]:
            raise typer.Exit(1)
        return
    examination.show(examination.examine(noise), as_json=as_json)
