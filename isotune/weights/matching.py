"""Which of a file's tensors is which of a model's, where their names are not the same.

A file of a network that somebody else wrote may hold the very tensors of a library's model under other names. Shapes
alone do not say which is which: a network repeats them. What else there is to go by:

- **A common prefix**: `model.conv1.weight` for `conv1.weight`, and so for all. Names still say it (`prefixed`).
- **The order.** Both sides list a network's layers in the order in which they were registered. Where the two lists have
  the same layers (kinds and shapes of their tensors) place by place, a layer whose shapes no other has is where it must
  be. Of those that share them the order alone decides (`by_order`).
- **Numbers and words in the names**, which can contradict the order: `conv2` before `conv1` in the file, and after it
  in the model. Then nothing is taken.
- Where two layers, or two runs of layers, of the same shapes follow each other, exchanging them would fit as well. That
  is what happens when an author registers `shortcut` before `conv`. They are taken only where numbers or words of both
  sides say the same as the order (`blocks.4`, `blocks.5` for `2.0`, `2.1`).

That is evidence, not proof: it is always said, and whoever evaluates the result sees whether it was right. What no
name decides is refused, and left to a map that the user writes (`mapped`).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from isotune.errors import UsageError, WeightsMismatch, listed, nearest

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]  # of tensors by their names, in their order
_KINDS = {  # of tensors, by what frameworks call them behind the last dot
    "kernel": "weight", "gamma": "weight", "scale": "weight", "beta": "bias", "offset": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
_SHOWN = 60  # characters of a name


@dataclass(frozen=True)
class Matched:
    """names: of each of the model's tensors, what it is called in the file. how: in words, what that goes by."""

    names: Mapping[str, str]
    how: str


class Undecided(UsageError):
    """The shapes fit, and nothing says which of several is which."""


@dataclass(frozen=True)
class _Owner:
    """A layer: the tensors whose names are alike up to the last dot."""

    name: str
    tensors: Mapping[str, str]  # kind -> name
    shapes: tuple[tuple[str, Shape], ...]  # kind and shape, by kind

    @property
    def template(self) -> str:
        return re.sub(r"\d+", "#", self.name)

    @property
    def numbers(self) -> tuple[tuple[int, str], ...]:
        """Those in the name, which compare as numbers do, however long they are."""
        return tuple((len(digits.lstrip("0")), digits.lstrip("0")) for digits in re.findall(r"\d+", self.name))

    @property
    def words(self) -> frozenset[str]:
        return frozenset(re.findall(r"[a-z]+", self.name.casefold()))


_Sides = tuple[Sequence[_Owner], Sequence[_Owner]]  # the file's layers and the model's, place by place


def prefixed(file: Shapes, model: Shapes) -> Matched | None:
    """Every one of the model's names, behind one prefix that all have in the file; None: it is not so. What the file
    has beside them is said. Undecided: several prefixes fit."""
    first = next(iter(model), "")
    prefixes = [prefix for name in file if (prefix := name.removesuffix(first)) != name and prefix.endswith(".")]
    fitting = [prefix for prefix in prefixes if all(f"{prefix}{name}" in file for name in model)]
    if not fitting:
        return None
    if len(fitting) > 1:
        raise Undecided(f"the model's names stand behind {listed(list(map(repr, fitting)))}")
    names = {name: f"{fitting[0]}{name}" for name in model}
    left = [name for name in file if not name.startswith(fitting[0])]
    beside = f"; {len(left)} tensors beside them are left out, first {_short(left[0])}" if left else ""
    return Matched(names, f"its names are the model's behind {fitting[0]!r}{beside}")


