"""A protocol under conventions: the forms of its techniques as the conventions have them.

Each form is an axis (isotune.conventions), which names the field of a protocol that it is; a set-up says a value, and
what is trained is the protocol with that value in its field. So it stands here once, for every library. An axis matters
where the protocol has the technique; of several stages it is the form of those that have it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from isotune.conventions import AXES, FORM_AXES, PROTOCOL, Feature, overridden, relevant
from isotune.errors import UsageError
from isotune.protocols._protocol import Protocol
from isotune.protocols._stages import Stage, stage_features

_STAGE = "stage."
_RATE = "rate-"  # of a warm-up's first step, where it is no share of the peak
_Part = TypeVar("_Part", Protocol, Stage)


def relevant_forms(protocol: Protocol) -> tuple[str, ...]:
    """The axes of forms whose techniques the protocol has."""
    has = frozenset[str]().union(*(relevant(_features(protocol, stage)) for stage in protocol.stage))
    return tuple(axis for axis in FORM_AXES if axis in has)


def left_to_library(forms: Iterable[str], spec: str) -> tuple[str, ...]:
    """Of those, what a set-up does not say, so that it is the library's; none of `identical`."""
    base, said = overridden(spec)
    return () if base == "identical" else tuple(axis for axis in forms if axis not in said)


def under(protocol: Protocol, axes: Mapping[str, Any]) -> Protocol:
    """The protocol under these axes, of which other ones are passed over; itself where they change nothing.

    UsageError: there can be no such protocol.
    """
    return _checked(_under(protocol, axes), protocol, axes)


def stage_under(protocol: Protocol, stage: Stage, axes: Mapping[str, Any]) -> Stage:
    """A stage of the protocol, or one with a grid's values in its place, likewise."""
    return _checked(_stage_under(protocol, stage, axes), stage, axes)


def settled(protocol: Protocol, axes: Mapping[str, Any]) -> dict[str, Any]:
    """The axes with each form by its name: that which the protocol has, where nothing else is said; `protocol` where it
    has none of a name, has several, or has not the technique."""
    matter = relevant_forms(protocol)
    forms = {axis: _named(protocol, axis, axes.get(axis, PROTOCOL)) for axis in matter}
    return {**axes, **dict.fromkeys(FORM_AXES, PROTOCOL), **forms}


def _named(protocol: Protocol, axis: str, value: str) -> str:
    if value != PROTOCOL:
        return value
    names = (name for name in AXES[axis].candidates if name != PROTOCOL and _under(protocol, {axis: name}) is protocol)
    return next(names, PROTOCOL)


def _features(protocol: Protocol, stage: Stage) -> frozenset[Feature]:
    schedule, augmentation = stage.schedule, protocol.augmentation
    features: dict[Feature, object] = {
        "average": protocol.average,
        "warm-up": schedule.warmup_steps or schedule.warmup_epochs,
        "decay": schedule.name in ("cosine", "linear"),
        "epochs": stage.epochs is not None and stage.epochs > 1,
        "mixing": augmentation.mixing,
        "erasing": augmentation.random_erasing,
        "stochastic depth": stage.stochastic_depth,
    }
    return stage_features(stage).union(feature for feature, has in features.items() if has)


# -- unchecked, since two forms may fit together that do not fit one after the other


def _under(protocol: Protocol, axes: Mapping[str, Any]) -> Protocol:
    changed = protocol
    stages = tuple(_stage_under(protocol, stage, axes) for stage in protocol.stage)
    if any(one is not other for one, other in zip(stages, protocol.stage, strict=True)):
        changed = protocol.model_copy(update={"stage": stages})
    for axis, value in _said(relevant_forms(protocol), axes):
        if not AXES[axis].field.startswith(_STAGE):
            changed = _with(changed, AXES[axis].field, value)
    return changed


def _stage_under(protocol: Protocol, stage: Stage, axes: Mapping[str, Any]) -> Stage:
    changed, matter = stage, relevant(_features(protocol, stage))
    for axis, value in _said((axis for axis in FORM_AXES if axis in matter), axes):
        if AXES[axis].field.startswith(_STAGE):
            share = float(value.removeprefix(_RATE)) / stage.schedule.learning_rate if _is_rate(value) else None
            changed = _with(changed, AXES[axis].field.removeprefix(_STAGE), value if share is None else share)
    return changed


def _is_rate(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(_RATE)


def _said(matter: Iterable[str], axes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The axes that say something, and the value of the field."""
    for axis in matter:
        if (value := axes.get(axis, PROTOCOL)) != PROTOCOL:
            yield axis, AXES[axis].fields.get(value, value)


def _with(part: Any, field: str, value: Any) -> Any:
    """The part with another value in a field; itself where it has that value."""
    name, _, inner = field.partition(".")
    now = getattr(part, name)
    then = _with(now, inner, value) if inner else value
    alike = isinstance(now, float) and isinstance(then, float) and math.isclose(now, then)
    return part if alike or then == now else part.model_copy(update={name: then})


def _checked(changed: _Part, before: _Part, axes: Mapping[str, Any]) -> _Part:
    """UsageError: it can not be."""
    if changed is before:
        return before
    try:
        type(changed)(**changed.model_dump())
    except UsageError as error:
        forms = ", ".join(f"{axis}={axes[axis]}" for axis in FORM_AXES if axes.get(axis, PROTOCOL) != PROTOCOL)
        said = str(error).removeprefix(f"{type(changed).__name__}: ")
        raise UsageError(f"the protocol cannot have {forms}: {said}") from None
    return changed
