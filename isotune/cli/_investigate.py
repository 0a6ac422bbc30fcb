"""`isotune investigate`, `isotune dump`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from isotune import defaults, places
from isotune.cli._shared import (
    CheckpointOption,
    DatasetOption,
    JsonOption,
    ProtocolOption,
    conventions_or_help,
    interface,
)


def investigate(
    left: Annotated[
        str,
        typer.Argument(help="The model to start from: torchvision:mobilenet_v2; or dump:FOLDER, recording:FOLDER."),
    ],
    right: Annotated[
        str,
        typer.Argument(
            help="The one to compare with: keras:MobileNetV2, keras@torch:MobileNetV2; with a recording another"
            " recording:FOLDER, or protocol:NAME, protocol:FILE.toml:STAGE; with a protocol:NAME another."
        ),
    ],
    dataset: DatasetOption = defaults.DATASET,
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            "--protocols",
            help="By name or TOML file: input, training step and what accuracy is measured by.",
        ),
    ] = defaults.PROTOCOL,
    checkpoint: Annotated[
        str, typer.Option(help="Of both: offline, pretrained, a library's own name, file:PATH or random:SEED.")
    ] = defaults.CHECKPOINT,
    right_checkpoint: Annotated[str, typer.Option(help="Of the right side. [default: --checkpoint]")] = "",
    conventions: Annotated[
        str,
        typer.Option(
            help="Of both: native or identical; overrides follow; help lists them.", callback=conventions_or_help
        ),
    ] = "native",
    right_conventions: Annotated[str, typer.Option(help="Of the right side. [default: --conventions]")] = "",
    numeric_mode: Annotated[str, typer.Option(help=f"Of both: {defaults.NUMERIC_MODES}.")] = "float64",
    right_numeric_mode: Annotated[str, typer.Option(help="Of the right side. [default: --numeric-mode]")] = "",
    layout: Annotated[
        str,
        typer.Option(help="Of both: contiguous or channels_last. [default: what each library's user gets]"),
    ] = "",
    right_layout: Annotated[str, typer.Option(help="Of the right side. [default: --layout]")] = "",
    left_compiled: Annotated[bool, typer.Option("--left-compiled", help="Compile the left side.")] = False,
    right_compiled: Annotated[bool, typer.Option("--right-compiled", help="Compile the right side.")] = False,
    left_python: Annotated[
        str, typer.Option(help="Another environment's interpreter for the left side; isotune need not be there.")
    ] = "",
    right_python: Annotated[
        str, typer.Option(help="Another environment's interpreter for the right side; isotune need not be there.")
    ] = "",
    images: Annotated[int, typer.Option(help="Images that the ladder is walked with.")] = 8,
    steps: Annotated[int, typer.Option(help="Steps of training on them.")] = 5,
    quick: Annotated[
        bool, typer.Option("--quick", help="Inference alone: leave out what only training shows.")
    ] = False,
    seeds: Annotated[
        str, typer.Option(help="Of the runs of --price: how many (3), which (0,4,7) or a range (5-9).")
    ] = "3",
    price: Annotated[
        bool, typer.Option("--price/--no-price", help="Also run the protocol: what each difference costs in accuracy.")
    ] = False,
    store: Annotated[Path, typer.Option(help="Folder of the records of --price.")] = defaults.STORE,
    out: Annotated[Path, typer.Option(help="Folder for NAME.md.")] = defaults.REPORT / "investigations",
    reproducer: Annotated[
        Path | None,
        typer.Option(
            help="A file to write, FILE.py: the least that still fails, as a script that needs the two libraries and"
            " NumPy, and was run."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="Of the report. [default: both models]")] = "",
    as_json: JsonOption = False,
    jobs: Annotated[int, typer.Option(help="Of --price: workers at the same time.")] = 1,
) -> None:
    """Say where two models part, rung by rung, by which convention, and what it costs; exit status 1 when they do.

    Pixels, scaled input, weights, every layer, logits, loss, gradients, BatchNorm buffers, one step and several are
    compared, each rung by itself too, given the left's values of all before it. Where one side cannot run, what the
    other shows is kept as a dump beside the report.

    Of two recordings of training loops (isotune.watch in Python), of one and a protocol, or of two protocols, nothing
    is run: their configurations, habits, forms and steps are compared, and a loop's images with those that the protocol
    draws of --dataset.
    """
    places.check_folder(out, "--out")
    result = interface().investigate(
        left, right, dataset=dataset, protocol=protocol, checkpoint=checkpoint, right_checkpoint=right_checkpoint,
        conventions=conventions, right_conventions=right_conventions, numeric_mode=numeric_mode,
        right_numeric_mode=right_numeric_mode, layout=layout, right_layout=right_layout, left_compiled=left_compiled,
        right_compiled=right_compiled, left_python=left_python, right_python=right_python, images=images, steps=steps,
        quick=quick, price=price, seeds=seeds, store=store, jobs=jobs, keep=out, reproducer=reproducer, name=name,
    )  # fmt: skip
    path = result.write(out, name)
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=1))
    else:
        result.show()
    typer.echo(path, err=as_json)
    if reproducer is not None:
        typer.echo(
            result.reproducer.said(reproducer) if result.reproducer else "nothing fails: no reproducer", err=True
        )
    if not result.same:
        raise typer.Exit(130 if result.interrupted else 1)


def dump(
    model: Annotated[str, typer.Argument(help="The model: torchvision:mobilenet_v2, keras@jax:MobileNetV2.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")],
    dataset: DatasetOption = defaults.DATASET,
    protocol: ProtocolOption = defaults.PROTOCOL,
    checkpoint: CheckpointOption = defaults.CHECKPOINT,
    conventions: Annotated[
        str,
        typer.Option(help="native or identical; overrides follow; help lists them.", callback=conventions_or_help),
    ] = "native",
    python: Annotated[str, typer.Option(help="Another environment's interpreter.")] = "",
    images: Annotated[int, typer.Option(help="Images.")] = 8,
    steps: Annotated[int, typer.Option(help="Steps of training on them.")] = 5,
) -> None:
    """Write down all that a model shows, to be compared elsewhere: isotune investigate dump:FOLDER MODEL.

    For two sides that cannot run on one machine. The folder holds the images, every layer, gradients and steps of
    training, in float64.
    """
    path = interface().dump(
        model, out, dataset=dataset, protocol=protocol, checkpoint=checkpoint, conventions=conventions, python=python,
        images=images, steps=steps,
    )  # fmt: skip
    typer.echo(path)
