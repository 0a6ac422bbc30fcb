"""An executor by its name, with its options checked against what its class takes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

from isotune import protocols
from isotune.errors import UsageError, nearest
from isotune.runs.desk import Executor

GROUP = "isotune.executors"
_OPTION = re.compile(r"([A-Za-z][\w-]*)=(.*)")


class WrongOption(UsageError):
    """An option that an executor does not take, or not so. option: its name."""

    def __init__(self, message: str, option: str) -> None:
        super().__init__(message)
        self.option = option


@dataclass(frozen=True)
class Spec:
    """What a user names: "ray:head:6379,gpus=1". place: what stands after the colon. options: by name, dashes as
    underscores."""

    name: str
    place: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Spec:
        """UsageError: it is no NAME[:PLACE][,OPTION=VALUE ...]."""
        named, *parts = text.strip().split(",")
        name, colon, place = named.partition(":")
        options: dict[str, str] = {}
        for part in parts:
            if (said := _OPTION.fullmatch(part.strip())) is None:
                raise UsageError(f"executor {text!r} is not NAME[:PLACE][,OPTION=VALUE ...]")
            option = said[1].replace("-", "_")
            if option in options:
                raise UsageError(f"executor {text!r}: option {option!r} is given twice")
            options[option] = said[2].strip()
        if not name or (colon and not place):
            raise UsageError(f"executor {text!r} is not NAME[:PLACE][,OPTION=VALUE ...]")
        return cls(name, place, options)

    def __str__(self) -> str:
        place = f":{self.place}" if self.place else ""
        return ",".join([self.name + place, *(f"{option}={value}" for option, value in self.options.items())])


def find(spec: str | Spec, **more: Any) -> Executor:
    """The executor that a user names, made with its options.

    more: options that stand elsewhere, such as `jobs`. UsageError: it is unknown or broken, an option is, or it cannot
    be used: MissingExtra.
    """
    asked = Spec.parse(spec) if isinstance(spec, str) else spec
    made = loaded(asked.name)
    for option in asked.options:
        if option in more:
            raise WrongOption(f"executor {str(asked)!r}: {option} is given twice", option)
    takes = inspect.signature(made).parameters.values()
    placed = any(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in takes)
    if asked.place and not placed:
        raise UsageError(f"executor {str(asked)!r}: {asked.name} takes nothing after a colon; write {asked.name!r}")
    options = _checked(made, asked, more)
    executor: Executor = made(asked.place, **options) if placed else made(**options)
    return executor


def listed() -> dict[str, EntryPoint]:
    """Those that are installed, by name; isotune's own come before a third party's of the same name."""
    entries = sorted(entry_points(group=GROUP), key=lambda entry: entry.dist is None or entry.dist.name != "isotune")
    return {entry.name: entry for entry in reversed(entries)}


def loaded(name: str) -> Any:
    """Its class. UsageError: there is none of that name, or its module is broken."""
    known = listed()
    if name not in known:
        raise UsageError(f"executor {name!r} is unknown; {nearest(name, known)}")
    try:
        return known[name].load()
    except UsageError:
        raise
    except Exception as error:  # a third party's module may fail in any way, at import
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UsageError(f"executor {name!r}: {known[name].value} cannot be loaded ({reason})") from error


def _checked(made: Any, asked: Spec, more: Mapping[str, Any]) -> dict[str, Any]:
    """The options, as the types that the class declares for its keywords; those that are said alone."""
    hints = get_type_hints(made.__init__ if inspect.isclass(made) else made, include_extras=True)
    fields: dict[str, Any] = {
        name: (hints.get(name, Any), None if each.default is each.empty else each.default)
        for name, each in inspect.signature(made).parameters.items()
        if each.kind == each.KEYWORD_ONLY
    }
    model = create_model("Options", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=True), **fields)
    given = {**asked.options, **more}
    try:
        checked = model.model_validate(given)
    except ValidationError as error:
        wrong = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        option = str(wrong["loc"][0])
        if wrong["type"] == "extra_forbidden":
            right = nearest(option, fields, noun="it takes") if fields else "it takes none"
            raise WrongOption(f"executor {str(asked)!r} has no option {option!r}; {right}", option) from None
        raise WrongOption(f"executor {str(asked)!r}: {protocols.explain(error, model)}", option) from None
    return {name: getattr(checked, name) for name in given}
