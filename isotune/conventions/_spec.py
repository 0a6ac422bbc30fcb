"""From what a user writes, `native,axis=value`, to one value for every axis."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from isotune import reading
from isotune.conventions._forms import Conventions
from isotune.conventions._known import AXES, NETWORK_AXES, upgraded
from isotune.conventions._scaling import affine
from isotune.errors import UsageError, nearest

_COMMA = re.compile(r",(?![^(]*\))")  # not those inside the brackets of mean-std(R,G,B;R,G,B)


def resolve(
    spec: str,
    *,
    native: Conventions,
    protocol: Mapping[str, Any],
    checkpoint: Mapping[str, Any],
    asked: Mapping[str, Any] | None = None,
) -> Conventions:
    """The conventions that `spec` stands for.

    spec: `identical` or `native`, then overrides `,axis=value`.
    native: the adapter's defaults for the model.
    protocol: recipe and input axes that the protocol fixes (the rest are torch's).
    checkpoint: network axes that the checkpoint carries.
    asked: network axes that the user set by an option of the model or states in a file, which are neither the
    checkpoint's nor anybody's.
    Errors: UsageError for a spec that does not parse, a checkpoint with other axes or unknown values.
    """
    if stray := next((axis for axis in checkpoint if axis not in NETWORK_AXES), None):
        raise UsageError(f"the checkpoint carries {stray!r}, no axis of the network; {nearest(stray, NETWORK_AXES)}")
    base, overrides = parse(spec)
    if base == "identical":
        values = Conventions().model_dump() | dict(protocol) | dict(checkpoint) | dict(asked or {})
    else:
        values = native.model_dump()
        if "input_scaling" in checkpoint:
            values["input_scaling"] = checkpoint["input_scaling"]
        values |= dict(asked or {})
    return _validated(values | overrides)


def parse(spec: str) -> tuple[str, dict[str, Any]]:
    """`"native,axis=value"` -> `("native", {"axis": value})`, validated."""
    base, *pairs = (part.strip() for part in _COMMA.split(spec))
    if base not in ("identical", "native"):
        raise UsageError(f"conventions {base!r} are unknown; {nearest(base, ['identical', 'native'])}")
    values: dict[str, Any] = {}
    for pair in pairs:
        axis, sign, value = pair.partition("=")
        if (today := upgraded_spec(f"{base},{pair}")) != f"{base},{pair}":
            raise UsageError(f"convention {pair!r} is written {today.removeprefix(f'{base},')!r} now")
        if not sign or axis not in Conventions.model_fields:
            raise UsageError(
                f"convention {pair!r} is not axis=value with a known axis; {nearest(axis, Conventions.model_fields)}"
            )
        if axis in values:
            raise UsageError(f"convention {axis!r} is given twice in {spec!r}")
        values[axis] = AXES[axis].default if value == "own" and AXES[axis].leaves_open(value) else value
    checked = _validated(values)
    return base, {axis: getattr(checked, axis) for axis in values}


def spelled(base: str, overrides: Mapping[str, Any]) -> str:
    """The one spelling of a spec: overrides in the order of their names."""
    written = {axis: "own" if value is None else value for axis, value in sorted(overrides.items())}
    return ",".join([base, *(f"{axis}={value}" for axis, value in written.items())])


def overridden(spec: str) -> tuple[str, dict[str, str]]:
    """`"native,axis=value"` -> `("native", {"axis": "value"})`, as it is written: of one that was checked before."""
    base, *pairs = _COMMA.split(spec)
    return base, {axis: value for axis, _, value in (pair.partition("=") for pair in pairs)}


def upgraded_spec(spec: str) -> str:
    """A spec that an earlier isotune wrote, under today's names, in their order; what is wrong with it stays."""
    base, *pairs = _COMMA.split(spec)
    today = [base]
    for pair in pairs:
        axis, sign, value = pair.partition("=")
        now = upgraded({axis.strip(): value.strip()})
        today += [pair if now == {axis.strip(): value.strip()} else f"{sign}".join(*now.items())]
    return spec if today == [base, *pairs] else ",".join([base, *sorted(today[1:])])


def former_spec(spec: str) -> str:
    """A spec as the earlier isotune spelled it, overrides in the order of their names then."""
    base, *pairs = _COMMA.split(spec)
    former = []
    for pair in pairs:
        name, _, value = pair.partition("=")
        axis = AXES[name]
        then = {now: then for then, now in axis.former_values.items()}
        former.append(f"{axis.formerly or name}={then.get(value, value)}")
    return ",".join([base, *sorted(former)])


def written_value(of: Any) -> str:
    """As it is written in a convention: `own` where a library has no one value."""
    return "own" if of is None else f"{of:g}" if isinstance(of, float) else str(of)


def _validated(values: Mapping[str, Any]) -> Conventions:
    try:
        checked = Conventions.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"convention {first['loc'][0]}={first.get('input')!r}: {said}") from None
    affine(checked.input_scaling)
    return checked


def written_conventions(text: str | None, path: object) -> dict[str, Any]:
    """Network axes that a checkpoint file names as JSON; empty for None. UsageError: they are damaged or unknown."""
    if text is None:
        return {}
    try:
        written = upgraded(reading.json_text(text, "conventions"))
        return {axis: getattr(Conventions.model_validate(written), axis) for axis in NETWORK_AXES if axis in written}
    except (ValueError, TypeError, AttributeError, UsageError):
        raise UsageError(f"{path}: the conventions in the file are damaged; write the file again") from None