def mapped(names: Mapping[str, str], file: Shapes, model: Shapes) -> Matched:
    """By a map of names, the file's -> the model's: of tensors, or of modules with all that is in them; what it does
    not name has the same name in both. UsageError: it names what is not there, or one of the model's twice."""
    used: set[str | None] = set()
    renamed: dict[str, str] = {}
    for name in file:
        key = next((key for key in _outwards(name) if key in names), None)
        used.add(key)
        there = name if key is None else names[key] + name[len(key) :]
        if there in renamed:
            raise UsageError(f"both {renamed[there]!r} and {name!r} are {there!r} of the model")
        renamed[there] = name
    if stray := next((key for key in names if key not in used), None):
        raise UsageError(
            f"{stray!r} is nothing in the file; {nearest(stray, [key for n in file for key in _outwards(n)])}"
        )
    known = {key for name in model for key in _outwards(name)}
    if stray := next((there for there in names.values() if there not in known), None):
        raise UsageError(f"{stray!r} is nothing in the model; {nearest(stray, known)}")
    return Matched({each: renamed[each] for each in model if each in renamed}, f"{len(names)} names are mapped")


def by_order(file: Shapes, orders: Sequence[Shapes], *, kept: bool = True, trusted: bool = False) -> Matched:
    """By place and shape, all tensors of both sides.

    orders: the model's tensors in each order in which a file may have them: of registration, of execution. kept: the
    file's format keeps the order in which it was written; else names must say what the order does of every two layers
    of the same shapes. trusted: the user said that the order is to be taken as it stands.
    Undecided: they fit, and the names contradict the order, or do not say enough. WeightsMismatch: they do not fit.
    """
    fitting: dict[frozenset[tuple[str, str]], _Sides] = {}
    for ours, theirs in itertools.product(_file_orders(file), map(_owners, orders)):
        if [owner.shapes for owner in ours] == [owner.shapes for owner in theirs]:
            pairs = frozenset((one.name, other.name) for one, other in zip(ours, theirs, strict=True))
            fitting.setdefault(pairs, (ours, theirs))
    if not fitting:
        raise WeightsMismatch(
            f"the file's {len(file)} tensors are not the model's {len(orders[0])}, in their order and of their shapes"
        )
    sides = list(fitting.values())
    if trusted:
        return _taken(*sides[0], "as was asked for")
    contradicted = [_contradicted(*each) for each in sides]
    sound = [each for each, said in zip(sides, contradicted, strict=True) if not said]
    if not sound:
        raise Undecided(contradicted[0])
    if len(sound) > 1:
        _refuse_several(sound)
    if unsaid := _unsaid(*sound[0], kept=kept):
        raise Undecided(unsaid)
    return _taken(*sound[0], "which numbers and words in the names agree with")


def _taken(ours: Sequence[_Owner], theirs: Sequence[_Owner], evidence: str) -> Matched:
    names = {
        name: one.tensors[kind] for one, other in zip(ours, theirs, strict=True) for kind, name in other.tensors.items()
    }
    alone = sum(count == 1 for count in Counter(other.shapes for other in theirs).values())
    first = next(
        (f"{one.name!r} for {other.name!r}" for one, other in zip(ours, theirs, strict=True) if one.name != other.name),
        "",
    )
    how = (
        f"{len(names)} of {len(names)} tensors by order and shape, {first}: {alone} of {len(theirs)} layers have shapes"
        f" that no other has, and the order alone tells the rest apart, {evidence}"
    )
    return Matched(names, how)


