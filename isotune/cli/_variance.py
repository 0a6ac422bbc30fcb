"""`isotune variance`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from isotune import defaults, places
from isotune.cli._shared import (
    DEFAULT_MODELS,
    CheckpointOption,
    DatasetOption,
    JsonOption,
    ModelsOption,
    ProtocolOption,
    conventions_or_help,
    interface,
    split,
)


def variance(
    models: ModelsOption = DEFAULT_MODELS,
    dataset: DatasetOption = defaults.DATASET,
    protocol: ProtocolOption = "quick-fine-tune",
    conventions: Annotated[
        str,
        typer.Option(
            help="identical or native; overrides follow: native,input_scaling=caffe; help lists them.",
            callback=conventions_or_help,
        ),
    ] = "identical",
    checkpoint: CheckpointOption = defaults.CHECKPOINT,
    levels: Annotated[
        int | None,
        typer.Option(
            help="Seeds of each stream that is drawn. [default: 10 of one stream, 4 of two, 3 of three, 2 of more]"
        ),
    ] = None,
    streams: Annotated[
        str | None,
        typer.Option(
            help="Streams that get seeds of their own, with commas: head, order, augmentation, policy, erasing, mixing,"
            " dropout, depth. Order also draws what is held out. What a technique draws goes with augmentation, or"
            " order, where it is not named."
            " [default: all that are drawn]"
        ),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Runs of the first seeds again, each in a fresh process.")] = 2,
    planned: Annotated[
        bool,
        typer.Option("--plan", help="Only say which streams are drawn, how many runs that is, how long they take."),
    ] = False,
    store: Annotated[Path, typer.Option(help="Folder of records, one folder a repeat.")] = Path(".isotune/variance"),
    out: Annotated[Path, typer.Option(help="Folder for variance.md and its figure.")] = defaults.REPORT,
    as_json: JsonOption = False,
    jobs: Annotated[int, typer.Option(help="Workers at the same time.")] = 1,
) -> None:
    """Say which source of randomness the accuracy varies by: head, order, augmentation, and what techniques draw.

    Every seed of each stream runs with every seed of the others, and the first seeds run again. Starting
    again skips what is done. A failed run is said, and exit status 1.
    """
    if not planned:
        places.check_folder(out, "--out")
    study = interface().study_variance(
        split(models), dataset, protocol, conventions=conventions, checkpoint=checkpoint, levels=levels,
        streams=None if streams is None else split(streams), repeats=repeats, planned=planned, store=store, jobs=jobs,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(study.as_json(), indent=1))
    else:
        study.show()
    if planned:
        return
    given = {
        "models": models, "dataset": dataset, "protocol": protocol, "conventions": conventions,
        "checkpoint": checkpoint, "levels": study.study.design.levels, "repeats": repeats,
    }  # fmt: skip
    if streams is not None:
        given["streams"] = streams
    command = "isotune variance " + " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in given.items())
    typer.echo(study.write(out, command=command), err=as_json)
    if study.failed:
        raise typer.Exit(1)
