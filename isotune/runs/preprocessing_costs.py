"""What each step of an evaluation costs, of preprocessing or in the network: evaluations of one checkpoint's own
classifier, compared image by image.

Every cell is held against the one that is evaluated as published (or as the protocol's [input] says), `identical`, with
the same model, checkpoint, images and numeric mode. Both saw the same images, so the difference is that of a pair, much
sharper than two accuracies with an interval each: the share of predictions that changed, and McNemar's exact test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from isotune import data
from isotune.errors import UsageError
from isotune.models import contents
from isotune.protocols import Input
from isotune.reference_results import conditions
from isotune.runs.own_classifier import published_input
from isotune.runs.records import Cell, Record
from isotune.runs.store import Store
from isotune.statistics import McNemar, mcnemar, predictions_changed


@dataclass(frozen=True)
class Compared:
    """Two evaluations of the same images: second against first."""

    points: float  # accuracy of the second less that of the first, percentage points
    changed: float  # share of the images that got another class, percent
    test: McNemar


@dataclass(frozen=True)
class Cost:
    record: Record
    what: str  # what is done otherwise: "resize=plain", "squash", "native"; empty: the evaluation itself
    against: Compared | None  # the evaluation itself; None: it is this one, or did not run


def compare(first: Record, second: Record, store: Store) -> Compared:
    """Two such records of the same images, of one model or of two libraries', image by image.

    UsageError: other images or classes, predictions that are gone, or those of another run.
    """
    images = [(record.cell.dataset_digest, record.cell.protocol.images.test) for record in (first, second)]
    if images[0] != images[1]:
        raise UsageError(f"{first.cell} and {second.cell} were not evaluated on the same images")
    dataset = data.load(first.cell.dataset, first.cell.dataset_digest)
    labels = dataset.test.labels[data.subset(dataset.test.labels, images[0][1])]
    a, b = map(store.predictions, (first, second))
    gap = float(np.mean(b == labels)) - float(np.mean(a == labels))
    return Compared(100 * gap, 100 * predictions_changed(a, b), mcnemar(a, b, labels))


def costs(records: Iterable[Record], store: Store) -> list[Cost]:
    """Of every such record that is done: the evaluation itself first, then what is done otherwise."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        if record.cell.protocol.own_classifier is not None and record.metrics is not None:
            groups.setdefault(_group(record.cell), []).append(record)
    listed = []
    for group in groups.values():
        base = next((record for record in group if not otherwise(record.cell)), None)
        for record in sorted(group, key=lambda record: record is not base):
            against = compare(base, record, store) if base is not None and record is not base else None
            listed.append(Cost(record, otherwise(record.cell), against))
    return listed


def _group(cell: Cell) -> tuple[object, ...]:
    recipe = cell.protocol
    plain = recipe.model_copy(update={"input": Input(), "own_classifier": None}).model_dump_json()
    return cell.model, cell.checkpoint, cell.dataset_digest, plain, cell.mode


def otherwise(cell: Cell) -> str:
    """In what a cell is not the evaluation itself: the step's name, then the conventions; empty: it is."""
    assert cell.protocol.own_classifier is not None
    conventions = cell.conventions.removeprefix("identical").lstrip(",")
    return ", ".join(filter(None, [cell.protocol.own_classifier.step, conventions]))


def lines(costs: Sequence[Cost]) -> list[str]:
    """The costs as text, a line each, for a terminal."""
    return [_line(cost) for cost in costs]


def _line(cost: Cost) -> str:
    cell, metrics = cost.record.cell, cost.record.metrics
    assert metrics is not None
    shown = f"{metrics.accuracy:.2%}" + ("" if metrics.top5 is None else f" (top-5 {metrics.top5:.2%})")
    if not cost.what:
        shown = f"{metrics.accuracy:.2%}" + (f" ({metrics.beside_accuracy})" if metrics.beside_accuracy else "")
        input = cell.protocol.input
        crop = "squash" if input.resize == "squash" else f"of {input.resize}"
        evaluation = f"{input.size} px, {crop}, {input.interpolation}"
        said = f"{cell.model} on {cell.dataset}: {shown} of {metrics.test_images} images at {evaluation}"
        return f"{said}{_published(cell)}"
    if cost.record.same_as is not None:
        return f"  {cost.what}: as {cost.record.same_as}"
    if cost.against is None:
        return f"  {cost.what}: {shown}"
    test = cost.against.test
    gap = f"{cost.against.points:+z.2f} points; {cost.against.changed:.2f} % of predictions changed"
    return (
        f"  {cost.what}: {shown}, {gap}, {test.only_first} right only before, {test.only_second} only now,"
        f" p = {test.p:.2g}"
    )


def _published(cell: Cell) -> str:
    """The number that the evaluation is taken from, where it is of the same data set."""
    assert cell.protocol.own_classifier is not None
    if cell.protocol.own_classifier.input != "published":
        return ""
    if contents.weights_file(cell.checkpoint) is not None:
        return "; as stands beside the file of weights"
    if (row := published_input(cell)[1]) is None:
        return ""
    if row.dataset != conditions(cell).dataset:
        return f"; the evaluation of its number on {row.dataset}"
    return f"; published: {row.value:g} % ({row.source})"
