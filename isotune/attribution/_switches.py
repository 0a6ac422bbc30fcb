"""Which axes are switched on the way from one set-up to another, and the runs of a model with some of them switched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np

from isotune import data
from isotune.attribution._shapley import Coalition
from isotune.comparison import requests
from isotune.comparison.sides import Inputs, Side
from isotune.conventions import AXES, PIXEL_AXES
from isotune.errors import UsageError
from isotune.protocols import SGD, Protocol, Schedule, Stage, form_axes, relevant_axes
from isotune.runs import own_classifier
from isotune.runs.records import Cell
from isotune.seeds import Seeds
from isotune.workers.process import WorkerFailure, Workers

_ANY_STAGE = Stage(steps=1, batch_size=1, optimizer=SGD(name="sgd"), schedule=Schedule(learning_rate=1.0))


@dataclass(frozen=True)
class Switch:
    """An axis, from the left's value to the right's."""

    axis: str
    left: Any
    right: Any


@dataclass(frozen=True)
class Aside:
    """An axis in which the two differ and that is not switched."""

    switch: Switch
    why: str


@dataclass(frozen=True)
class Plan:
    """Two set-ups of one protocol, and what is switched on the left one."""

    left: Side
    right: Side
    dataset: data.Dataset
    protocol: Protocol  # of an evaluation of its own classifier, as the left is evaluated
    switches: tuple[Switch, ...]
    aside: tuple[Aside, ...]

    def ours(self, switched: Coalition, seed: int) -> Cell:
        """The left model with these axes switched."""
        return self._cell(self.left.under({s.axis: s.right for s in self.switches if s.axis in switched}), seed)

    def theirs(self, seed: int) -> Cell:
        """The right model under its own set-up."""
        return self._cell(self.right, seed)

    def _cell(self, side: Side, seed: int) -> Cell:
        return cell(side, self.dataset, self.protocol, seed)


def cell(side: Side, dataset: data.Dataset, protocol: Protocol, seed: int) -> Cell:
    """The run of a side. UsageError: an evaluation of its own classifier that is not known."""
    asked = Cell(
        model=side.model,
        checkpoint=side.checkpoint,
        dataset=dataset.name,
        dataset_digest=dataset.digest,
        protocol=protocol,
        conventions=side.conventions,
        seeds=Seeds.all(seed),
        **side.settings,
    )
    return next(own_classifier.setups(asked)) if protocol.own_classifier else asked


def plan(left: Side, right: Side, dataset: data.Dataset, protocol: Protocol, workers: Workers) -> Plan:
    """What is switched between two set-ups: the axes that differ and can matter under the protocol.

    Values that a library leaves open are read off its model, which is built for it. UsageError: it cannot be.
    """
    protocol = cell(left, dataset, protocol, 0).protocol
    ours, theirs = (form_axes.settled(protocol, _axes(side, dataset, protocol, workers)) for side in (left, right))
    matter = relevant_axes(protocol.stage).union(form_axes.relevant_forms(protocol))
    same = set(_same_images(ours, theirs, dataset, protocol))
    switches, aside = [], []
    for axis in AXES:
        if ours.get(axis) == theirs.get(axis):
            continue
        switch = Switch(axis, ours[axis], theirs[axis])
        if axis not in matter:
            aside.append(Aside(switch, "cannot matter under this protocol"))
        elif axis in same:
            aside.append(Aside(switch, "every image comes out the same, byte for byte"))
        elif AXES[axis].leaves_open(switch.right):
            aside.append(Aside(switch, "the right leaves it to its library, so there is no value to switch to"))
        else:
            switches.append(switch)
    return Plan(left, right, dataset, protocol, tuple(switches), tuple(aside))


def _axes(side: Side, dataset: data.Dataset, protocol: Protocol, workers: Workers) -> dict[str, Any]:
    stage = protocol.stage[0] if protocol.stage else _ANY_STAGE  # describing takes no step
    inputs = Inputs(
        recipe=protocol.conventions, stage=stage, rates=(), size=protocol.input.size, seed=0,
        classes=None if protocol.own_classifier else len(dataset.classes),
    )  # fmt: skip
    try:
        axes: dict[str, Any] = workers[side.adapter].ask(
            requests.describe, side=side.model_dump(mode="json"), inputs=inputs.model_dump(mode="json")
        )["axes"]
    except WorkerFailure as error:
        raise UsageError(f"{side.model} cannot be built: {error}") from None
    return axes


def _same_images(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], dataset: data.Dataset, protocol: Protocol
) -> Iterator[str]:
    """The axes of the input that change no byte of any image, whatever the others of them are."""
    if protocol.augmentation.random_resized_crop:  # crops are resized anew at every epoch
        return
    for axis in PIXEL_AXES:
        if ours[axis] != theirs[axis] and all(
            _equal(dataset, protocol, split, {axis: ours[axis], **rest}, {axis: theirs[axis], **rest})
            for rest in _others(axis, ours, theirs)
            for split in _splits(protocol)
        ):
            yield axis


def _others(axis: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    others = [other for other in PIXEL_AXES if other != axis]
    for values in product(*(dict.fromkeys((ours[other], theirs[other])) for other in others)):
        yield dict(zip(others, values, strict=True))


def _splits(protocol: Protocol) -> Sequence[Literal["train", "test"]]:
    return ("test",) if protocol.own_classifier else ("train", "test")


def _equal(
    dataset: data.Dataset,
    protocol: Protocol,
    split: Literal["train", "test"],
    first: Mapping[str, Any],
    second: Mapping[str, Any],
) -> bool:
    a, b = (data.inputs(dataset, split, protocol.images, protocol.input, **axes)[0] for axes in (first, second))
    return all(np.array_equal(a[start : start + 64], b[start : start + 64]) for start in range(0, len(a), 64))
