"""`isotune transfer` and `isotune parity`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from isotune import defaults, places
from isotune.cli._shared import JsonOption, conventions_or_help, interface, split
from isotune.errors import UsageError


def transfer(
    source: Annotated[str, typer.Argument(help="The model whose checkpoint it is: keras:MobileNetV2.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file to write; its suffix says the format.")],
    target: Annotated[
        str | None, typer.Argument(help="The model to write it for; left out: the canonical form, .safetensors.")
    ] = None,
    checkpoint: Annotated[
        str, typer.Option(help="pretrained, a library's own name, file:PATH, offline or random:SEED.")
    ] = "pretrained",
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH, pixels: of networks whose tensors depend on it.")] = "224",
    classifier: Annotated[bool, typer.Option(help="Keep the classifier.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Carry a checkpoint from one library to another, for use elsewhere.

    torch's libraries get a state dict (.safetensors, .pt, .pth), Keras .weights.h5. The conventions that the weights
    were trained with go along in each, so that --checkpoint file:FILE knows them; the library itself does not.
    """
    from isotune.conventions import written_value

    places.check_file(out, "--out")
    done = interface().transfer(source, target, out, checkpoint=checkpoint, size=size, classifier=classifier)
    if as_json:
        typer.echo(json.dumps(done.as_json(), indent=1))
        return
    typer.echo(f"{out}: {done.architecture}, {done.tensors} tensors of {source} {checkpoint}")
    for axis, (trained, built) in done.differing.items():
        with_ = "more than one value" if built is None else written_value(built)
        if trained is None:
            typer.echo(f"  {axis} is not one value in {source}, and cannot go along; {target} is built with {with_}")
        else:
            typer.echo(f"  trained with {axis} = {written_value(trained)}; {target} is built with {with_}")
    if done.differing and done.as_trained:
        typer.echo(f"  isotune runs it as trained: --models {target} --checkpoint file:{out}")


def parity(
    models: Annotated[
        list[str] | None, typer.Argument(help="Two models of one architecture: keras:MobileNetV2 timm:mobilenetv2_100.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every model that has counterparts, the smallest first; resumable.")
    ] = False,
    architecture: Annotated[
        str | None,
        typer.Option("--architecture", "--architectures", help="With --all: only these, comma-separated."),
    ] = None,
    libraries: Annotated[
        str | None,
        typer.Option(
            help="Comma-separated, with --all, --list: the first's models against those of the others."
            " [default: every library that names where its counterparts are]"
        ),
    ] = None,
    kept: Annotated[bool, typer.Option("--kept", help="With --all: prove nothing, report what the store has.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Name the pairs that exist, and end.")] = False,
    checkpoint: Annotated[
        str, typer.Option(help="The first model's: random:SEED, offline, pretrained, file:PATH.")
    ] = "random:0",
    conventions: Annotated[
        str,
        typer.Option(
            help="Of both: the checkpoint's (identical), the first model's (native); overrides follow; help lists all.",
            callback=conventions_or_help,
        ),
    ] = "identical",
    size: Annotated[
        str, typer.Option(help="HEIGHTxWIDTH of the images, pixels. [default: 45x51, or what is just large enough]")
    ] = "",
    batch: Annotated[int | None, typer.Option(help="Images in a batch. [default: 5, or 2 of VGG]")] = None,
    seed: Annotated[int, typer.Option(help="Of images, labels and the classifier.")] = 0,
    numeric_mode: Annotated[
        str, typer.Option(help="float64 proves; of float32 a float64 run of the first model judges the forward pass.")
    ] = "float64",
    out: Annotated[
        Path | None, typer.Option(help=f"Folder for parity.md and parity.json. [default: {defaults.REPORT} with --all]")
    ] = None,
    as_json: JsonOption = False,
    store: Annotated[Path, typer.Option(help="Folder of results, a file a pair.")] = Path(".isotune/parity"),
    jobs: Annotated[int, typer.Option(help="Architectures at the same time, each of one to two cores.")] = 2,
    until_failure: Annotated[
        bool, typer.Option("--until-failure", help="Leave a pair at its first stage that does not hold.")
    ] = False,
    only: Annotated[
        str | None, typer.Option(help="Only these stages: inference, gradients, sgd, nesterov, adam, adamw, rmsprop.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Prove again what is already proved.")] = False,
) -> None:
    """Prove that two models are one function and train as one, rung by rung; exit status 1 when they are not.

    Features, every layer, loss, gradients, one step and ten steps of five optimizers, BatchNorm buffers, optimizer
    slots and logits are compared in float64, from one checkpoint under one set of conventions.
    """
    if listing:
        if models or everything or architecture:
            raise UsageError("--list names all pairs; leave the rest but --libraries out")
        _list(libraries)
        return
    for option, given in (("--architecture", architecture), ("--libraries", libraries), ("--kept", kept)):
        if given and not everything:
            raise UsageError(f"{option} is of --all; two models say for themselves what they are")
    if everything == bool(models) or (models and len(models) != 2):
        raise UsageError("give two models, or --all; --list names the pairs that exist")
    asked: dict[str, Any] = {
        "checkpoint": checkpoint, "conventions": conventions, "size": size or None, "batch": batch, "seed": seed,
        "numeric_mode": numeric_mode, "only": only, "until_failure": until_failure, "store": store, "fresh": fresh,
    }  # fmt: skip
    folder = out or (defaults.REPORT if everything else None)
    if folder:
        places.check_folder(folder, "--out")
    proved = (
        interface().prove(*models, **asked)
        if models
        else interface().prove_all(architecture, **asked, libraries=libraries, kept=kept, jobs=jobs)
    )
    if folder:
        typer.echo(proved.write(folder), err=as_json)
    if as_json:
        typer.echo(json.dumps(proved.as_json(), indent=1))
    elif models:
        proved.show()
    if not proved.holds:
        raise typer.Exit(1)


def _list(libraries: str | None) -> None:
    """Name the pairs that exist, and what has none."""
    from isotune.parity import families

    for family in families(split(libraries or "")):
        without = f"no counterpart{f': {family.unlike}' if family.unlike else ''}"
        typer.echo(f"{family.architecture}: {family.first} = {', '.join(family.others) or without}")
