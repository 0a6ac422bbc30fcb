"""Running a matrix of cells, and fetching ahead what it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass

from isotune import data, defaults, names, places, sealing
from isotune.errors import UsageError
from isotune.interface import arguments
from isotune.interface._runs import Runs
from isotune.interface.arguments import Conventions, Dataset, Model, PathLike, Protocol
from isotune.models import patterns
from isotune.progress import Progress, reporting
from isotune.runs.executor import LocalExecutor, workers_for
from isotune.runs.planning import Matrix, check_models, parse_seeds, plan
from isotune.runs.store import Store
from isotune.workers.process import Workers
from isotune.workers.threads import contradictions


def run(
    models: Model | Iterable[Model] = names.DEFAULT_MODELS,
    datasets: Dataset | Iterable[Dataset] | Mapping[str, Dataset] = defaults.DATASET,
    protocols: Protocol | Iterable[Protocol] = defaults.PROTOCOL,
    seeds: int | str | Iterable[int] = defaults.SEEDS,
    conventions: Conventions | Iterable[Conventions] = defaults.CONVENTIONS,
    *,
    checkpoint: PathLike = defaults.CHECKPOINT,
    numeric_mode: str = "float32",
    layout: str | None = None,
    compiled: bool = False,
    store: PathLike = defaults.STORE,
    jobs: int = 1,
    fresh: bool = False,
    pythons: Mapping[str, PathLike] | None = None,
    skip_unreadable: bool = False,
    verify: bool = False,
    workers: Workers | None = None,
    progress: bool | Progress = True,
) -> Runs:
    """Run every model through every data set, protocol, set-up and seed, and keep a record of each run.

    A run that is in the store already is not run again. One that fails is recorded with its error, and the others go
    on: `runs.failed`. Interrupted (Ctrl-C, a notebook's stop), the workers are ended and what was done is kept.

    models: names, `adapter[@engine]:name[:option=value]` as `isotune.models()` lists them, or patterns of names
        ("timm:mobilenetv3*": those that have the checkpoint); entries of that list, which stand for their models;
        functions that make a network, or the Python files in which they stand.
    datasets: a name, a folder of images by class, an .npz file, `(images, labels)`,
        `((images, labels), (images, labels))` for training and testing, a table of image files with labels; or several,
        in a list, or in a dictionary by names of your own. Images are uint8 [N, H, W, 3], [N, H, W, 1] or [N, H, W],
        labels integers from 0 or words [N]. `isotune.data.sources.given.source` has the details.
    protocols: a name, a TOML file, a dictionary of what such a file holds, an `isotune.Protocol`; or several.
    seeds: how many (3), which ("0,4,7", [0, 4, 7]) or a range ("5-9").
    conventions: "identical" (the checkpoint's and the protocol's in every library), "native" (each library's own),
        either with overrides: "native,input_scaling=caffe", {"native": {"input_scaling": "caffe"}}; or several.
    checkpoint: "offline", "pretrained", a library's own name, "random:SEED", or a file of weights.
    numeric_mode: "float32", "tf32", "bfloat16", "float16" (with loss scaling) or "float64", as far as the library and
        the device have it. compiled: torch.compile, or XLA in Keras.
    layout: of tensors in memory, "contiguous" or "channels_last"; None: what each library's user gets.
    store: folder of records. jobs: workers at the same time; above 1 timings are marked as shared. fresh: run again
        what is already there. pythons: other environments' interpreters by adapter. skip_unreadable: leave out
        images that cannot be read. verify: read again all that comes from the cache, however recently this machine
        verified it. workers: run in these, which are left running for the next call
        (`isotune.workers.process.Workers`). progress: shown, not shown, or a function that is told (what, done, total).
    Errors: UsageError, before anything runs: a name is wrong or a combination impossible. NotCached: a checkpoint or
        data set must be downloaded and cannot be.

    >>> runs = isotune.run("torchvision:mobilenet_v2", "digits", "quick", seeds=1)
    >>> print(runs.leaderboard().markdown())
    """
    held = arguments.checkpoint(checkpoint)
    named, lines = patterns.expanded(arguments.models(models), held)
    arguments.running(workers)
    fresh, verify = arguments.flag(fresh, "fresh"), arguments.flag(verify, "verify")
    skip_unreadable = arguments.flag(skip_unreadable, "skip_unreadable")
    matrix = Matrix(
        models=named,
        protocols=arguments.recipes(protocols),
        conventions=arguments.specs(conventions),
        seeds=parse_seeds(seeds),
        checkpoint=held,
        mode=arguments.mode(numeric_mode, layout, compiled),
    )
    wanted, place = arguments.datasets(datasets), arguments.path(store, "store")
    interpreters, jobs = arguments.interpreters(pythons, matrix.models), arguments.count(jobs, "jobs")
    places.check_folder(place, "store")
    with reporting(progress) as reporter, sealing.everything() if verify else nullcontext():
        for line in (*contradictions(), *lines):
            reporter.note(line)
        sets = arguments.prepared(wanted, reporter, skip_unreadable=skip_unreadable)
        with workers_for(jobs, interpreters) if workers is None else nullcontext(workers) as running:
            cells = plan(matrix.over(list(sets)), sets, running, reporter)
            reporter.parts("cells", len(cells))
            executor = LocalExecutor(
                Store(place), jobs=jobs, fresh=fresh, pythons=interpreters,
                workers=running if workers is None or jobs == 1 else None, progress=reporter, note=reporter.note,
            )  # fmt: skip
            records = []
            try:
                with closing(executor.run(cells)) as ending:
                    for record in ending:
                        records.append(record)
                        reporter.ended(executor.line(record))
            except KeyboardInterrupt:
                reporter.note(f"{len(records)} of {len(cells)} cells are done; their records are in {place}")
                raise
    return Runs(records, store=place, kept=executor.kept)


@dataclass(frozen=True)
class Prepared:
    """What is ready. checkpoints: by model, {"architecture", "digest"}."""

    datasets: dict[str, data.Dataset]
    checkpoints: dict[str, dict[str, str]]


def prepare(
    datasets: Dataset | Iterable[Dataset] | Mapping[str, Dataset] = (),
    models: Model | Iterable[Model] = (),
    *,
    checkpoint: PathLike = defaults.CHECKPOINT,
    size: int = 224,
    skip_unreadable: bool = False,
    progress: bool | Progress = True,
) -> Prepared:
    """Fetch data sets, and the checkpoint of models, ahead; afterwards everything works offline.

    Arguments as of `run`. size: input to build the models for, pixels. Errors as of `run`.

    >>> isotune.prepare("digits").datasets["digits"].classes
    ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9')
    """
    skip_unreadable = arguments.flag(skip_unreadable, "skip_unreadable")
    wanted = arguments.datasets(datasets) if not _none(datasets) else []
    held, side = arguments.checkpoint(checkpoint), arguments.count(size, "size", 32)
    named, lines = patterns.expanded(arguments.models(models), held) if not _none(models) else ([], [])
    if not wanted and not named:
        raise UsageError("nothing to prepare: give data sets ('isotune datasets' lists them) or models")
    with reporting(progress) as reporter:
        for line in lines:
            reporter.note(line)
        sets = arguments.prepared(wanted, reporter, skip_unreadable=skip_unreadable)
        with Workers() as workers:
            return Prepared(sets, check_models(named, held, side, workers, progress=reporter))


def _none(value: object) -> bool:
    return isinstance(value, tuple | list) and not value
