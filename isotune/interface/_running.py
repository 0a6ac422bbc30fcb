"""Running a matrix of cells, and fetching ahead what it takes."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass

from isotune import attribution, data, defaults, names, places, report, sealing, sweeps, verification
from isotune.errors import Unavailable, UsageError
from isotune.executors import Executor, Spec, find
from isotune.interface import arguments
from isotune.interface._asking import Request, asked, seconds
from isotune.interface._executing import made
from isotune.interface._runs import Runs
from isotune.interface.arguments import Conventions, Dataset, Model, PathLike, Protocol
from isotune.models import patterns
from isotune.progress import Progress, Reporter, reporting
from isotune.runs import planning
from isotune.runs.driver import Driver
from isotune.runs.planning import check_models
from isotune.runs.records import Cell
from isotune.runs.store import Store
from isotune.workers.process import Workers
from isotune.workers.threads import contradictions

_MOST_READ = 2_000  # cells of a sweep whose records are held, and given back
_MOST_BUILT = 64  # models that are built before the first cell runs; it takes about a second each


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
    jobs: int | None = None,
    executor: str | Executor | None = None,
    fresh: bool = False,
    pythons: Mapping[str, PathLike] | None = None,
    skip_unreadable: bool = False,
    verify: bool = False,
    retry_failed: bool = False,
    only_failed: bool = False,
    stop_after: str | float | None = None,
    time_limit: str | float | None = None,
    expect: arguments.Expectation | Iterable[arguments.Expectation] = (),
    price: bool = False,
    workers: Workers | None = None,
    progress: bool | Progress = True,
) -> Runs:
    """Run every model through every data set, protocol, set-up and seed, and keep a record of each run.

    A run that is in the store already is not run again, nor is one that failed there. One that fails is recorded with
    its error, and the others go on: `runs.failed`. Interrupted (Ctrl-C, a notebook's stop), the workers are ended and
    what was done is kept. Other processes with the same store, of other machines too, share the work.

    models: names, `adapter[@engine]:name[:option=value]` as `isotune.models()` lists them, or patterns of names
        ("timm:mobilenetv3*", "architecture:mobilenet_v2": those that have the checkpoint); entries of that list, which
        stand for their models; functions that make a network, or the Python files in which they stand. A sweep file,
        "sweep.toml", says all that is run, and the arguments up to compiled are left out.
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
    store: folder of records. jobs: workers at the same time; above 1 timings are marked as shared. executor: where
        runs are computed: "local" (the default), "slurm", "ray", "ray:HOST:6379", with options "ray,gpus=1", or an
        `isotune.executors.Executor` of your own. fresh: run again what is already there. pythons: other
        environments' interpreters by adapter. skip_unreadable: leave out images that cannot be read. verify: read
        again all that comes from the cache, however recently this machine verified it. retry_failed: run again what
        failed; only_failed: and nothing else. stop_after: seconds, or a time such as "2h", after which no run is begun,
        and a fine-tuning that takes more than a minute longer is left off, to go on from there in the next call.
        time_limit: likewise, after which a run is given up and has failed. expect: published numbers that runs are held
        against, `runs.judged()`: "accuracy=85.0,source=URL", a dictionary, an `isotune.protocols.Expected`; or several.
        price: also run, beside each identical run, one for each default of the library's own by itself: what it costs,
        in the report. workers: run in these, which are left
        running for the next call (`isotune.workers.process.Workers`). progress: shown, not shown, or a function that is
        told (what, done, total).
    Of a sweep of more than 2,000 cells the records are counted in `runs.unread` and not given.
    Errors: UsageError, before anything runs: a name is wrong or a combination impossible. NotCached: a checkpoint or
        data set must be downloaded and cannot be.

    >>> runs = isotune.run("torchvision:mobilenet_v2", "digits", "quick", seeds=1)
    >>> print(runs.leaderboard().markdown())
    """
    arguments.running(workers)
    fresh, verify = arguments.flag(fresh, "fresh"), arguments.flag(verify, "verify")
    skip_unreadable = arguments.flag(skip_unreadable, "skip_unreadable")
    retry_failed, only_failed = arguments.flag(retry_failed, "retry_failed"), arguments.flag(only_failed, "only_failed")
    price = arguments.flag(price, "price")
    wanted = asked(
        models, datasets, protocols, seeds, conventions, checkpoint=checkpoint, numeric_mode=numeric_mode,
        layout=layout, compiled=compiled, store=store, jobs=jobs, executor=executor, expect=expect,
    )  # fmt: skip
    limit, longest = seconds(stop_after), seconds(time_limit, "time_limit")
    interpreters = arguments.interpreters(pythons, wanted.sweep.models)
    places.check_folder(wanted.store, "store")
    until = math.inf if limit is None else time.monotonic() + limit
    with (
        reporting(progress) as reporter,
        sealing.everything() if verify else nullcontext(),
        ExitStack() as stack,
    ):
        runs_in, running = made(wanted.executor, wanted.jobs, interpreters, workers, stack)
        for line in (*contradictions(), *wanted.lines):
            reporter.note(line)
        if running is not None and len(wanted.sweep.models) <= _MOST_BUILT:
            running.begin({str(names.parse(model)).partition(":")[0] for model in wanted.sweep.models})
        sets = arguments.prepared(wanted.datasets, reporter, skip_unreadable=skip_unreadable)
        cells = wanted.sweep.cells(sets)
        if price:
            cells = _priced(cells, sets, running)
        handed, elsewhere = _handed(wanted, cells, sets)
        for line in elsewhere:
            reporter.note(line)
        for line in _check(cells, wanted, running, reporter):
            reporter.note(line)
        planned = sweeps.plan(cells, wanted.store, retry=retry_failed or only_failed)
        sweeps.remember(planned, wanted.store, wanted.source)
        for number in handed:
            verification.keep(wanted.store, number)
        unread: Counter[str] = Counter()
        large = len(cells) > _MOST_READ
        if large and not fresh:
            cells = planned.to_run
            settled = {"done": len(planned.done), "failed": 0 if planned.retry else len(planned.failed)}
            unread.update({**settled, **{f"{name} before": count for name, count in settled.items()}})
            reporter.note(
                f"{sum(settled.values()):,} cells are done or failed before; their records are in {wanted.store}"
            )
        reporter.parts("cells", len(cells))
        driver = Driver(
            Store(wanted.store), runs_in, fresh=fresh, progress=reporter, note=reporter.note, until=until,
            limit=longest, foreign=interpreters, memory=0 if running is not None else planned.estimate.enough,
            failed="only" if only_failed else "again" if retry_failed or fresh else "kept",
        )  # fmt: skip
        records, ended = [], 0
        try:
            with closing(driver.run(cells)) as ending:
                for record in ending:
                    ended += 1
                    if not large:
                        records.append(record)
                    else:
                        before = record.cell.key in driver.kept
                        unread.update([record.status, *([f"{record.status} before"] if before else [])])
                    reporter.ended(driver.line(record))
        except KeyboardInterrupt:
            reporter.note(f"{ended} of {len(cells)} cells are done; their records are in {wanted.store}")
            raise
    return Runs(records, store=wanted.store, kept=driver.kept, left=driver.left, unread=unread, handed_in=handed)


def _priced(cells: Sequence[Cell], sets: Mapping[str, data.Dataset], workers: Workers | None) -> list[Cell]:
    """workers: of this machine; None: the cells run elsewhere, and libraries here are asked alone."""
    with Workers() if workers is None else nullcontext(workers) as asking:
        return attribution.with_own_defaults(cells, sets, asking)


def _check(cells: Sequence[Cell], wanted: Request, workers: Workers | None, reporter: Reporter) -> Iterator[str]:
    """Build each model, which fetches its checkpoint and finds what is wrong before anything runs; of many, or where
    they run elsewhere, only the names are looked up, and what is wrong with one is its cells' failure. Lines on what a
    user should know.

    workers: of this machine, where cells run in them.
    """
    count = len({(cell.model, cell.checkpoint) for cell in cells})
    if workers is not None and count <= _MOST_BUILT:
        loaded = planning.check_cells(cells, workers, reporter)
        yield from planning.replaced(cells, loaded, Store(wanted.store))
        return
    if not wanted.checked:
        with nullcontext() if workers is not None else suppress(Unavailable):  # the libraries may be elsewhere alone
            patterns.check_listed(wanted.sweep.models)
    if workers is not None:
        reporter.note(f"{count:,} models: each is built when its first cell runs; one that cannot be fails there")


def plan(
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
    jobs: int | None = None,
    executor: str | Executor | None = None,
    skip_unreadable: bool = False,
    retry_failed: bool = False,
    expect: arguments.Expectation | Iterable[arguments.Expectation] = (),
    price: bool = False,
    progress: bool | Progress = True,
) -> sweeps.Plan:
    """What `run` would do: which cells there are, what of them is done, what the rest takes, and what would be held
    against which published number (`expect`). Nothing is run, and no library is asked but for its defaults (`price`);
    data sets are prepared, since their content is a part of what a cell is.

    Arguments and errors as of `run`.

    >>> print(*isotune.plan("torchvision:mobilenet_v2", "digits", "quick", seeds=5).lines())
    """
    skip_unreadable = arguments.flag(skip_unreadable, "skip_unreadable")
    retry_failed, price = arguments.flag(retry_failed, "retry_failed"), arguments.flag(price, "price")
    wanted = asked(
        models, datasets, protocols, seeds, conventions, checkpoint=checkpoint, numeric_mode=numeric_mode,
        layout=layout, compiled=compiled, store=store, jobs=jobs, executor=executor, expect=expect,
    )  # fmt: skip
    if isinstance(wanted.executor, Spec):
        find(wanted.executor, **({} if wanted.jobs is None else {"jobs": wanted.jobs}))
    with reporting(progress) as reporter:
        for line in wanted.lines:
            reporter.note(line)
        if not wanted.checked:
            patterns.check_listed(wanted.sweep.models)
        sets = arguments.prepared(wanted.datasets, reporter, skip_unreadable=skip_unreadable)
        cells = wanted.sweep.cells(sets)
        if price:
            cells = _priced(cells, sets, None)
        held = _comparisons(wanted, cells, sets)
        return sweeps.plan(cells, wanted.store, retry=retry_failed, jobs=wanted.jobs or 1, comparisons=held)


def _comparisons(wanted: Request, cells: Sequence[Cell], sets: Mapping[str, data.Dataset]) -> list[sweeps.Comparison]:
    """What would be held against each published number. UsageError: one is about none of the cells."""
    held = []
    for number in _handed(wanted, cells, sets)[0]:
        about = [cell for cell in cells if cell.key in number.cells]
        line = report.foreseen(number, about, len(sets[about[0].dataset].test))
        held.append(sweeps.Comparison(line, number.cells))
    return held


def _handed(
    wanted: Request, cells: Sequence[Cell], sets: Mapping[str, data.Dataset]
) -> tuple[list[report.HandedIn], list[str]]:
    """The published numbers that are about these cells, and a line for each that a protocol lists of other runs.
    UsageError: one that is handed in is about none of the cells, or nothing that they measure."""
    about = []
    for where, each in wanted.expected:
        about.append(number := verification.resolve(each, cells, where))
        verification.check_measured(number, cells, sets, where)
    listed = [verification.resolve_listed(each, cells, where) for where, each in wanted.listed]
    about += [each for each in listed if isinstance(each, report.HandedIn)]
    return about, [each for each in listed if isinstance(each, str)]


def status(store: PathLike = defaults.STORE) -> sweeps.Status:
    """What is done in a store, what runs and where, what failed and why, what it cost, what is left of what was last
    asked for. UsageError: there is no such store.

    >>> print(*isotune.status().lines())
    """
    return sweeps.status(arguments.path(store, "store"))


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
