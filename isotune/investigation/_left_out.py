"""Parts of a protocol's training that a side may leave out: clipping, weight decay, a schedule, clearing gradients.

No convention of theirs: the other side is asked what it would do without them. A side that leaves a part out does as
the other would without it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from isotune.comparison.sides import Inputs
from isotune.conventions import Rung
from isotune.investigation.findings import SIDES, Flip, Which


@dataclass(frozen=True)
class _Part:
    """Where it stands in a stage, what it is where it is left out, and at which rung it shows first."""

    field: tuple[str, ...]
    absent: Any
    rung: Rung


_CLEARED = "gradients_cleared"  # every protocol has it: `optimizer.zero_grad()`, at each step
PARTS = {
    "label_smoothing": _Part(("label_smoothing",), 0.0, "loss"),
    "head_dropout": _Part(("head_dropout",), 0.0, "loss"),
    "clip_norm": _Part(("optimizer", "clip_norm"), None, "one step"),
    "weight_decay": _Part(("optimizer", "weight_decay"), 0.0, "one step"),
    "nesterov": _Part(("optimizer", "nesterov"), False, "one step"),
    "momentum": _Part(("optimizer", "momentum"), 0.0, "one step"),
    "schedule": _Part(("schedule", "name"), "constant", "drift"),
    _CLEARED: _Part((), "never", "drift"),
}


def left_out(inputs: Inputs, rung: str, sides: Sequence[Which] = SIDES) -> Iterator[Flip]:
    """Each part that shows first at the rung and that the protocol has, left out by one side."""
    for name, part in PARTS.items():
        if part.rung == rung and without(inputs, [name]) != inputs:
            for side in sides:
                yield Flip(side=side, axis=name, was=_value(inputs, part), value=part.absent)


def without(inputs: Inputs, names: Collection[str]) -> Inputs:
    """The inputs without these parts."""
    stage, rates = inputs.stage, inputs.rates
    cleared = inputs.cleared and _CLEARED not in names
    for name in names:
        if name == _CLEARED:
            continue
        if name == "schedule":
            rates = (rates[0],) * len(rates)
            continue
        *inner, field = PARTS[name].field
        changed = {field: PARTS[name].absent} | ({"nesterov": False} if name == "momentum" else {})
        if inner:
            known = {key: value for key, value in changed.items() if hasattr(stage.optimizer, key)}
            changed = {"optimizer": stage.optimizer.model_copy(update=known)}
        stage = stage.model_copy(update=changed)
    return inputs.model_copy(update={"stage": stage, "rates": rates, "cleared": cleared})


def _value(inputs: Inputs, part: _Part) -> Any:
    if not part.field:
        return "every step"
    at: Any = inputs.stage
    for name in part.field:
        at = getattr(at, name, None)
    return at
