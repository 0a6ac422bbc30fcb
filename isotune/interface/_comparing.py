"""Two models compared: why they differ, and the proof that they do not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from isotune import defaults, investigation, parity, protocols
from isotune.errors import UsageError
from isotune.interface import arguments
from isotune.interface._recordings import compare, is_about_recordings
from isotune.interface.arguments import Conventions, Dataset, Model, PathLike, Protocol
from isotune.investigation import Dump, Investigation, Side
from isotune.parity import Proofs
from isotune.progress import Progress
from isotune.recordings import Comparison, Recording

Compared = Model | Side | Dump
Recorded = Recording | protocols.Protocol


def investigate(
    left: Compared | Recorded,
    right: Compared | Recorded,
    *,
    dataset: Dataset = defaults.DATASET,
    protocol: Protocol = defaults.PROTOCOL,
    checkpoint: PathLike = defaults.CHECKPOINT,
    right_checkpoint: PathLike | None = None,
    conventions: Conventions = "native",
    right_conventions: Conventions | None = None,
    numeric_mode: str = "float64",
    right_numeric_mode: str | None = None,
    layout: str | None = None,
    right_layout: str | None = None,
    left_compiled: bool = False,
    right_compiled: bool = False,
    left_python: PathLike | None = None,
    right_python: PathLike | None = None,
    images: int = 8,
    steps: int = 5,
    seed: int = 0,
    quick: bool = False,
    price: bool = False,
    seeds: int | str | Iterable[int] = defaults.SEEDS,
    store: PathLike = defaults.STORE,
    jobs: int = 1,
    keep: PathLike | None = None,
    reproducer: PathLike | None = None,
    name: str = "",
    progress: bool | Progress = True,
) -> Investigation | Comparison:
    """Say where two models part, rung by rung, by which convention, and what it costs.

    Pixels, scaled input, weights, every layer, logits, loss, gradients, BatchNorm buffers, one step and several are
    compared in float64, each rung by itself too, given the left's values of all before it.

    left, right: models as of `isotune.run`, an `isotune.investigation.Side` with a set-up of its own, or a dump
        (`dump:FOLDER`, or its folder as a path), which is the left one wherever it is given and has its own images.
        Or two recordings of training loops (`recording:FOLDER`, `isotune.watch` writes them), one and a protocol
        (`protocol:NAME`, `protocol:NAME:STAGE`), or two protocols: nothing is run then, no other argument counts but
        the data set of the loop, and what comes of it is an `isotune.recordings.Comparison`.
    dataset, protocol, checkpoint, conventions, numeric_mode, layout: as of `isotune.run`, one each, of both sides or of
        the left where the right has its own. left_python, right_python: other environments' interpreters.
    images: how many the ladder is walked with. steps: of training on them. seed: of the classifier.
    quick: inference alone; the rungs of training are not judged.
    price: also run the protocol with every set of differing conventions, and share the difference in accuracy out among
        them, points; seeds, store, jobs: of these runs, as of `isotune.run`.
    keep: a folder; where one side fails, a dump of the other is kept there. reproducer: a file, FILE.py; where a rung
        fails by itself, the least that still fails is written there, as a script of at most 40 lines that was run: it
        needs the two libraries and NumPy. `.reproducer` has it, or says why there is none.
    name: of the report and of the dump.
    A side that fails, and an interruption, end the walk: `.stopped` says why, and the rungs until then are there.
    Errors: UsageError: a name is wrong, or neither side can be built.

    >>> walk = isotune.investigate("torchvision:mobilenet_v2", "keras:MobileNetV2", dataset="digits")
    >>> walk.verdict, walk.causes, walk.write("reports/investigations")
    """
    if is_about_recordings(left, right):
        if price or reproducer is not None:
            what = "price" if price else "reproducer"
            raise UsageError(f"{what}: of recordings there is none, since nothing is run; leave it out")
        return compare(left, right, dataset)
    assert not isinstance(left, Recorded)
    assert not isinstance(right, Recorded)
    first, second = _side(left, "left"), _side(right, "right")
    script = None if reproducer is None else arguments.script(reproducer, "reproducer")
    walked = investigation.investigate(
        first,
        second,
        dataset=arguments.dataset(dataset),
        protocol=_recipe(protocol),
        checkpoint=arguments.checkpoint(checkpoint),
        right_checkpoint=_maybe(arguments.checkpoint, right_checkpoint, "right_checkpoint"),
        conventions=arguments.spec(conventions),
        right_conventions=_maybe(arguments.spec, right_conventions, "right_conventions"),
        numeric_mode=arguments.numeric_mode(numeric_mode),
        right_numeric_mode=_maybe(arguments.numeric_mode, right_numeric_mode, "right_numeric_mode"),
        layout=arguments.layout(layout),
        right_layout=arguments.layout(right_layout, "right_layout"),
        left_compiled=arguments.flag(left_compiled, "left_compiled"),
        right_compiled=arguments.flag(right_compiled, "right_compiled"),
        left_python=_maybe(arguments.interpreter, left_python, "left_python"),
        right_python=_maybe(arguments.interpreter, right_python, "right_python"),
        images=arguments.count(images, "images", 2),
        steps=arguments.count(steps, "steps", 2),
        seed=arguments.count(seed, "seed", 0),
        quick=arguments.flag(quick, "quick"),
        price=arguments.flag(price, "price"),
        seeds=seeds,
        store=arguments.path(store, "store"),
        jobs=arguments.count(jobs, "jobs"),
        keep=None if keep is None else arguments.path(keep, "keep"),
        reproducer=script is not None,
        name=name,
        progress=progress,
    )
    if script is not None and walked.reproducer is not None and walked.reproducer.text:
        walked.reproducer.write(script)
    return walked


def dump(
    model: Model | Side,
    folder: PathLike,
    *,
    dataset: Dataset = defaults.DATASET,
    protocol: Protocol = defaults.PROTOCOL,
    checkpoint: PathLike = defaults.CHECKPOINT,
    conventions: Conventions = "native",
    python: PathLike | None = None,
    images: int = 8,
    steps: int = 5,
    seed: int = 0,
    progress: bool | Progress = True,
) -> Path:
    """Write down all that a model shows, in float64, to be investigated elsewhere as `dump:FOLDER`; the folder.

    For two sides that cannot run on one machine. Arguments and errors as of `investigate`.

    >>> isotune.dump("torchvision:mobilenet_v2", "mobilenet-dump")
    """
    return investigation.dump(
        model if isinstance(model, Side) else arguments.model(model),
        arguments.path(folder, "folder"),
        dataset=arguments.dataset(dataset),
        protocol=_recipe(protocol),
        checkpoint=arguments.checkpoint(checkpoint),
        conventions=arguments.spec(conventions),
        python=_maybe(arguments.interpreter, python, "python"),
        images=arguments.count(images, "images", 2),
        steps=arguments.count(steps, "steps", 2),
        seed=arguments.count(seed, "seed", 0),
        progress=progress,
    )


def prove(
    left: Model,
    right: Model,
    *,
    checkpoint: PathLike = "random:0",
    conventions: Conventions = "identical",
    size: int | str | tuple[int, int] | None = None,
    batch: int | None = None,
    seed: int = 0,
    numeric_mode: str = "float64",
    only: str | Iterable[str] | None = None,
    until_failure: bool = False,
    store: PathLike = parity.DEFAULT_STORE,
    fresh: bool = False,
    progress: bool | Progress = True,
) -> Proofs:
    """Prove that two models of one architecture are one function and train as one, rung by rung, in float64.

    Features, every layer, loss, gradients, one step and ten steps of five optimizers, BatchNorm buffers, optimizer
    slots and logits are compared, from one checkpoint under one set of conventions.

    checkpoint: the left's, which both start from. conventions: of both: the checkpoint's (identical), the left's own
        (native), with overrides. size: of the images, pixels: a side, (height, width) or "HEIGHTxWIDTH"; None: odd and
        oblong, or what is just large enough. batch: images; None: 5, or fewer of large networks. seed: of images,
        labels and classifier. numeric_mode: of float32 a float64 run of the left judges the forward pass.
    only: these stages: "inference", "gradients", "sgd", "nesterov", "adam", "adamw", "rmsprop". until_failure: end at
        the first stage that does not hold. store: folder of results; fresh: prove again what is there.
    What a model cannot do is in its result's `error`. Errors: UsageError: the two are no pair, or a value cannot be.

    In another project's tests:

    >>> isotune.prove("keras:MobileNetV2", "timm:mobilenetv2_100", only="inference").assert_identical()
    """
    return parity.prove(
        arguments.model(left, "left"),
        arguments.model(right, "right"),
        **_asked(checkpoint, conventions, size, batch, seed, numeric_mode, only, until_failure, store, fresh),
        progress=progress,
    )


def prove_all(
    architectures: str | Iterable[str] | None = None,
    *,
    libraries: str | Iterable[str] | None = None,
    kept: bool = False,
    jobs: int = 2,
    checkpoint: PathLike = "random:0",
    conventions: Conventions = "identical",
    size: int | str | tuple[int, int] | None = None,
    batch: int | None = None,
    seed: int = 0,
    numeric_mode: str = "float64",
    only: str | Iterable[str] | None = None,
    until_failure: bool = False,
    store: PathLike = parity.DEFAULT_STORE,
    fresh: bool = False,
    progress: bool | Progress = True,
) -> Proofs:
    """`prove` for every architecture that has counterparts in other libraries, or for those named, the smallest
    networks first; what was done before is not done again.

    libraries: the first's models against those of the others, "torchvision,timm"; None: of every library whose adapter
        names counterparts. kept: prove nothing, give what the store has. jobs: architectures at the same time, each of
        one to two cores. Other arguments and errors as of `prove`.

    >>> isotune.prove_all("mobilenet_v2", libraries="torchvision,timm").frame()
    """
    named = _words(architectures, "architectures")
    return parity.prove_all(
        named,
        libraries=_words(libraries, "libraries"),
        kept=arguments.flag(kept, "kept"),
        jobs=arguments.count(jobs, "jobs"),
        progress=progress,
        **_asked(checkpoint, conventions, size, batch, seed, numeric_mode, only, until_failure, store, fresh),
    )


def _asked(
    checkpoint: PathLike,
    conventions: Conventions,
    size: int | str | tuple[int, int] | None,
    batch: int | None,
    seed: int,
    numeric_mode: str,
    only: str | Iterable[str] | None,
    until_failure: bool,
    store: PathLike,
    fresh: bool,
) -> dict[str, Any]:
    return {
        "checkpoint": arguments.checkpoint(checkpoint), "conventions": arguments.spec(conventions),
        "size": None if size is None else arguments.sides(size),
        "batch": None if batch is None else arguments.count(batch, "batch", 2),
        "seed": arguments.count(seed, "seed", 0), "numeric_mode": arguments.numeric_mode(numeric_mode),
        "only": parity.check_stages(_words(only, "only")),
        "until_failure": arguments.flag(until_failure, "until_failure"),
        "store": arguments.path(store, "store"), "fresh": arguments.flag(fresh, "fresh"),
    }  # fmt: skip


def _words(value: str | Iterable[str] | None, argument: str) -> list[str]:
    """Words, or one text with commas between; none for None, which selects all. UsageError: there is none."""
    if value is None:
        return []
    words = value.split(",") if isinstance(value, str) else list(value) if isinstance(value, Iterable) else [value]
    if strange := [word for word in words if not isinstance(word, str)]:
        raise arguments.wrong(argument, "names", strange[0])
    if not (chosen := [word.strip() for word in words if word.strip()]):
        raise UsageError(f"{argument}: there is none; leave it out for all, or give at least one")
    return chosen


def _side(value: Compared, argument: str) -> str | Side | Dump:
    if isinstance(value, Side | Dump):
        return value
    if isinstance(value, os.PathLike) and Path(value).is_dir():
        return Dump(Path(value))
    return arguments.model(value, argument)


def _recipe(value: Protocol) -> Any:
    """As it was given, once it is known to be one: a report's command names it so."""
    arguments.recipe(value)
    return value


def _maybe(convert: Callable[[Any, str], Any], value: Any, argument: str) -> Any:
    """The left's, where nothing is given for the right."""
    return None if value is None or value == "" else convert(value, argument)
