"""Published numbers that contradict each other: same model, checkpoint and metric, apart by more than their rounding.

They are found in the tables, not listed by hand; contradictions.csv says why, where the reason is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from itertools import combinations

from isotune.reference_results._schema import Reference
from isotune.reference_results._tables import Explanation, explanations, recipes, references

_SAME = ("adapter", "model", "checkpoint", "dataset", "split", "train", "metric", "selection")


@dataclass(frozen=True)
class Contradiction:
    subject: Reference  # one of the rows: its model, checkpoint, data set and metric are what this is about
    references: tuple[Reference, ...]  # the lowest value first
    explanation: Explanation | None

    @property
    def gap(self) -> float:
        """Greatest less least value, in the metric's unit."""
        return self.references[-1].value - self.references[0].value

    def __str__(self) -> str:
        subject = self.subject
        values = " / ".join(f"{row.value:g} ({self._where(row)})" for row in self.references)
        return f"{subject.name} {subject.checkpoint}, {subject.dataset} {subject.metric}: {values}"

    def _where(self, row: Reference) -> str:
        other = "" if row.name == self.subject.name else f", {row.name}"
        return row.measured_by + other + (f", {row.size_px} px" if row.size_px else "")


def contradictions() -> list[Contradiction]:
    """All contradictions in the tables, the widest first.

    Two numbers contradict each other when they come from different sources and their roundings do not overlap.
    Repeated runs of one training protocol do not (see `published_spread`), nor do protocols that train different
    parts of the network. An explanation may name further models that hold the same weights.
    """
    return list(_of_tables())


@cache
def _of_tables() -> tuple[Contradiction, ...]:
    trains = {name: recipe.trains for name, recipe in recipes().items()}
    return tuple(find(references(), explanations(), trains))


def find(rows: Iterable[Reference], reasons: Sequence[Explanation], trains: Mapping[str, str]) -> list[Contradiction]:
    """`contradictions` of any rows. trains: what each protocol trains; the first reason that fits is taken."""
    alike: dict[tuple[object, ...], list[Reference]] = defaultdict(list)
    named: dict[tuple[str, str, str], list[Reference]] = defaultdict(list)
    for row in rows:
        if row.unit == "percent":
            alike[(*(getattr(row, name) for name in _SAME), trains.get(row.protocol, ""))].append(row)
            named[row.adapter, row.model, row.checkpoint].append(row)
    listed = []
    for group in alike.values():
        reason = next((each for each in reasons if explains(each, group[0])), None)
        others = _others(reason, group[0], named) if reason else []
        # By position in memory: a reference is compared with others, never with itself.
        parts = {id(row): row for pair in combinations(group, 2) if _contradict(*pair) for row in pair}
        for row in _at_smallest(group) if others else ():
            for other in others:
                if _apart(row, other):
                    parts |= {id(row): row, id(other): other}
        if parts:
            listed.append(Contradiction(group[0], tuple(sorted(parts.values(), key=lambda row: row.value)), reason))
    return sorted(listed, key=lambda each: -each.gap)


def _contradict(one: Reference, other: Reference) -> bool:
    repeated = one.train and one.protocol == other.protocol
    return one.source != other.source and not repeated and _apart(one, other)


def _apart(one: Reference, other: Reference) -> bool:
    # The slack of 1e-9 is for decimals that float64 does not hold.
    return abs(one.value - other.value) > one.half_unit + other.half_unit + 1e-9


def explains(explanation: Explanation, row: Reference) -> bool:
    """Whether an explanation is meant for a row, by its patterns."""
    return (
        explanation.adapter == row.adapter
        and any(fnmatchcase(row.model, pattern) for pattern in explanation.models)
        and fnmatchcase(row.checkpoint, explanation.checkpoint)
        and fnmatchcase(row.dataset, explanation.dataset)
        and fnmatchcase(row.metric, explanation.metric)
    )


def _others(
    reason: Explanation, like: Reference, named: Mapping[tuple[str, str, str], list[Reference]]
) -> list[Reference]:
    """The rows of the further models that an explanation names, of the same data set, split and metric."""
    further = []
    for spec in reason.others:
        adapter, model, checkpoint, size = parse_other(spec)
        rows = [
            row
            for row in named.get((adapter, model, checkpoint), ())
            if all(getattr(row, name) == getattr(like, name) for name in ("dataset", "split", "train", "metric"))
        ]
        further += _at_smallest(rows) if size is None else [row for row in rows if row.size_px == size]
    return further


def parse_other(spec: str) -> tuple[str, str, str, int | None]:
    """`"timm:convnext_tiny:fb_in1k@288"` -> timm, convnext_tiny, fb_in1k, 288. ValueError: not of that form."""
    name, _, size = spec.partition("@")
    adapter, first, rest = name.partition(":")
    model, second, checkpoint = rest.rpartition(":")
    if not (first and second and model and checkpoint) or ("@" in spec and not (size.isascii() and size.isdigit())):
        raise ValueError(f"{spec!r} is not ADAPTER:MODEL:CHECKPOINT[@SIZE]")
    return adapter, model, checkpoint, int(size) if size else None


def _at_smallest(rows: list[Reference]) -> list[Reference]:
    """Of each source, what it measured at its smallest size: a library's default."""
    smallest: dict[str, int] = {}
    for row in rows:
        size = row.size_px or 0
        smallest[row.source] = min(size, smallest.get(row.source, size))
    return [row for row in rows if (row.size_px or 0) == smallest[row.source]]
