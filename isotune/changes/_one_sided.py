"""What stands on one side alone, and what on the other comes nearest to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from isotune.changes._sides import Side, Subject, recipe

_NAMED = 3  # fields of a recipe


@dataclass(frozen=True)
class OneSided:
    """A subject, or a clock, of one side. seeds: of a subject. why: what of the same name the other side has."""

    what: str
    seeds: int
    why: str = ""

    def __str__(self) -> str:
        seeds = f", {self.seeds} seed{'' if self.seeds == 1 else 's'}" if self.seeds else ""
        return f"{self.what}{seeds}" + (f" ({self.why})" if self.why else "")


def one_sided(side: Side, other: Side) -> tuple[OneSided, ...]:
    """What `side` has and `other` does not: subjects, then what was timed."""
    alone = [
        OneSided(described(subject, side), len(side.runs[subject]), _why(subject, side, other))
        for subject in sorted(side.runs.keys() - other.runs.keys())
    ]
    timed = [
        OneSided(" ".join(filter(None, (clock.what, clock.model, clock.setting, clock.conventions, clock.mode))), 0)
        for clock in sorted(side.clocks.keys() - other.clocks.keys())
        if not _of_cells_alone(clock.setting, side, other)
    ]
    return (*alone, *timed)


def described(subject: Subject, side: Side) -> str:
    """A subject in words."""
    named = side.named[subject]
    mode = "" if subject.mode == "float32" else subject.mode
    parts = (subject.model, subject.checkpoint, named.dataset, recipe(named.protocol), subject.conventions, mode)
    return " ".join(filter(None, parts))


def _of_cells_alone(setting: str, side: Side, other: Side) -> bool:
    """Whether it is the cells' own clock: their subject is named already, or the other side is a report, which has
    none of them."""
    own = {f"{named.dataset}, {recipe(named.protocol)}" for named in (*side.named.values(), *other.named.values())}
    return setting in own


def _why(subject: Subject, side: Side, other: Side) -> str:
    """Of what goes by the same name on the other side: in what it is another thing."""
    mine = side.named[subject]
    for each in sorted(other.runs):
        theirs = other.named[each]
        same = (each.model, each.checkpoint, each.dataset, each.conventions, each.mode) == (
            subject.model, subject.checkpoint, subject.dataset, subject.conventions, subject.mode
        )  # fmt: skip
        if not same or recipe(mine.protocol) != recipe(theirs.protocol):
            continue
        parts = ["other images" if each.dataset_digest != subject.dataset_digest else ""]
        fields = list(_fields(mine.protocol.model_dump(mode="json"), theirs.protocol.model_dump(mode="json")))
        if fields:
            more = " and more" if len(fields) > _NAMED else ""
            parts.append(f"another recipe: {', '.join(fields[:_NAMED])}{more}")
        return f"the other side has {' and '.join(filter(None, parts))}"
    return ""


def _fields(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Paths of what differs between two protocols."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _fields(one.get(name), other.get(name), f"{path}.{name}".strip("."))
    elif one != other:
        yield path
