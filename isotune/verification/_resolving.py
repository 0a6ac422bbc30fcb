"""Which cells a published number is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from isotune.data import Dataset, subset
from isotune.errors import UsageError, listed
from isotune.protocols import Expected
from isotune.report import HandedIn
from isotune.runs.records import Cell

_AXES = ("model", "checkpoint", "dataset", "protocol")


def resolve(expected: Expected, cells: Iterable[Cell], where: str = "expect") -> HandedIn:
    """The cells of one row, in all its seeds. Of a checkpoint's evaluation the steps beside it are not what is claimed;
    set-ups with overrides are, where the number names them.

    UsageError: it is about none of the cells, or could be about several rows.
    """
    every = [cell for cell in cells if not (cell.protocol.own_classifier and cell.protocol.own_classifier.step)]
    chosen = [cell for cell in every if _matches(expected, cell)]
    if expected.conventions is None:
        chosen = [cell for cell in chosen if "," not in cell.conventions] or chosen
    for axis in _AXES:
        names = sorted({_of(cell, axis) for cell in (chosen or every)})
        if len(names) > 1 and chosen:
            raise UsageError(
                f"{where}: {expected}: of which {axis} is it? Add {axis}=NAME, one of {listed(names, most=4)}"
            )
        if not chosen and (said := getattr(expected, axis)) is not None and said not in names:
            raise UsageError(f"{where}: {expected}: {axis} {said!r} is not run; there is {listed(names, most=4)}")
    if not chosen:
        said = sorted({cell.conventions for cell in every})
        raise UsageError(
            f"{where}: {expected}: conventions {expected.conventions!r} are not run; there is {listed(said)}"
        )
    if expected.predictions is not None:
        file = Path(expected.predictions).expanduser().absolute()
        if not file.is_file():
            raise UsageError(f"{where}: predictions: there is no {file}")
        expected = expected.model_copy(update={"predictions": str(file)})
    return HandedIn(expected, frozenset(cell.key for cell in chosen))


def check_measured(number: HandedIn, cells: Iterable[Cell], sets: Mapping[str, Dataset], where: str = "expect") -> None:
    """UsageError: the runs that a number is about do not measure it. sets: by the name that cells have."""
    expected = number.expected
    cell = next(cell for cell in cells if cell.key in number.cells)
    recipe, at = cell.protocol, expected.at or "last"
    rule = recipe.selection
    if at not in recipe.measured or (rule and at == "mean-of-last" and rule.last != expected.last):
        has = [f"{name} (of {rule.last})" if rule and name == "mean-of-last" else name for name in recipe.measured]
        of = f"{at} (of {expected.last})" if expected.last else at
        raise UsageError(
            f"{where}: {expected}: at = {of} is not what protocol {recipe.name} measures, which is {listed(has)};"
            " say another, or give the protocol a [selection] that does"
        )
    if expected.metric == "mean_per_class":
        dataset = sets[cell.dataset]
        labels = dataset.test.labels
        there = set(labels[subset(labels, recipe.images.test)].tolist())
        if lacking := [name for place, name in enumerate(dataset.classes) if place not in there]:
            raise UsageError(
                f"{where}: {expected}: mean_per_class is over all {len(dataset.classes)} classes, and {len(lacking)} of"
                f" {dataset.name} have no test images: {listed(lacking, most=4)}; add some, or claim the accuracy"
            )


def resolve_listed(expected: Expected, cells: Iterable[Cell], where: str) -> HandedIn | str:
    """As `resolve`, of a number that a protocol lists among others: a line where it is about nothing that is run."""
    here = list(cells)
    if any(_matches(expected, cell) for cell in here):
        return resolve(expected, here, where)
    of = ", ".join(f"{axis} {said}" for axis in _AXES[:3] if (said := getattr(expected, axis)) is not None)
    return f"{where}: {expected} is of {of or 'conventions ' + str(expected.conventions)}, which is not run here"


def _of(cell: Cell, axis: str) -> str:
    return cell.protocol.name if axis == "protocol" else str(getattr(cell, axis))


def _matches(expected: Expected, cell: Cell) -> bool:
    axes: Sequence[str] = (*_AXES, "conventions")
    return all(getattr(expected, axis) in (None, _of(cell, axis)) for axis in axes)
