"""`isotune models` and `isotune doctor`: what there is."""

from __future__ import annotations

from typing import Annotated

import typer

from isotune.cli._shared import JsonOption, split


def models(
    pattern: Annotated[str, typer.Argument(help="Part of a model's or architecture's name.")] = "",
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", "--adapters", help="Comma-separated adapters. [default: all installed]"),
    ] = None,
    architecture: Annotated[str | None, typer.Option(help="Only this architecture: what the libraries share.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable, every checkpoint.")] = False,
) -> None:
    """List what can be run: models, architectures, checkpoints and published ImageNet top-1."""
    from isotune.models.catalogue import show
    from isotune.models.listing import models as listed

    show(
        listed(pattern, adapters=None if adapter is None else split(adapter), architecture=architecture),
        as_json=as_json,
    )


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
