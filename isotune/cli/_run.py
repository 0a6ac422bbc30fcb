"""`isotune run`, `isotune status` and `isotune prepare`."""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from isotune import defaults
from isotune.cli._shared import (
    DEFAULT_MODELS,
    CheckpointOption,
    JsonOption,
    ModelsOption,
    PythonOption,
    SkipUnreadableOption,
    StoreOption,
    conventions_or_help,
    interface,
    pythons,
    split,
)
from isotune.errors import UsageError

_WATCHING = 2.0  # seconds between two looks


def run(
    context: typer.Context,
    sweep: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SWEEP.toml]", help="A file that says what is run, in the place of the options for it."
        ),
    ] = None,
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
    jobs: Annotated[
        int | None, typer.Option(help="Workers at the same time; above 1 timings are marked as shared.")
    ] = None,
    executor: Annotated[
        str,
        typer.Option(
            metavar="NAME[:PLACE][,OPTION=VALUE]",
            help="Where cells run: local, slurm, ray, ray:HOST:6379. [default: local]",
        ),
    ] = "",
    plan: Annotated[
        bool,
        typer.Option("--plan", help="Show what would run, what is done, and an estimate of the rest; run nothing."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --plan: machine-readable.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again what is already there.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run again what failed before.")] = False,
    only_failed: Annotated[
        bool, typer.Option("--only-failed", help="Run again what failed, and nothing else.")
    ] = False,
    stop_after: Annotated[
        str,
        typer.Option(
            help="Begin no cell after a time, and leave off fine-tunings that take longer, to go on from there later:"
            " 90s, 30m, 2h, 1h30m."
        ),
    ] = "",
    time_limit: Annotated[str, typer.Option(help="Give a cell up after a time; it has failed then.")] = "",
    expect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="accuracy=PERCENT,source=URL",
            help="A published number that the runs are held against; also at=, spread=, seeds=, images=, at-least,"
            " margin=, test=, model=: 'isotune verify --help' explains them. Repeatable.",
        ),
    ] = None,
    price: Annotated[
        bool,
        typer.Option(
            "--price",
            help="Also each default of a library's own by itself, identical otherwise: what each costs. 'isotune"
            " report' shows it.",
        ),
    ] = False,
    python: PythonOption = None,
    skip_unreadable: SkipUnreadableOption = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read again all that comes from the cache, large files too.")
    ] = False,
) -> None:
    """Run a matrix of cells, or a sweep file, and keep a record of each; starting again skips what is done.

    Every model goes through every data set, protocol, convention set and seed. A cell that fails is
    recorded with its error, and the others go on. The same command at the same time, on this machine or
    on another with the same store, shares the work.
    """
    asked: dict[str, Any] = {
        "store": store,
        "jobs": jobs,
        "executor": executor or None,
        "skip_unreadable": skip_unreadable,
    }
    if sweep is not None:
        _check_sweep(context, sweep)
        asked["models"] = sweep
    else:
        asked |= {
            "models": split(models), "datasets": split(datasets), "protocols": split(protocols), "seeds": seeds,
            "conventions": conventions or defaults.CONVENTIONS, "checkpoint": checkpoint,
            "numeric_mode": numeric_mode, "layout": layout, "compiled": compiled,
        }  # fmt: skip
    if plan:
        planned = interface().plan(**asked, retry_failed=retry_failed, expect=expect or (), price=price)
        typer.echo(json.dumps(planned.json()) if as_json else "\n".join(planned.lines()))
        return
    if as_json:
        raise UsageError("--json: goes with --plan; 'isotune status --json' tells of what was run")
    runs = interface().run(
        **asked, fresh=fresh, pythons=pythons(python or []), verify=verify, retry_failed=retry_failed,
        only_failed=only_failed, stop_after=stop_after or None, time_limit=time_limit or None, expect=expect or (),
        price=price,
    )  # fmt: skip
    store = runs.store
    if judged := runs.judged_lines():
        typer.echo("\n".join(judged))
    if lines := runs.preprocessing_lines():
        typer.echo("\n".join(lines))
    kept = [len(runs.kept & {record.cell.key for record in some}) for some in (runs.done, runs.failed)]
    before, failed_before = kept[0] + runs.unread["done before"], kept[1] + runs.unread["failed before"]
    count, failed = len(runs.done) + runs.unread["done"], len(runs.failed) + runs.unread["failed"]
    cells = f"{count} {'cell' if count == 1 else 'cells'}"
    done = f"{cells} done" + (f", {before} of them before" if before else "")
    source = "" if store == defaults.STORE else f" {shlex.quote(str(store))}"
    again = f" ({failed_before} of them before; --retry-failed runs them again)" if failed_before else ""
    left = f", {len(runs.left)} left" if runs.left else ""
    typer.echo(f"{done}, {failed} failed{again}{left}; records in {store}; next: isotune report{source}")
    if failed:
        raise typer.Exit(1)


_OF_A_SWEEP = (
    "models", "datasets", "protocols", "seeds", "conventions", "checkpoint", "numeric_mode", "layout", "compiled",
)  # fmt: skip


def _check_sweep(context: typer.Context, sweep: Path) -> None:
    """UsageError: it is no file of its kind, or an option says what it says."""
    if sweep.suffix != ".toml":
        raise UsageError(f"{sweep}: is no sweep file, NAME.toml; models are given with --models")
    for option in _OF_A_SWEEP:
        source = context.get_parameter_source(option)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(f"--{option.replace('_', '-')}: {sweep} says what is run; write it there")


def status(
    store: Annotated[Path, typer.Argument(help="Folder of records.")] = defaults.STORE,
    watch: Annotated[bool, typer.Option("--watch", help="Again every few seconds, until nothing is left.")] = False,
    as_json: JsonOption = False,
) -> None:
    """What is done in a store, what runs and where, what failed and why, what it cost, what is left."""
    tell = interface().status
    while True:
        told = tell(store)
        text = json.dumps(told.json()) if as_json else "\n".join(told.lines())
        if watch and sys.stdout.isatty() and not as_json:
            text = f"\x1b[H\x1b[2J{text}"  # from the top of an empty screen
        typer.echo(text)
        if not watch or not (told.left or told.alive):
            return
        time.sleep(_WATCHING)


def prepare(
    datasets: Annotated[str | None, typer.Option("--datasets", "--dataset", help="Comma-separated data sets.")] = None,
    models: Annotated[
        str | None, typer.Option("--models", "--model", help="Comma-separated models whose checkpoint is fetched.")
    ] = None,
    checkpoint: Annotated[str, typer.Option(help="The checkpoint to fetch.")] = defaults.CHECKPOINT,
    skip_unreadable: SkipUnreadableOption = False,
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
