"""`isotune.watch`: finds the adapter's hooks for a model, and hands them a writer."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib.metadata import entry_points
from typing import Any

from isotune.errors import MissingExtra, UsageError, listed
from isotune.places import path
from isotune.recordings._writing import Writer

GROUP = "isotune.watchers"
OFF = "ISOTUNE_WATCH"  # 0: every watch is off
DEFAULT_MOST = 8 << 30  # bytes


def watch(
    model: Any,
    optimizer: Any = None,
    folder: str | os.PathLike[str] = "recording",
    *,
    steps: int | Iterable[int] = (0, 1, 2),
    layers: int | Iterable[int] | None = None,
    statistics: int = 100,
    steps_per_epoch: int | None = None,
    most: int = DEFAULT_MOST,
    enabled: bool = True,
) -> Any:
    """Record what a training loop does, for `isotune.investigate("recording:A", "recording:B")`.

    In full steps: fingerprints of the batch, the learning rate as used, the loss (where the loop tells it:
    `watching.loss(loss)`), every gradient, weights and the optimizer's slots before and after, BatchNorm's statistics
    and what they were made of, random generators, and once the versions, flags and hyper-parameters. Of every step the
    rate and the number of images.

    model: a network of a framework that has a watcher. optimizer: the one that the loop steps; None: the model's own,
        where it has one. folder: new, empty, or an earlier recording, which is replaced.
    steps: recorded in full, counted from 0: 5, range(100, 103), (0, 1, 2). layers: those of them in which every layer's
        output is kept too; None: the first. statistics: norms of weights and gradients every so many steps; 0: never.
    steps_per_epoch: where it is known; a protocol's schedule cannot be held against the loop without it.
    most: bytes of all full steps together. enabled: False, or ISOTUNE_WATCH=0: the loop is left alone.
    Gives what the framework's hooks are: in a loop use it with `with`, or call its `.close()`; it closes itself when
    the last step is recorded and no statistics are asked for, and when Python ends.
    Errors: UsageError: no watcher knows the model, the folder holds something else or cannot be written; later, at the
    first full step: it would be larger than `most`.

    ::

        with isotune.watch(model, optimizer, "mine", steps=range(3)) as watching:
            for images, labels in loader:
                optimizer.zero_grad()
                watching.loss(criterion(model(images), labels), labels).backward()
                optimizer.step()
    """
    wanted = _numbers(steps, "steps")
    shown = wanted[:1] if layers is None else _numbers(layers, "layers")
    for name, value in (("statistics", statistics), ("most", most)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise UsageError(f"{name} = {value!r}: give a whole number, 0 or more")
    if steps_per_epoch is not None and (not isinstance(steps_per_epoch, int) or steps_per_epoch < 1):
        raise UsageError(f"steps_per_epoch = {steps_per_epoch!r}: give a whole number, 1 or more")
    hooks = _watcher(model)
    off = not enabled or os.environ.get(OFF, "1") == "0"
    writer = None if off else Writer(path(folder, "folder"), wanted, shown, statistics, most, steps_per_epoch)
    try:
        return hooks(model, optimizer, writer)
    except BaseException:
        if writer is not None:
            writer.abandon()
        raise


def _numbers(value: int | Iterable[int], argument: str) -> list[int]:
    given = [value] if isinstance(value, int) else value
    numbers = list(given) if isinstance(given, Iterable) else [given]
    if wrong := [each for each in numbers if not isinstance(each, int) or isinstance(each, bool) or each < 0]:
        raise UsageError(f"{argument}: {wrong[0]!r} is no number of a step; they count from 0: {argument}=range(3)")
    return numbers


def _watcher(model: Any) -> Any:
    """The function that hooks a writer into a model's framework: of the package that the nearest of its classes is
    from. UsageError: there is none."""
    known = {point.name: point for point in entry_points(group=GROUP)}
    for each in type(model).__mro__:
        package = each.__module__.partition(".")[0]
        if package in known:
            try:
                return known[package].load()
            except ImportError as error:
                raise MissingExtra(error.name or package, f"isotune[{package}]") from None
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise UsageError(f"{kind} is no network that can be watched; those of {listed(sorted(known))} can")
