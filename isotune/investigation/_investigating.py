"""Investigations and dumps as a user asks for them: from names to a result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from isotune import data, defaults, file_names, protocols
from isotune.attribution import Attribution, attribute
from isotune.comparison.sides import Inputs, Side
from isotune.data.sources.given import Given
from isotune.errors import UsageError
from isotune.investigation import report
from isotune.investigation._command import investigation_command, options_of_sides
from isotune.investigation._dump import PREFIX, Dump, dump_first, write_dump
from isotune.investigation._investigation import Investigation, accuracy
from isotune.investigation._sides import evaluated, inputs, side
from isotune.investigation._walking import INTERRUPTED, walk
from isotune.investigation.findings import Findings
from isotune.investigation.reproducing import Reproducer, reproduce
from isotune.progress import Progress, reporting
from isotune.protocols import Protocol
from isotune.runs import planning
from isotune.workers.process import WorkerFailure

IMAGES, STEPS = 8, 5


def investigate(
    left: str | Side | Dump,
    right: str | Side | Dump,
    *,
    dataset: Given | data.Dataset = defaults.DATASET,
    protocol: str | PathLike[str] | Mapping[str, Any] | Protocol = defaults.PROTOCOL,
    checkpoint: str = defaults.CHECKPOINT,
    right_checkpoint: str | None = None,
    conventions: str = "native",
    right_conventions: str | None = None,
    numeric_mode: str = "float64",
    right_numeric_mode: str | None = None,
    layout: str | None = None,
    right_layout: str | None = None,
    left_compiled: bool = False,
    right_compiled: bool = False,
    left_python: str | PathLike[str] | None = None,
    right_python: str | PathLike[str] | None = None,
    images: int = IMAGES,
    steps: int = STEPS,
    seed: int = 0,
    quick: bool = False,
    price: bool = False,
    seeds: int | str | Iterable[int] = defaults.SEEDS,
    store: str | PathLike[str] = defaults.STORE,
    jobs: int = 1,
    keep: str | PathLike[str] | None = None,
    reproducer: bool = False,
    name: str = "",
    progress: bool | Progress = True,
) -> Investigation:
    """Where two models part, rung by rung, by which convention, and what that costs.

    left, right: `adapter:name`, a `Side`, which says for itself how it is set up, or a dump (`dump:FOLDER`), which is
    the left one wherever it is given, with a data set, protocol, images, steps and seed of its own.
    dataset: what `data.prepare` takes. protocol: what `protocols.load` takes.
    checkpoint, conventions, numeric_mode, layout: of both, or of the left where the right's are given. left_python,
    right_python: another environment's interpreter. images: how many the ladder is walked with. steps: of training on
    them. seed: of the classifier. quick: inference alone, no rung of training.
    price: also run the protocol with every set of differing conventions, and attribute the difference in accuracy to
    them; seeds, store, jobs: of these runs. keep: a folder; where one side fails, a dump of the other is written into
    it. reproducer: also make a script of the least that still fails. name: of the report and of that dump; empty: both
    models. progress: shown, not shown, or a function that is told
    (what, done, total).
    A side that fails, and an interruption, end the walk; the result holds what was learned until then.
    UsageError: wrong use of either side, or of both together. KeyboardInterrupt: before the first rung.
    """
    left, right = dump_first((left, right))
    dump = _dump(left)
    if dump and price:
        raise UsageError("a dump has no accuracy; leave --price out")
    first = dump.contents.side if dump else left if isinstance(left, Side) else side(
        str(left), checkpoint, conventions, numeric_mode, layout, left_compiled, left_python or ""
    )  # fmt: skip
    second = right if isinstance(right, Side) else side(
        right, right_checkpoint or checkpoint, right_conventions or conventions, right_numeric_mode or numeric_mode,
        right_layout or layout, right_compiled, right_python or "",
    )  # fmt: skip
    if price and (first.checkpoint != second.checkpoint or first.python or second.python):
        raise UsageError("--price is of two set-ups with one checkpoint in this environment; leave it out")
    recipe = dump.contents.protocol if dump else protocols.load(protocol)
    wanted = planning.parse_seeds(seeds)
    name = file_names.checked(name, "name") if name else report.default_name(first, second)
    with reporting(progress) as reporter:
        arrays = data.prepare(dump.contents.dataset if dump else dataset, progress=reporter)
        if dump:
            dump.check_images(arrays)
        findings = walk(
            dump or first, second, arrays, recipe, images=images, steps=steps, seed=seed, quick=quick,
            progress=reporter, ended=lambda rung: reporter.note(f"{rung.name}: {rung.verdict}"),
            keep=Path(keep) / name if keep is not None else None,
        )  # fmt: skip
        script = None
        if reproducer:
            given = dump.contents.inputs if dump else inputs(recipe, arrays, steps, seed)
            script = _reproduced(findings, given, dumped=dump is not None, progress=reporter)
        attribution = None
        if price and findings.stopped is None:
            findings, attribution = with_attribution(
                findings,
                lambda: attribute(
                    first.model, second.model, dataset=arrays, protocol=recipe, checkpoint=first.checkpoint,
                    conventions=first.conventions, right_conventions=second.conventions, seeds=wanted, store=store,
                    jobs=jobs, progress=reporter,
                ),
            )  # fmt: skip
    typed = {} if dump else {
        "--dataset": (arrays.name, defaults.DATASET),
        "--protocol": (_typed(protocol, recipe.name), defaults.PROTOCOL),
        "--images": (images, IMAGES),
        "--steps": (steps, STEPS),
    }  # fmt: skip
    options = typed | options_of_sides(None if dump else first, second)
    options |= {"--quick": (quick, False), "--price": (price, False)}
    if price:
        options |= {"--seeds": (",".join(map(str, wanted)), ",".join(map(str, range(defaults.SEEDS))))}
    command = investigation_command(f"{PREFIX}{dump.folder}" if dump else first, second, options)
    return Investigation(findings, attribution, command, name, script)


def _reproduced(findings: Findings, given: Inputs, *, dumped: bool, progress: Progress) -> Reproducer | None:
    """A script of the least that still fails, or why there is none; None: nothing fails by itself."""
    first = findings.first_failure
    if first is None or findings.stopped is not None:
        why = findings.stopped and f"the investigation did not come to its end: {findings.stopped}"
        return Reproducer(first.name if first else "", refused=why) if why else None
    if dumped:
        return Reproducer(first.name, refused="a dump has no library to run lines with")
    return reproduce(findings, given, progress)


def with_attribution(findings: Findings, run: Callable[[], Attribution]) -> tuple[Findings, Attribution | None]:
    """The ladder with its last rung, which the runs give, and the attribution; where they cannot be had, the ladder
    with the reason."""
    try:
        attribution = run()
    except (UsageError, WorkerFailure) as error:
        return findings.model_copy(update={"stopped": f"the attribution: {error}"}), None
    except KeyboardInterrupt:
        return findings.model_copy(update={"stopped": INTERRUPTED}), None
    return findings.model_copy(update={"rungs": (*findings.rungs, accuracy(attribution))}), attribution


def dump(
    model: str | Side,
    folder: str | PathLike[str],
    *,
    dataset: Given | data.Dataset = defaults.DATASET,
    protocol: str | PathLike[str] | Mapping[str, Any] | Protocol = defaults.PROTOCOL,
    checkpoint: str = defaults.CHECKPOINT,
    conventions: str = "native",
    python: str | PathLike[str] | None = None,
    images: int = IMAGES,
    steps: int = STEPS,
    seed: int = 0,
    progress: bool | Progress = True,
) -> Path:
    """Write down all that a model shows, to be investigated elsewhere as `dump:FOLDER`; the folder.

    For two sides that cannot run on one machine. Arguments as of `investigate`. UsageError: wrong use, or the folder
    holds something else.
    """
    one = model if isinstance(model, Side) else side(model, checkpoint, conventions, python=python or "")
    recipe = protocols.load(protocol)
    with reporting(progress) as reporter:
        arrays = data.prepare(dataset, progress=reporter)
        recipe = evaluated(recipe, one, arrays)
        given = inputs(recipe, arrays, steps, seed)
        return write_dump(one, given, arrays, recipe, images, Path(folder), progress=reporter)


def _dump(left: str | Side | Dump) -> Dump | None:
    if isinstance(left, str) and left.startswith(PREFIX):
        return Dump(Path(left.removeprefix(PREFIX)))
    return left if isinstance(left, Dump) else None


def _typed(protocol: object, name: str) -> str:
    """A protocol as it was given, where that can be typed; else its name."""
    return str(protocol) if isinstance(protocol, str | PathLike) else name
