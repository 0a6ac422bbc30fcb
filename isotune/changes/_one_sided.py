"""What stands on one side alone, and what on the other comes nearest to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
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
    theirs: dict[tuple[str, ...], list[Subject]] = defaultdict(list)
    for subject in sorted(other.runs):
        theirs[_name(subject, other)].append(subject)
    alone = [
        OneSided(described(subject, side), len(side.runs[subject]), _why(subject, side, other, theirs))
        for subject in sorted(side.runs.keys() - other.runs.keys())
    ]
    timed = [
        OneSided(" ".join(filter(None, (clock.what, clock.model, clock.setting, clock.conventions, clock.mode))), 0)
        for clock in sorted(side.clocks.keys() - other.clocks.keys())
        if not clock.of_cells
    ]
    return (*alone, *timed)


def _name(subject: Subject, side: Side) -> tuple[str, ...]:
    """What it goes by: images and recipe may be others of the same name."""
    recipe_name = recipe(side.named[subject].protocol)
    return subject.model, subject.checkpoint, subject.dataset, recipe_name, subject.conventions, subject.mode


def described(subject: Subject, side: Side) -> str:
    """A subject in words."""
    named = side.named[subject]
    mode = "" if subject.mode == "float32" else subject.mode
    parts = (subject.model, subject.checkpoint, named.dataset, recipe(named.protocol), subject.conventions, mode)
    return " ".join(filter(None, parts))


def _why(subject: Subject, side: Side, other: Side, theirs: Mapping[tuple[str, ...], list[Subject]]) -> str:
    """Of what goes by the same name on the other side: in what it is another thing."""
    for each in theirs.get(_name(subject, side), ()):
        parts = ["other images" if each.dataset_digest != subject.dataset_digest else ""]
        mine, other_one = side.named[subject].protocol, other.named[each].protocol
        if fields := list(_fields(mine.model_dump(mode="json"), other_one.model_dump(mode="json"))):
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
