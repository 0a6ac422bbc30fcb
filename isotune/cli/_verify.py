"""`isotune verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from isotune import defaults
from isotune.cli._shared import JsonOption, PythonOption, SkipUnreadableOption, StoreOption, interface, pythons

EPILOG = """\b
A claim file says what was run, and what was published of it:
  model = "torchvision:mobilenet_v2"
  checkpoint = "file:weights.pth"      # or pretrained, or a library's own name
  dataset = "imagefolder:photos"
  protocol = "own-classifier"          # or a TOML file, or a table [protocol]
  seeds = 5                            # of a training
  [claim]
  accuracy = "85.0"                    # percent, as it is printed
  source = "https://example.org/table-2"

\b
What else [claim] can say:
  error = "8.27"       in the place of accuracy: what is left of 100 %
  at_least = true      a bound: as high or higher
  at = "best"          of a training: last (absent), best (on held-out images),
                       mean-of-last (with last = 5), best-on-test; compared
                       with that alone, which the protocol has to measure
  images = 10000       test images it was measured on, where they are not all
  test = "same"        our test images are the same, a subset of theirs, or other
  seeds = 5            runs that it is the mean of; spread = 0.3: their deviation
  margin = 0.5         points it may differ by; fix it before you run
  predictions = "theirs.npy"   their result, image by image: compared in pairs

\b
Three kinds of comparison:
  the same images      only rounding and arithmetic may differ: exact
  other images         the uncertainty of both draws of images, binomial
  a training           the spread over the seeds of both

\b
Exit status: 0 reproduced, 1 different, 3 inconclusive (the line says how many
images or seeds would decide it), 2 wrong use. Beside the claim file it writes
NAME.verdict.json, with digests of the weights, data, protocol and records that
decided it, and NAME.verdict.svg, a badge."""


def verify(
    claim: Annotated[Path, typer.Argument(metavar="CLAIM.toml", help="A claim file; with --check a result's JSON.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the result and the badge. [default: that of the claim file]")
    ] = None,
    store: StoreOption = defaults.STORE,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run again what is already there.")] = False,
    python: PythonOption = None,
    skip_unreadable: SkipUnreadableOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="Run nothing: see that a result's JSON is what was written.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run what a published number is about, and say whether it is reproduced, different, or not decided."""
    from isotune import places

    if check:
        from isotune import verification

        content = verification.check(claim)
        typer.echo(json.dumps(content) if as_json else f"unaltered: {content['line']}")
        return
    folder = claim.parent if out is None else out
    places.check_folder(folder, "--out")
    verified = interface().verify(
        claim, store=store, fresh=fresh, pythons=pythons(python or []), skip_unreadable=skip_unreadable
    )
    files = verified.write(folder)
    typer.echo(json.dumps(verified.json) if as_json else f"{verified.line}; {files[0]}, {files[1].name}")
    if verified.status:
        raise typer.Exit(verified.status)
