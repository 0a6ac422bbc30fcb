"""The command line. Heavy libraries are imported inside the commands, so that `--help` answers at once.

Exit status: 0 done, 1 ran and found a failure, 2 wrong use.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isotune.errors import UsageError

if TYPE_CHECKING:
    from isotune.data import Dataset
    from isotune.progress import Reporter

app = typer.Typer(
    name="isotune",
    help="The same fine-tuning, in every framework: torchvision, timm and Keras under one protocol.",
    epilog="Start with: isotune run, then isotune report. pytest benchmarks/ measures speed too.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help: Rich alone would take half of the start-up time
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

StoreOption = Annotated[Path, typer.Option("--store", help="Folder of records, one folder a cell.")]
DEFAULT_STORE = Path(".isotune/records")


def split(text: str) -> list[str]:
    """`"a,b"` -> a, b."""
    return [part.strip() for part in text.split(",") if part.strip()]


@app.command()
def run(
    models: Annotated[
        str, typer.Option(help="Comma-separated adapter[@engine]:name[:option=value]; 'isotune models' lists them.")
    ] = "torchvision:mobilenet_v2,timm:mobilenetv2_100,keras:MobileNetV2",
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
    checkpoint: Annotated[
        str, typer.Option(help="offline, pretrained, a library's own name, file:PATH or random:SEED.")
    ] = "offline",
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
    from isotune.execution import LocalExecutor, Workers
    from isotune.planning import Matrix, parse_seeds, plan
    from isotune.progress import Reporter
    from isotune.records import Store

    if numeric_mode not in ("float32", "bfloat16", "float64"):
        from isotune.errors import nearest

        raise UsageError(f"numeric mode {numeric_mode!r}: {nearest(numeric_mode, ['float32', 'bfloat16', 'float64'])}")
    matrix = Matrix(
        split(models), split(datasets), split(protocols), conventions or ["identical", "native"], parse_seeds(seeds),
        checkpoint, numeric_mode, compiled,  # type: ignore[arg-type]
    )  # fmt: skip
    pythons = _pythons(python or [])
    with Reporter() as reporter:
        prepared = _prepare(split(datasets), skip_unreadable, reporter)
        with Workers(pythons=pythons) as workers:
            cells = plan(matrix, prepared, workers)
            reporter.cells(len(cells))
            executor = LocalExecutor(
                Store(store), jobs=jobs, fresh=fresh, pythons=pythons, workers=workers if jobs == 1 else None,
                progress=reporter.within,
            )  # fmt: skip
            records = [reporter.ended(record) for record in executor.run(cells)]
    if any(cell.protocol.zero_shot for cell in cells):
        from isotune.zero_shot_costs import costs, lines

        typer.echo("\n".join(lines(costs(records, Store(store)))))
    failed = sum(record.status == "failed" for record in records)
    typer.echo(f"{len(records) - failed} cells done, {failed} failed; records in {store}; next: isotune report {store}")
    if failed:
        raise typer.Exit(1)


@app.command()
def report(
    source: Annotated[
        Path, typer.Argument(help="A folder of records, or the JSON of 'pytest benchmarks/'.")
    ] = DEFAULT_STORE,
    out: Annotated[Path, typer.Option(help="Folder for leaderboard.md and its figures.")] = Path("reports"),
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a record and end.")] = False,
    command: Annotated[
        str | None, typer.Option(help="The command that made the figures, for the evidence part.")
    ] = None,
) -> None:
    """Turn records into a markdown leaderboard with figures, and name the file written."""
    if schema:
        import json

        from isotune.records import schema as record_schema

        typer.echo(json.dumps(record_schema(), indent=1))
        return
    from isotune import report as reports
    from isotune.records import Store

    store = Store(source if source.is_dir() else DEFAULT_STORE)
    if source.is_dir():
        records, speeds = list(store), list[Any]()
    elif source.is_file():
        records, speeds = reports.read_benchmark(source)
    else:
        raise UsageError(
            f"there is no {source}; give a folder of records ('isotune run' makes {DEFAULT_STORE}) or a JSON"
        )
    if not records and not speeds:
        raise UsageError(f"{source} holds no records; 'isotune run' makes some")
    typer.echo(reports.write(records, out, speeds=speeds, command=command, predictions=store.predictions))


@app.command()
def models(
    pattern: Annotated[str, typer.Argument(help="Part of a model's or architecture's name.")] = "",
    adapter: Annotated[str, typer.Option(help="Comma-separated adapters. [default: all installed]")] = "",
    architecture: Annotated[str, typer.Option(help="Only this architecture: what the libraries share.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable, every checkpoint.")] = False,
) -> None:
    """List what can be run: models, architectures, checkpoints and published ImageNet top-1."""
    from isotune.catalogue import catalogue, show

    rows = catalogue(split(adapter), pattern=pattern, architecture=architecture)
    show(rows, as_json=as_json)


@app.command()
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
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Carry a checkpoint from one library to another, for use elsewhere.

    torch's libraries get a state dict (.safetensors, .pt, .pth), Keras .weights.h5. The conventions that the weights
    were trained with go along in .safetensors and .h5, so that --checkpoint file:FILE knows them.
    """
    from isotune import transfer as transfers
    from isotune.execution import Workers
    from isotune.parity import parse_size

    with Workers() as workers:
        done = transfers.transfer(source, target, checkpoint, out, parse_size(size), workers, head=classifier)
    if as_json:
        import json

        typer.echo(json.dumps(done, indent=1))
        return
    typer.echo(f"{out}: {done['architecture']}, {done['tensors']} tensors of {source} {checkpoint}")
    for axis, (trained, built) in done.get("differing", {}).items():
        typer.echo(f"  trained with {axis} = {trained}; {target} is built with {built}")
    if done.get("differing"):
        typer.echo(f"  isotune runs it as trained: --models {target} --checkpoint file:{out}")


