"""What stands on one side alone and changes nothing of what is compared: nothing shows it, so it is said.

An operation that changes only some values, a clamp or a ReLU, is not seen where no value of the run gets there. What
either side's graph has of such is compared by the numbers at which they stop, over the whole network: libraries write
one function in several ways and places. What drops at random in training is left out of both sides, and compared by its
rates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isotune.comparison.sides import Part
from isotune.weights import HEAD

# Of gates (hard sigmoid, hard swish), which are an axis: libraries write one as relu6(x + 3) / 6, as a clamp to 0..1,
# or as one operation.
_OF_GATES = {("low", 0.0), ("high", 1.0), ("high", 6.0)}
Ends = frozenset[tuple[str, float]]


@dataclass(frozen=True)
class OneSided:
    """In words, and the part of a side at which it would show."""

    part: Part
    said: str


def one_sided(described: Mapping[str, Mapping[str, Any]]) -> tuple[OneSided, ...]:
    """described: of both sides, the left first, layers by its names. What one of them does not know is not compared."""
    return (*_limits(described), *_random(described))


def _limits(described: Mapping[str, Mapping[str, Any]]) -> Iterator[OneSided]:
    listed = {which: limits for which, each in described.items() if (limits := each.get("limits")) is not None}
    if len(listed) < len(described):
        return
    gates = all(each["axes"].get("hard_sigmoid") not in (None, "own") for each in described.values())
    known = _OF_GATES if gates else frozenset()
    ends = {which: frozenset().union(*map(_ends, listed[which])) for which in listed}
    for which, other in zip(listed, reversed(listed), strict=True):
        layers = described[which].get("layers", {})
        said = dict[str, Part]()
        for limit in listed[which]:
            if _ends(limit) - ends[other] - known:
                before = ", ".join(layers.get(name, name) for name in limit["after"]) or "the input"
                said[f"{_written(limit)} behind {before}"] = "logits" if HEAD in limit["after"] else "layers"
        for words, part in said.items():
            yield OneSided(part, f"{words}, on the {which} side alone")


def _ends(limit: Mapping[str, Any]) -> Ends:
    """Where an operation stops, or what kind it is where no number says."""
    numbers = {end: limit[end] for end in ("low", "high") if limit[end] is not None}
    return frozenset(numbers.items()) if numbers else frozenset({(limit["what"], 0.0)})


def _written(limit: Mapping[str, Any]) -> str:
    low, high = (None if limit[end] is None else f"{limit[end]:g}" for end in ("low", "high"))
    if low is high is None:
        return str(limit["what"])
    return f"{limit['what']} ({f'{low} to {high}' if low and high else f'from {low} on' if low else f'up to {high}'})"


def _random(described: Mapping[str, Mapping[str, Any]]) -> Iterator[OneSided]:
    rates = {which: random for which, each in described.items() if (random := each.get("random")) is not None}
    if len(rates) < len(described):
        return
    for what in dict.fromkeys(what for which in rates for what in rates[which]):
        left, right = (_rounded(rates[which].get(what, ())) for which in rates)
        if left != right:
            said = f"in training, {what}: {_range(left)} against {_range(right)}, which is left out of both"
            yield OneSided("training layers", said)


def _range(rates: Sequence[float]) -> str:
    if len(rates) > 1:
        return f"{len(rates)} rates from {rates[0]:g} to {rates[-1]:g}"
    return f"{rates[0]:g}" if rates else "none"


def _rounded(rates: Iterable[float]) -> list[float]:
    return sorted({round(rate, 6) for rate in rates})
