"""Which checkpoints are the same weights: `lineage.csv`.

One row a pair of checkpoints, or one of a checkpoint that has no counterpart (`second` empty). What the rows rest on is
in `evidence`: hashes in file names, conversion scripts, docstrings, parameter counts; tensors were compared in no case.

| column | |
|---|---|
| first, first_checkpoint, second, second_checkpoint | as in isotune's names; `kerashub:` are KerasHub's presets |
| relation | a key of `RELATIONS`: converted is another layout, other-weights one name and another training |
| confidence | high, medium, low |
| evidence, differences, source | in words; differences: of the function around the weights, and of the evaluation |
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

RELATIONS = {
    "same-file": "the same file",
    "converted": "the same weights, converted",
    "same-origin-likely": "likely of one origin",
    "other-weights": "other weights, in spite of the name",
    "none": "no counterpart",
}


@dataclass(frozen=True)
class Kinship:
    """One row of `lineage.csv`."""

    first: str
    first_checkpoint: str
    second: str  # "": none
    second_checkpoint: str
    relation: str  # a key of RELATIONS
    confidence: str
    evidence: str
    differences: str
    source: str

    def other(self, model: str, checkpoint: str) -> tuple[str, str]:
        """The checkpoint at the other end, as (model, checkpoint)."""
        first = self.first, self.first_checkpoint
        return (self.second, self.second_checkpoint) if (model, checkpoint) == first else first


def kinships() -> tuple[Kinship, ...]:
    """All rows, in the order of the file."""
    return _kinships()


def kin(model: str, checkpoint: str) -> tuple[Kinship, ...]:
    """The rows that name a checkpoint, on either side, nearest relation first."""
    order = list(RELATIONS)
    return tuple(sorted(_by_checkpoint().get((model, checkpoint), ()), key=lambda row: order.index(row.relation)))


@cache
def _kinships() -> tuple[Kinship, ...]:
    text = resources.files(__package__).joinpath("lineage.csv").read_text(encoding="utf-8")
    return tuple(Kinship(**row) for row in csv.DictReader(text.splitlines()))


@cache
def _by_checkpoint() -> dict[tuple[str, str], list[Kinship]]:
    by_end: dict[tuple[str, str], list[Kinship]] = {}
    for row in _kinships():
        for end in {(row.first, row.first_checkpoint), (row.second, row.second_checkpoint)}:
            by_end.setdefault(end, []).append(row)
    return by_end
