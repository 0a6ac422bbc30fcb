"""`isotune cache`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from isotune import defaults
from isotune.cli._shared import JsonOption, StoreOption, interface, split
from isotune.errors import UsageError


def cache(
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Remove: what killed processes left, and what --older-than and --keep say; of --only alone, all.",
        ),
    ] = False,
    older_than: Annotated[str, typer.Option(help="Remove what was last used longer ago: 12h, 30d.")] = "",
    keep: Annotated[str, typer.Option(help="Then remove the longest unused until so much is left: 10GB, 500MB.")] = "",
    only: Annotated[
        str, typer.Option(help="Comma-separated kinds, as listed. [default: all but drafts and what was fetched]")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Remove nothing, and tell what would go.")] = False,
    store: StoreOption = defaults.STORE,
    as_json: JsonOption = False,
) -> None:
    """What is in the caches, how large it is, and when it was last used; with --prune, what of it goes.

    Everything in isotune's own cache is made again when it is needed. What a running process uses stays, and
    what was fetched over a network, the libraries' own caches too, goes only where it is named; so do a store's drafts
    of fine-tunings that are not done.
    """
    if not prune:
        for given, option in ((older_than, "--older-than"), (keep, "--keep"), (only, "--only"), (dry_run, "--dry-run")):
            if given:
                raise UsageError(f"{option}: goes with --prune")
        there = interface().list_cache(store=store)
        typer.echo(json.dumps(there.json()) if as_json else "\n".join(there.lines()))
        return
    pruned = interface().prune_cache(
        older_than=older_than or None, keep=keep or None, only=split(only) or None, dry_run=dry_run, store=store
    )
    typer.echo(json.dumps(pruned.json()) if as_json else "\n".join(pruned.lines()))
