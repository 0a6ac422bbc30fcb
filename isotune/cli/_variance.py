"""`isotune variance`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from isotune.cli._shared import (
    DEFAULT_MODELS,
    DEFAULT_STORE,
    CheckpointOption,
    DatasetOption,
    JsonOption,
    ModelsOption,
    prepared,
    split,
)


def variance(
    models: ModelsOption = DEFAULT_MODELS,
    dataset: DatasetOption = "digits",
    protocol: Annotated[str, typer.Option(help="One protocol, by name or TOML file.")] = "quick-fine-tune",
    conventions: Annotated[
        str, typer.Option(help="identical or native; overrides follow: native,input_scaling=caffe.")
    ] = "identical",
    checkpoint: CheckpointOption = "offline",
    levels: Annotated[
        int | None,
        typer.Option(help="Seeds of each stream that is drawn. [default: 10 of one stream, 4 of two, 3 of three]"),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Runs of the first seeds again, each in a fresh process.")] = 2,
    planned: Annotated[
        bool,
        typer.Option("--plan", help="Only say which streams are drawn, how many runs that is, how long they take."),
    ] = False,
    store: Annotated[Path, typer.Option(help="Folder of records, one folder a repeat.")] = Path(".isotune/variance"),
    out: Annotated[Path, typer.Option(help="Folder for variance.md and its figure.")] = Path("reports"),
    as_json: JsonOption = False,
    jobs: Annotated[int, typer.Option(min=1, help="Workers at the same time.")] = 1,
) -> None:
    """Say which source of randomness the accuracy varies by: head, order or augmentation.

    Every seed of each stream runs with every seed of the others, and the first seeds run again. Starting
    again skips what is done. A failed run is said, and exit status 1.
    """
    from isotune import protocols
    from isotune import variance as studies
    from isotune.progress import reporting
    from isotune.runs.records import Store
    from isotune.workers.process import Workers

    wanted = studies.design(protocols.load(protocol), conventions, levels, repeats)
    with reporting(True) as reporter:
        sets = prepared([dataset], False, reporter)
        with Workers() as workers:
            study = studies.plan(wanted, split(models), dataset, protocol, conventions, checkpoint, sets, workers)
        if not planned:
            reporter.parts("runs", wanted.runs * len(study.firsts))
            for record in studies.run(study, store, jobs=jobs, progress=reporter):
                reporter.ended(record.line)
    ahead = studies.outlook(study, store, [Store(DEFAULT_STORE)])
    findings = [] if planned else studies.judge(study, store)
    if as_json:
        import json

        typer.echo(json.dumps(studies.as_json(study, ahead, findings), indent=1))
    elif planned:
        typer.echo("\n".join(studies.describe(study, ahead)))
    else:
        studies.show(findings)
    if planned:
        return
    given = {
        "models": models, "dataset": dataset, "protocol": protocol, "conventions": conventions,
        "checkpoint": checkpoint, "levels": wanted.levels, "repeats": repeats,
    }  # fmt: skip
    command = "isotune variance " + " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in given.items())
    typer.echo(studies.write(study, findings, out, command), err=as_json)
    if any(finding.failed for finding in findings):
        raise typer.Exit(1)
