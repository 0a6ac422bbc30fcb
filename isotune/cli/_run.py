"""`isotune run` and `isotune prepare`."""

from __future__ import annotations

from typing import Annotated

import typer

from isotune.cli._shared import (
    DEFAULT_MODELS,
    DEFAULT_STORE,
    CheckpointOption,
    ModelsOption,
    StoreOption,
    check_mode,
    prepared,
    pythons,
    split,
)
from isotune.errors import UsageError


def run(
    models: ModelsOption = DEFAULT_MODELS,
    datasets: Annotated[
        str, typer.Option(help="Comma-separated names, or imagefolder:PATH; see 'isotune prepare'.")
    ] = "digits",
    protocols: Annotated[str, typer.Option(help="Comma-separated names or TOML files.")] = "quick",
    seeds: Annotated[str, typer.Option(help="How many (3), which (0,4,7) or a range (5-9).")] = "3",
    conventions: Annotated[
        list[str] | None,
        typer.Option(
            help="identical, native; overrides follow: native,input_scaling=caffe. Repeatable. [default: both]"
        ),
    ] = None,
    checkpoint: CheckpointOption = "offline",
    numeric_mode: Annotated[str, typer.Option(help="float32, bfloat16 or float64.")] = "float32",
    compiled: Annotated[
        bool, typer.Option("--compiled", help="torch.compile, or XLA in Keras: rows of their own.")
    ] = False,
    store: StoreOption = DEFAULT_STORE,
    jobs: Annotated[
        int, typer.Option(min=1, help="Workers at the same time; above 1 timings are marked as shared.")
    ] = 1,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again what is already there.")] = False,
    python: Annotated[
        list[str] | None,
        typer.Option(help="ADAPTER=PATH: another environment's interpreter for an adapter. Repeatable."),
    ] = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")
    ] = False,
) -> None:
    """Run a matrix of cells and keep a record of each; starting again skips what is done.

    Every model goes through every data set, protocol, convention set and seed. A cell that fails is
    recorded with its error, and the others go on.
    """
    from isotune.progress import reporting
    from isotune.runs.executor import LocalExecutor
    from isotune.runs.planning import Matrix, parse_seeds, plan
    from isotune.runs.records import Store
    from isotune.workers.process import Workers

    matrix = Matrix(
        split(models), split(datasets), split(protocols), conventions or ["identical", "native"], parse_seeds(seeds),
        checkpoint, check_mode(numeric_mode), compiled,
    )  # fmt: skip
    interpreters = pythons(python or [])
    with reporting(True) as reporter:
        sets = prepared(split(datasets), skip_unreadable, reporter)
        with Workers(pythons=interpreters) as workers:
            cells = plan(matrix, sets, workers)
            reporter.parts("cells", len(cells))
            executor = LocalExecutor(
                Store(store), jobs=jobs, fresh=fresh, pythons=interpreters, workers=workers if jobs == 1 else None,
                progress=reporter,
            )  # fmt: skip
            records = []
            for record in executor.run(cells):
                records.append(record)
                reporter.ended(record.line)
    if any(cell.protocol.own_classifier for cell in cells):
        from isotune.runs.preprocessing_costs import costs, lines

        typer.echo("\n".join(lines(costs(records, Store(store)))))
    failed = sum(record.status == "failed" for record in records)
    typer.echo(f"{len(records) - failed} cells done, {failed} failed; records in {store}; next: isotune report {store}")
    if failed:
        raise typer.Exit(1)


def prepare(
    datasets: Annotated[str, typer.Option(help="Comma-separated data sets.")] = "",
    models: Annotated[str, typer.Option(help="Comma-separated models whose checkpoint is fetched.")] = "",
    checkpoint: Annotated[str, typer.Option(help="The checkpoint to fetch.")] = "offline",
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")
    ] = False,
    size: Annotated[int, typer.Option(min=32, help="Input size to build the model for, pixels.")] = 224,
) -> None:
    """Fetch data sets and checkpoints ahead; afterwards everything works offline."""
    from isotune import data
    from isotune.progress import reporting
    from isotune.runs.planning import check_models
    from isotune.workers.process import Workers

    if not datasets and not models:
        raise UsageError(f"nothing to prepare: give --datasets ({', '.join(data.names())}) or --models")
    with reporting(True) as reporter:
        for name, dataset in prepared(split(datasets), skip_unreadable, reporter).items():
            counts = (
                f"{len(dataset.train)} training and {len(dataset.test)} test images, {len(dataset.classes)} classes"
            )
            typer.echo(
                f"{name}: {counts}, digest {dataset.digest[:16]}" + (f"; {dataset.note}" if dataset.note else "")
            )
    with Workers() as workers:
        for model, got in check_models(split(models), checkpoint, size, workers).items():
            typer.echo(f"{model}: checkpoint {checkpoint}, {got['architecture']}, digest {got['digest'][:16]}")
