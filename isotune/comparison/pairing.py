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
MOST_ALONE = 0.25  # of the layers of a side, those that it alone has: more are two architectures
FEW = 3  # layers that a side alone may have however small it is
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
    known) and not all can, or as what is left over has its like at another place of the other side."""
    if [place.form for place in left] == [place.form for place in right]:
        return Pairing({place.name: left[at].name for at, place in enumerate(right)})
    ours, theirs = _keys(left), _keys(right)
    partner_of, alike = dict[int, int](), 0  # place on the right -> on the left
    for first, last, second, end, same in _blocks(ours, theirs):
        if same:
            partner_of |= dict(zip(range(second, end), range(first, last), strict=True))
            alike += last - first
        else:
            partner_of |= _between(left, right, range(first, last), range(second, end))
    partner_of = _with_fed_alike(left, right, partner_of)
    known = any(place.inputs for place in left) and any(place.inputs for place in right)
    whole = len(partner_of) == len(left) == len(right)
    _check(left, right, partner_of, alike if known else None, architectures if not whole else ())
    names = {
        place.name: left[partner_of[at]].name if at in partner_of else f"{EXTRA}{place.name}"
        for at, place in enumerate(right)
    }
    alone, others = _alone(left, right, partner_of)
    return Pairing(names, tuple(place.name for place in alone), tuple(names[place.name] for place in others))


def _check(
    left: Sequence[Place],
    right: Sequence[Place],
    partner_of: Mapping[int, int],
    alike: int | None,
    names: Sequence[str],
) -> None:
    """UsageError: they are two architectures. alike: as many have the same shape and are fed by such; None: it is not
    known what feeds them, and their order may be that in which somebody wrote them down. names: of the architectures,
    where two are two."""
    partners = len(partner_of) if alike is None else alike
    counted = f"of {len(left)} layers on the left and {len(right)} on the right"
    ours, theirs = _alone(left, right, partner_of)
    shares = [(len(ours), len(left)), (len(theirs), len(right))]
    moved = [(mine, other) for mine in ours for other in theirs if mine.form == other.form]
    if len(set(names)) > 1:
        why = f", {' and '.join(names)}: {counted} {partners} have the same shape and place"
    elif 2 * partners < LEAST * (len(left) + len(right)):
        why = f": {counted} {partners} have the same shape and place"
    elif alike is None:
        return
    elif any(alone > max(FEW, MOST_ALONE * of) for alone, of in shares):
        why = f": {counted} {len(ours)} and {len(theirs)} have no partner on the other side"
    elif moved:
        why = f": {moved[0][0].name} of the left and {moved[0][1].name} of the right are alike and stand elsewhere"
    else:
        return
    raise UsageError(
        f"they are two architectures{why}; give two models of one architecture (isotune parity --list names pairs)"
    )


def _alone(
    left: Sequence[Place], right: Sequence[Place], partner_of: Mapping[int, int]
) -> tuple[list[Place], list[Place]]:
    """Those without a partner."""
    paired = set(partner_of.values())
    ours = [place for at, place in enumerate(left) if at not in paired]
    return ours, [place for at, place in enumerate(right) if at not in partner_of]


def _with_fed_alike(left: Sequence[Place], right: Sequence[Place], partner_of: Mapping[int, int]) -> dict[int, int]:
    """The partners, and of the others those of one form that read from the same layers: a longer branch is earlier."""
    places = {place.name: at for at, place in enumerate(right)}
    alone = [at for at in range(len(left)) if at not in set(partner_of.values())]
    paired = dict(partner_of)
    for at, place in enumerate(right):
        inputs = {paired.get(places.get(name, -1), -1) for name in place.inputs}
        if at in paired or not inputs or -1 in inputs:
            continue
        fed = {left[other].name for other in inputs}
        mine = next((each for each in alone if left[each].form == place.form and set(left[each].inputs) == fed), None)
        if mine is not None:
            paired[at] = mine
            alone.remove(mine)
    return paired


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
    partner_of = dict[int, int]()
    for first, last, second, end, same in _blocks([left[at].form for at in ours], [right[at].form for at in theirs]):
        pairs = list(zip(theirs[second:end], ours[first:last], strict=False))
        kinds = all(left[mine].kind == right[other].kind for other, mine in pairs)
        if same or (last - first == end - second and kinds):
            partner_of |= dict(pairs)
    return partner_of
