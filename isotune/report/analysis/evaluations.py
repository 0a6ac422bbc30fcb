"""Evaluations of a checkpoint's own classifier: which records are one model's evaluation, and which its steps.

Under one protocol every model is evaluated as its number was published, so inputs differ within a section; its size
alone is the section's. Beside the evaluation itself stand steps, in each of which one thing is done otherwise
(`preprocessing_costs.otherwise`): they are no rows of their own, but prices of the row that they belong to.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from isotune.protocols import Input, Protocol
from isotune.runs.preprocessing_costs import otherwise
from isotune.runs.records import Cell, Record

_OF_A_ROW = ("classes", "step", "beside")  # of [own_classifier]: a row's, or a step's


@dataclass
class Evaluation:
    """One model's, in one mode. what: that sets it apart, where it is itself done otherwise and the evaluation that it
    belongs to is not there, or not known; empty: the evaluation itself."""

    records: list[Record]
    what: str = ""
    steps: list[Record] = field(default_factory=list)

    @property
    def input(self) -> Input:
        return self.records[0].cell.protocol.input


def recipe_key(cell: Cell) -> str:
    """Equal for cells that stand in one section, as far as their recipe says; JSON."""
    recipe = cell.protocol
    if recipe.own_classifier is None:
        return recipe.model_dump_json()
    said = recipe.model_dump(mode="json")
    said["input"] = {"size": recipe.input.size}
    said["own_classifier"] = {key: value for key, value in said["own_classifier"].items() if key not in _OF_A_ROW}
    return json.dumps(said)


def recipe(part: Sequence[Record]) -> Protocol:
    """Of a section; where its rows have inputs of their own, that of an evaluation itself, and no step's."""
    if part[0].cell.protocol.own_classifier is None:
        return part[0].cell.protocol
    first = min(part, key=lambda record: (otherwise(record.cell) != "", record.cell.model, record.cell.key))
    return first.cell.protocol


def evaluations(part: Sequence[Record]) -> list[Evaluation]:
    """Of the records of one model, checkpoint, section and mode: each evaluation with its steps.

    A step of conventions alone has the evaluation's own input. One of another input belongs to the only evaluation
    that there is; of several nobody knows to which, and it is one by itself, as is a step without its evaluation.
    """
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in part:
        if otherwise(record.cell) in ("", "native"):
            groups[_identity(record.cell)].append(record)
    by_identity = {identity: Evaluation(records) for identity, records in groups.items()}
    alone: dict[str, Evaluation] = {}
    for record in part:
        if (what := otherwise(record.cell)) in ("", "native"):
            continue
        if (home := _home(record.cell, by_identity)) is not None:
            home.steps.append(record)
        else:
            alone.setdefault(f"{_identity(record.cell)} {what}", Evaluation([], what)).records.append(record)
    return _told_apart([*by_identity.values(), *alone.values()])


def _home(cell: Cell, by_identity: dict[str, Evaluation]) -> Evaluation | None:
    own = cell.protocol.own_classifier
    assert own is not None
    if not own.step:
        return by_identity.get(_identity(cell))
    candidates = [each for each in by_identity.values() if _classes(each.records[0].cell) == _classes(cell)]
    return candidates[0] if len(candidates) == 1 else None


def _identity(cell: Cell) -> str:
    """What is evaluated, and how its images are made; JSON."""
    return json.dumps([cell.protocol.input.model_dump(mode="json"), _classes(cell)])


def _classes(cell: Cell) -> Sequence[str]:
    assert cell.protocol.own_classifier is not None
    return cell.protocol.own_classifier.classes


def _told_apart(several: list[Evaluation]) -> list[Evaluation]:
    """Where two are called the same, each by its input, and where that is the same too, by a number."""
    for name in (_by_input, _by_number):
        calls: dict[str, list[Evaluation]] = defaultdict(list)
        for each in several:
            calls[each.what].append(each)
        for group in calls.values():
            if len(group) > 1:
                for each, words in zip(group, name(group), strict=True):
                    each.what = ", ".join(filter(None, (each.what, words)))
    return several


def _by_input(group: Iterable[Evaluation]) -> Iterator[str]:
    return (described(each.input) for each in group)


def _by_number(group: Iterable[Evaluation]) -> Iterator[str]:
    return (f"names {place}" for place, _ in enumerate(group, start=1))


def described(input: Input) -> str:
    """How an image becomes the network's input, in words."""
    return f"{'squashed' if input.resize == 'squash' else f'of {input.resize}'}, {input.interpolation}"
