"""Which layers of two sides are the same one, where a side has layers that the other lacks.

Layers are named by their place in the order of execution, so that one layer more shifts every name behind it. Here the
two orders are aligned as a diff aligns lines: by the shape of a layer's tensors and of those that feed it, then, in
what is left between, by its own shape alone. The left side's names are everybody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from pydantic import BaseModel, ConfigDict

from isotune.errors import UsageError

EXTRA = "+"  # before the name of a layer that the right side alone has
LEAST = 0.5  # of the layers of both, those that are paired: fewer are two architectures
Key = tuple[object, ...]


class Place(BaseModel):
    """A layer as it stands in its network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str  # canonical, 012.conv
    shape: tuple[int, ...]  # of its largest tensor, canonical
    inputs: tuple[str, ...] = ()  # the layers that feed it; empty where that is not known

    @property
    def kind(self) -> str:
        return self.name.rpartition(".")[2]

    @property
    def form(self) -> Key:
        """What is the same of one layer in any library: a dense layer may be a 1x1 convolution."""
        shape = tuple(side for side in self.shape if side != 1)
        return shape if len(shape) > 1 else (self.kind, *shape)


@dataclass(frozen=True)
class Pairing:
    """names: of the right side's layers, the left's; only: those of one side alone, by everybody's names."""

    names: Mapping[str, str]
    only_left: tuple[str, ...] = ()
    only_right: tuple[str, ...] = ()

    @property
    def shifts(self) -> bool:
        """Whether a layer has another name on the right side."""
        return any(own != name for own, name in self.names.items())


def pair(left: Sequence[Place], right: Sequence[Place], architectures: Sequence[str] = ()) -> Pairing:
    """UsageError: they are two architectures, as too few can be paired, or by name (`architectures`, where both are
    known) and not all can."""
    if [place.form for place in left] == [place.form for place in right]:
        return Pairing({place.name: left[at].name for at, place in enumerate(right)})
    ours, theirs = _keys(left), _keys(right)
    found, alike = dict[int, int](), 0  # place on the right -> on the left
    for first, last, second, end, same in _blocks(ours, theirs):
        if same:
            found |= dict(zip(range(second, end), range(first, last), strict=True))
            alike += last - first
        else:
            found |= _between(left, right, range(first, last), range(second, end))
    known = any(place.inputs for place in left) and any(place.inputs for place in right)
    partners = alike if known else len(found)
    whole = len(found) == len(left) == len(right)
    named = len(set(architectures)) > 1 and not whole
    if named or 2 * partners < LEAST * (len(left) + len(right)):
        by_name = f", {' and '.join(architectures)}" if named else ""
        raise UsageError(
            f"they are two architectures{by_name}: of {len(left)} layers on the left and {len(right)} on the right"
            f" {partners} have the same shape and place; give two models of one architecture (isotune parity --list"
            " names pairs)"
        )
    names = {
        place.name: left[found[at]].name if at in found else f"{EXTRA}{place.name}" for at, place in enumerate(right)
    }
    paired = set(found.values())
    return Pairing(
        names,
        tuple(place.name for at, place in enumerate(left) if at not in paired),
        tuple(names[place.name] for at, place in enumerate(right) if at not in found),
    )


def _keys(places: Sequence[Place]) -> list[Key]:
    """Of each layer its form and those of the layers that feed it."""
    forms = {place.name: place.form for place in places}
    return [(place.form, *sorted(map(repr, (forms.get(name) for name in place.inputs)))) for place in places]


def _blocks(ours: Sequence[Key], theirs: Sequence[Key]) -> Iterator[tuple[int, int, int, int, bool]]:
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    for what, first, last, second, end in matcher.get_opcodes():
        yield first, last, second, end, what == "equal"


def _between(left: Sequence[Place], right: Sequence[Place], ours: range, theirs: range) -> dict[int, int]:
    """Of a stretch in which the keys differ: by form alone; then one by one where as many of a kind are left."""
    found = dict[int, int]()
    for first, last, second, end, same in _blocks([left[at].form for at in ours], [right[at].form for at in theirs]):
        pairs = list(zip(theirs[second:end], ours[first:last], strict=False))
        kinds = all(left[mine].kind == right[other].kind for other, mine in pairs)
        if same or (last - first == end - second and kinds):
            found |= dict(pairs)
    return found