@app.command()
def parity(
    models: Annotated[
        list[str] | None, typer.Argument(help="Two models of one architecture: keras:MobileNetV2 timm:mobilenetv2_100.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every architecture of keras.applications with its counterparts; resumable.")
    ] = False,
    architecture: Annotated[str, typer.Option(help="With --all: only these, comma-separated.")] = "",
    listing: Annotated[bool, typer.Option("--list", help="Name the pairs that exist, and end.")] = False,
    checkpoint: Annotated[
        str, typer.Option(help="The first model's: random:SEED, offline, pretrained, file:PATH.")
    ] = "random:0",
    conventions: Annotated[
        str,
        typer.Option(help="Of both: the checkpoint's (identical), the first model's (native); overrides follow."),
    ] = "identical",
    size: Annotated[
        str, typer.Option(help="HEIGHTxWIDTH of the images, pixels. [default: 45x51, or what is just large enough]")
    ] = "",
    batch: Annotated[int | None, typer.Option(min=2, help="Images in a batch. [default: 5, or 2 of VGG]")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of images, labels and the classifier.")] = 0,
    numeric_mode: Annotated[
        str, typer.Option(help="float64 proves; of float32 a float64 run of the first model judges the forward pass.")
    ] = "float64",
    out: Annotated[
        Path | None, typer.Option(help="Folder for parity.md and parity.json. [default: reports with --all]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    store: Annotated[Path, typer.Option(help="Folder of results, a file a pair.")] = Path(".isotune/parity"),
    jobs: Annotated[int, typer.Option(min=1, help="Architectures at the same time, each of one to two cores.")] = 2,
    until_failure: Annotated[
        bool, typer.Option("--until-failure", help="Leave a pair at its first stage that does not hold.")
    ] = False,
    only: Annotated[
        str, typer.Option(help="Only these stages: inference, gradients, sgd, nesterov, adam, adamw, rmsprop.")
    ] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Prove again what is already proved.")] = False,
) -> None:
    """Prove that two models are one function and train as one, rung by rung; exit status 1 when they are not.

    Features, every layer, loss, gradients, one step and ten steps of five optimizers, BatchNorm buffers, optimizer
    slots and logits are compared in float64, from one checkpoint under one set of conventions.
    """
    from isotune import parity as proofs
    from isotune.progress import Reporter

    if listing:
        for family in proofs.families():
            others = ", ".join(family.others) or "no counterpart"
            typer.echo(f"{family.architecture}: {family.first} = {others}")
        return
    if everything == bool(models) or (models and len(models) != 2):
        raise UsageError("give two models, or --all; --list names the pairs that exist")
    asked: dict[str, Any] = {
        "checkpoint": checkpoint, "spec": conventions, "size": proofs.parse_size(size) if size else None,
        "batch": batch, "seed": seed, "numeric_mode": numeric_mode,
    }  # fmt: skip
    stages = proofs.check_stages(split(only))
    families = [proofs.check_pair(*models)] if models else proofs.chosen(proofs.families(), split(architecture))
    asked_of = [proofs.questions(family, **asked) for family in families]
    with Reporter() as reporter:
        reporter.cells(sum(map(len, asked_of)))
        results = proofs.prove(
            asked_of,
            proofs.ResultStore(store),
            jobs=jobs,
            fresh=fresh,
            until_failure=until_failure,
            only=stages,
            progress=reporter.within,
            ended=reporter.proved,
        )
    folder = out or (Path("reports") if everything else None)
    if folder is not None:
        command = "isotune parity " + (" ".join(models) if models else "--all")
        command += f" --conventions {conventions}" if conventions != "identical" else ""
        typer.echo(proofs.write(results, families if everything else [], folder, command), err=as_json)
    if as_json:
        import json

        typer.echo(json.dumps(proofs.as_json(results), indent=1))
    elif models:
        proofs.show(results)
    if not all(result.holds for result in results):
        raise typer.Exit(1)


@app.command()
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
    from isotune.execution import Workers
    from isotune.planning import check_models
    from isotune.progress import Reporter

    if not datasets and not models:
        raise UsageError(f"nothing to prepare: give --datasets ({', '.join(data.names())}) or --models")
    with Reporter() as reporter:
        for name, dataset in _prepare(split(datasets), skip_unreadable, reporter).items():
            counts = (
                f"{len(dataset.train)} training and {len(dataset.test)} test images, {len(dataset.classes)} classes"
            )
            typer.echo(
                f"{name}: {counts}, digest {dataset.digest[:16]}" + (f"; {dataset.note}" if dataset.note else "")
            )
    with Workers() as workers:
        for model, got in check_models(split(models), checkpoint, size, workers).items():
            typer.echo(f"{model}: checkpoint {checkpoint}, {got['architecture']}, digest {got['digest'][:16]}")


@app.command()
def doctor(
    references: Annotated[
        bool, typer.Option("--references", help="Check the published numbers and their sources instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Say what is installed, which devices and caches there are, and what is missing.

    With --references exit status 1 says that a published number, a source or the installed torchvision is at odds.
    """
    from isotune import doctor as examination

    if references:
        found = examination.examine_references()
        examination.show_references(found, as_json=as_json)
        if found["problems"]:
            raise typer.Exit(1)
        return
    examination.show(examination.examine(), as_json=as_json)


def _prepare(datasets: list[str], skip_unreadable: bool, reporter: Reporter) -> dict[str, Dataset]:
    from isotune import data

    return {name: data.prepare(name, skip_unreadable=skip_unreadable, progress=reporter.preparing) for name in datasets}


def _pythons(pairs: list[str]) -> dict[str, str]:
    pythons = {}
    for pair in pairs:
        adapter, sign, path = pair.partition("=")
        if not sign or not Path(path).is_file():
            raise UsageError(f"--python {pair!r}: give ADAPTER=PATH with an interpreter that exists")
        pythons[adapter] = path
    return pythons


def main() -> None:
    """Console entry point: wrong use ends in one line on stderr and status 2."""
    # click's exceptions by way of typer's, since typer may carry a click of its own
    wrong_use: Any = typer.BadParameter.__mro__[2]
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except UsageError as error:
        message, status = str(error), 2
    except wrong_use as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.ctx.get_help())
            sys.exit(2)
        where = f"{error.param.opts[-1]}: " if getattr(error, "param", None) else ""
        text = error.format_message().splitlines()[0].rstrip(".")
        message, status = f"{where}{text}; --help shows what there is", 2
    except (KeyboardInterrupt, typer.Abort):
        message, status = "interrupted; what was done is kept, and the same command goes on from there", 130
    print(f"isotune: {message}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
