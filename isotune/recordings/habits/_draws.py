"""What a loop draws at random in its passes: dropout, stochastic depth, and other layers that do.

Layers are seen in training mode, with their rates, and never with their masks. Where none is seen, the framework's
generator says whether something else draws: a function that is no layer, say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from isotune.errors import listed
from isotune.recordings._format import Draw, StepEntry
from isotune.recordings._reading import Recording

_LOOPS_OWN = ("python", "numpy")  # generators; layers draw from the others
_DIGITS = 6


def habits(recording: Recording) -> Iterator[dict[str, Any]]:
    """`dropout`, `stochastic_depth` and `random_layers`; the value None where nothing says whether there is any."""
    steps = {number: step.entry for number, step in recording.steps.items() if step.entry.draws is not None}
    if not steps:
        return
    layers: dict[str, Draw] = {name: each for entry in steps.values() for name, each in (entry.draws or {}).items()}
    hidden = not layers and any(_may_draw(entry) for entry in steps.values())
    said = "something draws from the framework's generator in a step, and no layer that is known does"
    numbers = tuple(steps)
    for name, kind, told in (("dropout", "dropout", _dropout), ("stochastic_depth", "stochastic depth", _depth)):
        drawn = {layer: each for layer, each in layers.items() if each.kind == kind}
        value, words = told(drawn)
        hides = hidden or (not drawn and bool(layers))
        words = said if hidden else f"{words}; whether a function does cannot be seen" if hides else words
        yield {"name": name, "value": None if hides else value, "words": words, "steps": numbers}
    others = Counter(each.own for each in layers.values() if each.kind == "other")
    if others:
        words = f"{listed([f'{count} x {own}' for own, count in others.items()])} in the network draw at random"
        yield {"name": "random_layers", "value": sorted(others.elements()), "words": words, "steps": numbers}


def _may_draw(entry: StepEntry) -> bool:
    """Whether a generator that layers draw from moved in a step, or is not known."""
    before, after = (entry.random.get(moment, {}) for moment in ("before", "after"))
    known = [name for name in before if name in after and name not in _LOOPS_OWN]
    return not known or any(before[name] != after[name] for name in known)


def _dropout(layers: Mapping[str, Draw]) -> tuple[Any, str]:
    """[[rate, where], ...]."""
    value = [[_rounded(each), "head" if each.head else "body"] for each in layers.values() if each.rate]
    if not value:
        return [], "no layer of dropout is in training mode"
    said = [f"{rate:g}{' before the classifier' if where == 'head' else ''}" for rate, where in value]
    return sorted(value), f"values are dropped at random, by rates {listed(said)}"


def _depth(layers: Mapping[str, Draw]) -> tuple[Any, str]:
    """The rates of the branches that have one, what a draw is for, and whether what is kept is scaled."""
    active = [each for each in layers.values() if each.rate]
    if not active:
        return "none", "no residual branch is left out at random"
    rates = [_rounded(each) for each in active]
    per, scaled = _alike([each.per for each in active]), _alike([each.scaled for each in active])
    words = f"{len(rates)} residual branches are left out at random, by rates up to {max(rates):g}"
    return {"rates": rates, "per": per, "scaled": scaled}, words


def _rounded(each: Draw) -> float:
    return round(float(each.rate or 0.0), _DIGITS)


def _alike(values: Sequence[Any]) -> Any:
    """What all are; None: they differ."""
    return values[0] if len(set(values)) == 1 else None
