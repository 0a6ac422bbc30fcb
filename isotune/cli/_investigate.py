"""`isotune investigate`, `isotune dump`."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from isotune.cli._shared import DEFAULT_STORE, CheckpointOption, DatasetOption, JsonOption, check_mode, prepared
from isotune.errors import UsageError


def investigate(
    left: Annotated[str, typer.Argument(help="The model to start from: torchvision:mobilenet_v2; or dump:FOLDER.")],
    right: Annotated[str, typer.Argument(help="The one to compare with: keras:MobileNetV2, keras@torch:MobileNetV2.")],
    dataset: DatasetOption = "digits",
    protocol: Annotated[
        str, typer.Option(help="By name or TOML file: input, training step and what accuracy is measured by.")
    ] = "quick",
    checkpoint: Annotated[
        str, typer.Option(help="Of both: offline, pretrained, a library's own name, file:PATH or random:SEED.")
    ] = "offline",
    right_checkpoint: Annotated[str, typer.Option(help="Of the right side. [default: --checkpoint]")] = "",
    conventions: Annotated[str, typer.Option(help="Of both: native or identical; overrides follow.")] = "native",
    right_conventions: Annotated[str, typer.Option(help="Of the right side. [default: --conventions]")] = "",
    numeric_mode: Annotated[str, typer.Option(help="Of both: float64, float32 or bfloat16.")] = "float64",
    right_numeric_mode: Annotated[str, typer.Option(help="Of the right side. [default: --numeric-mode]")] = "",
    left_compiled: Annotated[bool, typer.Option("--left-compiled", help="Compile the left side.")] = False,
    right_compiled: Annotated[bool, typer.Option("--right-compiled", help="Compile the right side.")] = False,
    left_python: Annotated[
        str, typer.Option(help="Another environment's interpreter for the left side; isotune need not be there.")
    ] = "",
    right_python: Annotated[
        str, typer.Option(help="Another environment's interpreter for the right side; isotune need not be there.")
    ] = "",
    images: Annotated[int, typer.Option(min=2, help="Images that the ladder is walked with.")] = 8,
    steps: Annotated[int, typer.Option(min=2, help="Steps of training on them.")] = 5,
    seeds: Annotated[str, typer.Option(help="Of the price: how many (3), which (0,4,7) or a range (5-9).")] = "3",
    price: Annotated[
        bool, typer.Option("--price/--no-price", help="Also run the protocol: what each difference costs in accuracy.")
    ] = False,
    store: Annotated[Path, typer.Option(help="Folder of the price's records.")] = DEFAULT_STORE,
    out: Annotated[Path, typer.Option(help="Folder for NAME.md.")] = Path("reports/investigations"),
    name: Annotated[str, typer.Option(help="Of the report. [default: both models]")] = "",
    as_json: JsonOption = False,
    jobs: Annotated[int, typer.Option(min=1, help="Of the price: workers at the same time.")] = 1,
) -> None:
    """Say where two models part, rung by rung, by which convention, and what it costs; exit status 1 when they do.

    Pixels, scaled input, weights, every layer, logits, loss, gradients, BatchNorm buffers, one step and several are
    compared, each rung by itself too, given the left's values of all before it. Where one side cannot run, what the
    other shows is kept as a dump beside the report.
    """
    from isotune import attribution as attributions
    from isotune import investigation as investigations
    from isotune import protocols
    from isotune.investigation import Rung
    from isotune.models import checkpoints
    from isotune.progress import reporting
    from isotune.runs import planning

    left, right = investigations.ordered((left, right))
    dumped = investigations.Dumped(Path(left.partition(":")[2])) if investigations.is_dump(left) else None
    modes = [check_mode(mode) for mode in (numeric_mode, right_numeric_mode or numeric_mode)]
    for each in (checkpoint, right_checkpoint or checkpoint):
        checkpoints.check_name(each)
    first = (
        dumped.held.side if dumped
        else investigations.side(left, checkpoint, conventions, modes[0], left_compiled, left_python)
    )  # fmt: skip
    if dumped and price:
        raise UsageError("a dump has no accuracy; leave --price out")
    if price and (right_checkpoint not in ("", checkpoint) or left_python or right_python):
        raise UsageError("--price is of two set-ups with one checkpoint in this environment; leave it out")
    dataset = dumped.held.dataset if dumped else dataset
    sides = (
        first,
        investigations.side(
            right, right_checkpoint or checkpoint, right_conventions or conventions, modes[1], right_compiled,
            right_python,
        ),
    )  # fmt: skip
    recipe = dumped.held.protocol if dumped else protocols.load(protocol)
    wanted = planning.parse_seeds(seeds)
    priced, name = None, name or investigations.default_name(*sides)
    with reporting(True) as reporter:
        (found_set,) = prepared([dataset], False, reporter).values()
        if dumped and found_set.digest != dumped.held.dataset_digest:
            raise UsageError(f"{left} was made with other images: its {dataset} has another digest than the one here")

        def told(rung: Rung) -> None:
            reporter.note(f"{rung.name}: {rung.verdict}")

        found = investigations.investigate(
            dumped or sides[0], sides[1], found_set, recipe, images=images, steps=steps,
            progress=reporter, found=told,
            keep=out / name,
        )  # fmt: skip
        if price and found.stopped is None:
            runs = partial(
                attributions.price, sides[0].model, sides[1].model, checkpoint=checkpoint, dataset=dataset,
                protocol=protocol, left_spec=sides[0].conventions, right_spec=sides[1].conventions, seeds=wanted,
                store=store, jobs=jobs, progress=reporter,
            )  # fmt: skip
            found, priced = investigations.with_price(found, runs)
    command = "isotune " + " ".join(map(shlex.quote, sys.argv[1:]))
    path = investigations.write(found, priced, out, name, command)
    if as_json:
        import json

        typer.echo(json.dumps(investigations.as_json(found, priced), indent=1))
    else:
        investigations.show(found, priced)
    typer.echo(path, err=as_json)
    if found.stopped == investigations.INTERRUPTED:
        raise typer.Exit(130)
    if found.stopped or found.first_failure is not None:
        raise typer.Exit(1)


def dump(
    model: Annotated[str, typer.Argument(help="The model: torchvision:mobilenet_v2, keras@jax:MobileNetV2.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")],
    dataset: DatasetOption = "digits",
    protocol: Annotated[str, typer.Option(help="By name or TOML file: input and training step.")] = "quick",
    checkpoint: CheckpointOption = "offline",
    conventions: Annotated[str, typer.Option(help="native or identical; overrides follow.")] = "native",
    python: Annotated[str, typer.Option(help="Another environment's interpreter.")] = "",
    images: Annotated[int, typer.Option(min=2, help="Images.")] = 8,
    steps: Annotated[int, typer.Option(min=2, help="Steps of training on them.")] = 5,
) -> None:
    """Write down all that a model shows, to be compared elsewhere: isotune investigate dump:FOLDER MODEL.

    For two sides that cannot run on one machine. The folder holds the images, every layer, gradients and steps of
    training, in float64.
    """
    from isotune import investigation as investigations
    from isotune import protocols
    from isotune.models import checkpoints
    from isotune.progress import reporting

    checkpoints.check_name(checkpoint)
    side = investigations.side(model, checkpoint, conventions, "float64", False, python)
    recipe = protocols.load(protocol)
    with reporting(True) as reporter:
        (found,) = prepared([dataset], False, reporter).values()
        given = investigations.inputs(recipe, found, steps, 0)
        typer.echo(investigations.dump(side, given, found, recipe, images, out))
