"""What is derived from the axes' declarations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isotune.conventions._declaring import DECLARED, RUNGS, Axis, Feature, Rung
from isotune.conventions._forms import Conventions


def _declared() -> dict[str, Axis]:
    axes = {}
    for name, field in Conventions.model_fields.items():
        assert isinstance(field.json_schema_extra, dict)
        assert field.description
        known: Any = field.json_schema_extra[DECLARED]
        sequences = {each: tuple(known[each]) for each in ("rungs", "needs", "candidates")}
        axes[name] = Axis(name=name, about=field.description, default=field.default, **(known | sequences))
    return axes


AXES: Mapping[str, Axis] = _declared()
INPUT_AXES = tuple(axis.name for axis in AXES.values() if axis.kind == "input")  # met before the network
PIXEL_AXES = tuple(axis for axis in INPUT_AXES if not AXES[axis].carried)  # that make the bytes that are scaled
NETWORK_AXES = tuple(axis.name for axis in AXES.values() if axis.carried)  # that a checkpoint carries
INFERENCE_AXES = tuple(axis.name for axis in AXES.values() if axis.kind != "recipe" and not axis.needs)
OPTIMIZER_AXES = tuple(axis.name for axis in AXES.values() if axis.rungs[:1] == ("one step",))  # given a trainer later
FORM_AXES = tuple(axis.name for axis in AXES.values() if axis.field)  # of techniques, which a protocol says

REFERENCE_CONVENTIONS = {axis.name: axis.reference for axis in AXES.values() if axis.reference is not None}


def relevant(features: frozenset[Feature]) -> frozenset[str]:
    """The axes that can matter to what has these features: a stage of training, or inference (none)."""
    return frozenset(axis.name for axis in AXES.values() if features.issuperset(axis.needs))


def shown_at(rung: Rung) -> tuple[str, ...]:
    """The axes that can make a rung fail, those first that show nowhere below it."""
    shown = [axis for axis in AXES.values() if rung in axis.rungs]
    return tuple(axis.name for axis in sorted(shown, key=lambda axis: -RUNGS.index(axis.rungs[0])))


def described() -> str:
    """All axes with their values, what each means and who does so, as text to be shown."""
    paragraphs = []
    for axis in AXES.values():
        wide = max(map(len, axis.values))
        values = (f"    {value:{wide}}  {means}" for value, means in axis.values.items())
        paragraphs.append("\n".join([f"{axis.name} ({axis.kind}): {axis.about}", *values]))
    return "\n\n".join(paragraphs)


def upgraded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Conventions from a file that an earlier isotune wrote, under today's names; what is no axis stays."""
    today = {axis.formerly: axis.name for axis in AXES.values() if axis.formerly}
    named = {today.get(name, name): value for name, value in values.items()}
    return {name: _value_today(name, value) for name, value in named.items()}


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """One value per axis from a file that an earlier isotune wrote, which knew fewer: as the library builds it."""
    return {axis.name: axis.default for axis in AXES.values()} | upgraded(values)


def _value_today(name: str, value: Any) -> Any:
    return AXES[name].former_values.get(value, value) if name in AXES and isinstance(value, str) else value


def agreed(name: str, values: Sequence[Any]) -> Any:
    """The one value of an axis that was read off a network's layers; own where there is none, or not all are alike.
    None among the values is a layer to which the axis is nothing."""
    distinct = {value for value in values if value is not None}
    return distinct.pop() if len(distinct) == 1 else AXES[name].default


def counting_values(averages: set[tuple[bool, bool]]) -> list[str]:
    """Values of count_include_pad for average pools seen, each as (strided, padding counted)."""
    if averages == {(True, True), (False, False)}:
        return ["when-strided"]
    return ["true" if counted else "false" for _, counted in averages]
