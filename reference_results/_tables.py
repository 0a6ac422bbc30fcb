"""The CSV files, read once: references, what their protocols are, and why some contradict each other."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any

from isotune.errors import UsageError, nearest
from isotune.reference_results._schema import Reference, parse

if TYPE_CHECKING:
    import pandas as pd

PROTOCOLS, CONTRADICTIONS, LINEAGE = "protocols.csv", "contradictions.csv", "lineage.csv"
OTHER = frozenset({PROTOCOLS, CONTRADICTIONS, LINEAGE})  # CSV files that hold no references
TRAINS = ("nothing", "head", "part", "all", "not-stated")


@dataclass(frozen=True)
class Recipe:
    """A protocol under which numbers were published."""

    protocol: str
    trains: str  # one of TRAINS
    recipe: str  # in words
    accounted: tuple[str, ...]  # deviations that isotune's protocol names and that columns of the row already say


@dataclass(frozen=True)
class Explanation:
    """Why published numbers of some models contradict each other."""

    adapter: str
    models: tuple[str, ...]  # patterns, as in file names: ResNet*V2
    checkpoint: str  # "*": any
    dataset: str
    metric: str
    others: tuple[str, ...]  # ADAPTER:MODEL:CHECKPOINT[@SIZE]: further models that hold the same weights
    status: str  # explained, partly, open
    why: str
    sources: tuple[str, ...]  # keys of citations


def folder() -> Traversable:
    return resources.files(__package__ or "isotune.reference_results")


def files(where: Traversable | None = None) -> list[Traversable]:
    """The CSV files that hold references, by name."""
    entries = (where or folder()).iterdir()
    return sorted((e for e in entries if e.name.endswith(".csv") and e.name not in OTHER), key=lambda entry: entry.name)


def rows(file: Traversable) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines of a CSV file as text, with the number of the line that each ends on."""
    reader = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")))
    for row in reader:
        yield reader.line_num, row


@cache
def _all() -> tuple[Reference, ...]:
    parsed = []
    for file in files():
        for line, row in rows(file):
            try:
                parsed.append(parse(row, file.name))
            except ValueError as error:
                raise UsageError(f"reference_results/{file.name}, line {line}: {error}") from None
    return tuple(parsed)


def references(**wanted: object) -> list[Reference]:
    """All published numbers whose fields equal those given: `references(dataset="cifar10", metric="top-1")`.

    UsageError: no such field, or a row that breaks the schema (`isotune doctor --references` names all of them).
    """
    for name in wanted:
        if name not in Reference.__slots__:
            raise UsageError(f"a reference has no field {name!r}; {nearest(name, Reference.__slots__)}")
    return [row for row in _all() if all(getattr(row, name) == value for name, value in wanted.items())]


@cache
def _by_dataset() -> dict[str, list[Reference]]:
    by_dataset: dict[str, list[Reference]] = {}
    for row in _all():
        by_dataset.setdefault(row.dataset, []).append(row)
    return by_dataset


def on_dataset(dataset: str) -> list[Reference]:
    """`references(dataset=...)` without a pass over all."""
    return _by_dataset().get(dataset, [])


@cache
def _architectures() -> dict[tuple[str, str], str]:
    return {(row.adapter, row.model): row.architecture for row in _all()}


def architecture(adapter: str, model: str) -> str:
    """isotune's name of a model's architecture; the model's own name when the tables have no such model."""
    return _architectures().get((adapter, model), model)


def frame() -> pd.DataFrame:
    """All published numbers as a table, a column a field of `Reference`."""
    import pandas as pd

    names = [name for name in Reference.__slots__ if name != "expected"]
    return pd.DataFrame([[getattr(row, name) for name in names] for row in _all()], columns=names)


@cache
def recipes() -> dict[str, Recipe]:
    """The protocols that rows name, by that name."""
    return {
        row["protocol"]: Recipe(row["protocol"], row["trains"], row["recipe"], _parts(row["accounted"]))
        for _, row in rows(folder() / PROTOCOLS)
    }


@cache
def explanations() -> tuple[Explanation, ...]:
    """contradictions.csv, in its order: the first that fits is taken."""
    return tuple(explanation(row) for _, row in rows(folder() / CONTRADICTIONS))


def explanation(row: Mapping[str, str]) -> Explanation:
    """A row of contradictions.csv."""
    return Explanation(
        row["adapter"], tuple(row["models"].split()), row["checkpoint"], row["dataset"], row["metric"],
        tuple(row["others"].split()), row["status"], row["why"], tuple(row["sources"].split()),
    )  # fmt: skip


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(" | ") if part.strip())


def published_top1(adapter: str, model: str, checkpoint: str, size_px: int | None = None) -> float | None:
    """ImageNet top-1 in percent as imagenet.csv has it, or None; torchvision's come with torchvision itself.

    size_px: the evaluation at that size; absent: at the smallest, which for timm's checkpoints is the size that
    the library takes by default (the larger one is its `test_input_size`).
    """
    by_size = _by_checkpoint().get((adapter, model, checkpoint), {})
    if size_px is not None:
        return by_size.get(size_px)
    return next(iter(by_size.values()), None)


@cache
def _by_checkpoint() -> dict[tuple[str, str, str], dict[int, float]]:
    """Top-1 by size, sizes rising (0: not stated), so that thousands of look-ups cost one pass."""
    top1: dict[tuple[str, str, str], dict[int, float]] = {}
    chosen = (row for row in references(file="imagenet.csv", metric="top-1") if row.adapter != "torchvision")
    for row in sorted(chosen, key=lambda row: row.size_px or 0):
        top1.setdefault((row.adapter, row.model, row.checkpoint), {})[row.size_px or 0] = row.value
    return top1


def default_checkpoint(adapter: str, model: str) -> str | None:
    """What `pretrained` means for a model, as of the library's version that the table was made with."""
    return _defaults().get((adapter, model))


@cache
def _defaults() -> dict[tuple[str, str], str]:
    return {(row.adapter, row.model): row.checkpoint for row in _all() if row.default}