def _outwards(name: str) -> Iterator[str]:
    """ "a.b.c", "a.b", "a"."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _owners(tensors: Shapes) -> list[_Owner]:
    kinds: dict[str, dict[str, str]] = {}
    for name in tensors:
        owner, _, last = name.rpartition(".")
        named, kind = kinds.setdefault(owner, {}), _KINDS.get(last, last)
        named[last if kind in named else kind] = name
    return [
        _Owner(owner, named, tuple(sorted((kind, tensors[name]) for kind, name in named.items())))
        for owner, named in kinds.items()
    ]


def _file_orders(file: Shapes) -> list[list[_Owner]]:
    """As it stands; where a format sorts by name (.safetensors), also with numbers as numbers."""
    stored = _owners(file)
    if [owner.name for owner in stored] != sorted(owner.name for owner in stored):
        return [stored]
    return [stored, sorted(stored, key=lambda owner: _natural(owner.name))]


def _natural(name: str) -> list[tuple[str, int, str]]:
    """Sort key under which a.10 comes after a.9."""
    parts = re.findall(r"(\D*)(\d*)", name)
    return [(text, len(digits.lstrip("0")), digits.lstrip("0")) for text, digits in parts]


def _alike(theirs: Sequence[_Owner]) -> Iterator[tuple[int, int]]:
    """Places of every two layers of the same shapes."""
    places = defaultdict(list)
    for place, owner in enumerate(theirs):
        places[owner.shapes].append(place)
    for group in places.values():
        yield from itertools.combinations(group, 2)


def _verdict(ours: Sequence[_Owner], theirs: Sequence[_Owner], first: int, second: int) -> int:
    """What the names say of two layers of the same shapes: 1 that they are in the right order, -1 that they are not, 0
    nothing."""
    mine, other = (ours[first], ours[second]), (theirs[first], theirs[second])
    if mine[0].template == mine[1].template and other[0].template == other[1].template:
        return 1 if (mine[0].numbers < mine[1].numbers) == (other[0].numbers < other[1].numbers) else -1
    my_own = mine[0].words - mine[1].words, mine[1].words - mine[0].words
    their_own = other[0].words - other[1].words, other[1].words - other[0].words
    straight = bool(my_own[0] & their_own[0]) + bool(my_own[1] & their_own[1])
    crossed = bool(my_own[0] & their_own[1]) + bool(my_own[1] & their_own[0])
    return (straight > crossed) - (crossed > straight)


def _contradicted(ours: Sequence[_Owner], theirs: Sequence[_Owner]) -> str:
    """What in the names speaks against the order; empty: nothing does."""
    for first, second in _alike(theirs):
        if _verdict(ours, theirs, first, second) < 0:
            mine, other = (ours[first].name, ours[second].name), (theirs[first].name, theirs[second].name)
            return (
                f"by order {_short(mine[0])} would be {_short(other[0])} and {_short(mine[1])} {_short(other[1])}, and"
                " their names say the contrary; they have the same shapes"
            )
    return ""


def _unsaid(ours: Sequence[_Owner], theirs: Sequence[_Owner], *, kept: bool) -> str:
    """Which runs of layers that follow each other could be exchanged, or where the order is not kept which layers at
    all, with nothing in the names against it; empty: none."""
    if not kept:
        pairs = _alike(theirs)
        return next((_equal(ours, theirs, *pair) for pair in pairs if _verdict(ours, theirs, *pair) <= 0), "")
    shapes = [owner.shapes for owner in theirs]
    for length in range(1, len(shapes) // 2 + 1):
        for start in range(len(shapes) - 2 * length + 1):
            middle = start + length
            if shapes[start:middle] != shapes[middle : middle + length]:
                continue
            if not any(_verdict(ours, theirs, place, place + length) > 0 for place in range(start, middle)):
                return _equal(ours, theirs, start, middle)
    return ""


def _equal(ours: Sequence[_Owner], theirs: Sequence[_Owner], first: int, second: int) -> str:
    return (
        f"{_short(ours[first].name)} and {_short(ours[second].name)} have the same shapes, and nothing but their order"
        f" says which is {_short(theirs[first].name)} and which {_short(theirs[second].name)}"
    )


def _refuse_several(sound: Sequence[_Sides]) -> NoReturn:
    """Two ways that fit: the order of registration and that of execution are not the same."""
    (ours, theirs), (others, elsewhere) = sound[:2]
    also = dict(zip((owner.name for owner in others), (owner.name for owner in elsewhere), strict=True))
    name, one = next((one.name, two.name) for one, two in zip(ours, theirs, strict=True) if also[one.name] != two.name)
    raise Undecided(f"{_short(name)} is {_short(one)} or {_short(also[name])}: the order fits in more than one way")


def _short(name: str) -> str:
    return repr(name if len(name) <= _SHOWN else f"{name[:_SHOWN]}...")
