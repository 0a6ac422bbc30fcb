"""A sweep: matrices one after another, without what is excluded. The options of `isotune run` are a sweep of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from isotune import data
from isotune.errors import UsageError
from isotune.runs import planning
from isotune.runs.planning import Matrix
from isotune.runs.records import Cell

MOST_CELLS = 1_000_000  # more than a typing error leaves, and what a plan holds in 3 GB


@dataclass(frozen=True)
class Exclusion:
    """Cells that are left out: those that match something of each axis that is given.

    Wildcards as of a shell, in the names that cells have. where: what names it in an error.
    """

    models: Sequence[str] = ()
    checkpoints: Sequence[str] = ()
    datasets: Sequence[str] = ()
    protocols: Sequence[str] = ()
    conventions: Sequence[str] = ()
    modes: Sequence[str] = ()
    seeds: Sequence[int] = ()
    where: str = "exclude"

    def matches(self, cell: Cell) -> bool:
        return (
            _any(self.models, cell.model)
            and _any(self.checkpoints, cell.checkpoint)
            and _any(self.datasets, cell.dataset)
            and _any(self.protocols, cell.protocol.name)
            and _any(self.conventions, cell.conventions)
            and _any(self.modes, cell.spelling)
            and (not self.seeds or cell.seeds.head in self.seeds)
        )


def _any(patterns: Sequence[str], name: str) -> bool:
    return not patterns or any(pattern == name or fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class Sweep:
    """What is to be run.

    matrices: in the order in which they run; what two of them have in common is one cell.
    """

    matrices: Sequence[Matrix]
    exclude: Sequence[Exclusion] = ()

    @property
    def datasets(self) -> list[str]:
        """Names of all data sets."""
        return list(dict.fromkeys(name for matrix in self.matrices for name in matrix.datasets))

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(name for matrix in self.matrices for name in matrix.models))

    def cells(self, prepared: Mapping[str, data.Dataset]) -> list[Cell]:
        """Every cell once. prepared: data sets by name. UsageError: a name is wrong, a combination impossible, an
        exclusion excludes nothing or all, or there are too many."""
        check_size(self.matrices)
        made = {cell.key: cell for matrix in self.matrices for cell in planning.cells(matrix, prepared)}
        excluded: set[str] = set()
        for exclusion in self.exclude:
            matching = {key for key, cell in made.items() if exclusion.matches(cell)}
            if not matching:
                raise UsageError(f"{exclusion.where}: excludes nothing; correct or remove it")
            excluded |= matching
        if made and len(excluded) == len(made):
            raise UsageError(f"{self.exclude[-1].where}: excludes all that was left; nothing is to be run")
        return [cell for key, cell in made.items() if key not in excluded]


def size(matrix: Matrix) -> int:
    """The most cells that a matrix comes to."""
    axes: Iterable[Sequence[object]] = (matrix.models, matrix.datasets, matrix.protocols, matrix.conventions)
    product = len(matrix.seeds)
    for axis in axes:
        product *= len(axis)
    return product


def check_size(matrices: Iterable[Matrix], where: str = "") -> None:
    """UsageError: more cells than can be held."""
    if (count := sum(map(size, matrices))) > MOST_CELLS:
        raise UsageError(f"{where}{count:,} cells; at most {MOST_CELLS:,} in one sweep: make several")
