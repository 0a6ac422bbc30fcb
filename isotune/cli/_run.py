"""`isotune run` and `isotune prepare`."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from isotune import defaults
from isotune.cli._shared import (
    DEFAULT_MODELS,
    CheckpointOption,
    ModelsOption,
    StoreOption,
    conventions_or_help,
    interface,
    pythons,
    split,
)


def run(
    models: ModelsOption = DEFAULT_MODELS,
    datasets: Annotated[
        str,
        typer.Option(
            "--datasets",
            "--dataset",
            help="Comma-separated names, or imagefolder:PATH; 'isotune datasets' lists them.",
        ),
    ] = defaults.DATASET,
    protocols: Annotated[
        str,
        typer.Option(
            "--protocols", "--protocol", help="Comma-separated names or TOML files; 'isotune protocols' lists them."
        ),
    ] = defaults.PROTOCOL,
    seeds: Annotated[str, typer.Option(help="How many (3), which (0,4,7) or a range (5-9).")] = str(defaults.SEEDS),
    conventions: Annotated[
        list[str] | None,
        typer.Option(
            help="identical, native; overrides follow: native,input_scaling=caffe; help lists them. Repeatable."
            " [default: both]",
            callback=conventions_or_help,
        ),
    ] = None,
    checkpoint: CheckpointOption = defaults.CHECKPOINT,
    numeric_mode: Annotated[str, typer.Option(help=f"{defaults.NUMERIC_MODES}.")] = "float32",
    layout: Annotated[
        str,
        typer.Option(
            help="Of tensors in memory, contiguous or channels_last: rows of their own."
            " [default: what each library's user gets]"
        ),
    ] = "",
    compiled: Annotated[bool, typer.Option("--compiled", help="By the library's compiler: rows of their own.")] = False,
    store: StoreOption = defaults.STORE,
    jobs: Annotated[int, typer.Option(help="Workers at the same time; above 1 timings are marked as shared.")] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again what is already there.")] = False,
    python: Annotated[
        list[str] | None,
        typer.Option(help="ADAPTER=PATH: another environment's interpreter for an adapter. Repeatable."),
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read again all that comes from the cache, large files too.")
    ] = False,
) -> None:
    """Run a matrix of cells and keep a record of each; starting again skips what is done.

    Every model goes through every data set, protocol, convention set and seed. A cell that fails is
    recorded with its error, and the others go on.
    """
    runs = interface().run(
        split(models), split(datasets), split(protocols), seeds, conventions or defaults.CONVENTIONS,
        checkpoint=checkpoint, numeric_mode=numeric_mode, layout=layout, compiled=compiled, store=store, jobs=jobs,
        fresh=fresh, pythons=pythons(python or []), skip_unreadable=skip_unreadable,
        verify=verify,
    )  # fmt: skip
    if lines := runs.preprocessing_lines():
        typer.echo("\n".join(lines))
    failed, before = len(runs.failed), len(runs.kept)
    cells = f"{len(runs.done)} {'cell' if len(runs.done) == 1 else 'cells'}"
    done = f"{cells} done" + (f", {before} of them before" if before else "")
    source = "" if store == defaults.STORE else f" {shlex.quote(str(store))}"
    typer.echo(f"{done}, {failed} failed; records in {store}; next: isotune report{source}")
    if failed:
        raise typer.Exit(1)


def prepare(
    datasets: Annotated[str | None, typer.Option("--datasets", "--dataset", help="Comma-separated data sets.")] = None,
    models: Annotated[
        str | None, typer.Option("--models", "--model", help="Comma-separated models whose checkpoint is fetched.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="The checkpoint to fetch.")] = defaults.CHECKPOINT,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")
    ] = False,
    size: Annotated[int, typer.Option(help="Input size to build the model for, pixels.")] = 224,
) -> None:
    """Fetch data sets and checkpoints ahead; afterwards everything works offline."""
    ready = interface().prepare(
        split(datasets or ""), split(models or ""), checkpoint=checkpoint, size=size, skip_unreadable=skip_unreadable
    )
    for name, dataset in ready.datasets.items():
        counts = f"{len(dataset.train)} training and {len(dataset.test)} test images, {len(dataset.classes)} classes"
        note = f"; {dataset.note}" if dataset.note else ""
        typer.echo(f"{name}: {counts}, digest {dataset.digest[:16]}{note}")
    for model, known in ready.checkpoints.items():
        typer.echo(f"{model}: checkpoint {checkpoint}, {known['architecture']}, digest {known['digest'][:16]}")
