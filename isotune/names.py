"""Names of models, `adapter[@engine]:name[:option=value ...]`, and the adapters that they lead to.

    torchvision:mobilenet_v2
    timm:mobilenetv2_100
    timm:hf-hub:timm/resnet18.a1_in1k          a name may hold colons
    keras@jax:MobileNetV2                      another engine than the adapter's default
    torchvision:mobilenet_v2:width_mult=0.35   the library's own arguments
    torch:port.py:make, keras:port.py:make     a function in a file, which returns a network of the user's own

Adapters are found through the entry-point group `isotune.adapters`, so a third party's adapter is a package
like any other. Listing them imports none of them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import TYPE_CHECKING

from isotune.errors import UsageError, nearest

if TYPE_CHECKING:
    from isotune.adapters.base import Adapter

GROUP = "isotune.adapters"
_OPTION = re.compile(r"[A-Za-z_]\w*=.*")
_WORD = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True)
class ModelName:
    """A model's name, taken apart. `str()` is the canonical spelling: options in alphabetical order."""

    adapter: str
    engine: str | None  # None: the adapter's default
    name: str  # the library's name of the model
    options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(sorted(self.options.items()))))

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[object, ...]:
        return ModelName, (self.adapter, self.engine, self.name, dict(self.options))

    def __str__(self) -> str:
        library = self.adapter if self.engine is None else f"{self.adapter}@{self.engine}"
        return ":".join([library, self.name, *(f"{key}={value}" for key, value in self.options.items())])


def parse(text: str, known: Collection[str] | None = None) -> ModelName:
    """A model's name from text.

    known: names of the adapters there are; absent: those that are installed.
    Errors: UsageError for an unknown adapter, an empty part, an option given twice.
    """
    known = adapters() if known is None else known
    library, colon, rest = text.strip().partition(":")
    adapter, at, engine = library.partition("@")
    if not colon:
        raise UsageError(f"model {text!r} names no adapter; write ADAPTER:{text}, with one of: {_listed(known)}")
    if adapter not in known:
        raise UsageError(f"model {text!r}: adapter {adapter!r} is unknown; {nearest(adapter, known)}")
    if at and not _WORD.fullmatch(engine):
        raise UsageError(f"model {text!r}: engine {engine!r} after @ is not a word; write {adapter}@ENGINE:NAME")

    parts = rest.split(":")
    options: dict[str, str] = {}
    while len(parts) > 1 and _OPTION.fullmatch(parts[-1]):
        key, _, value = parts.pop().partition("=")
        if key in options:
            raise UsageError(f"model {text!r}: option {key!r} is given twice")
        options[key] = value
    if not all(parts) or any(character.isspace() for character in rest):
        raise UsageError(f"model {text!r} is not ADAPTER[@ENGINE]:NAME[:OPTION=VALUE ...]")
    if stray := next((part for part in parts if _OPTION.fullmatch(part)), None):
        raise UsageError(f"model {text!r}: option {stray!r} must stand after the name")
    return ModelName(adapter, engine or None, ":".join(parts), options)


def is_file(name: str) -> bool:
    """Whether a model's name within its adapter is a user's own Python file: PATH.py:FUNCTION, or only PATH.py."""
    return name.endswith(".py") or ".py:" in name


def option_value(text: str) -> bool | int | float | str:
    """An option's text as bool, int or float where it reads as one."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def adapters() -> dict[str, EntryPoint]:
    """The installed adapters by name; nothing is imported.

    Where two packages claim a name, isotune's own keeps it, or else the package that comes first in the
    alphabet; the other is named in a warning.
    """
    found: dict[str, EntryPoint] = {}
    claims = sorted(entry_points(group=GROUP), key=lambda entry: (_package(entry) != "isotune", _package(entry)))
    for entry in claims:
        first = found.setdefault(entry.name, entry)
        if first.value != entry.value:
            logging.getLogger(__name__).warning(
                "adapter %r of %s is hidden by that of %s", entry.name, _package(entry), _package(first)
            )
    return found


def load_adapter(model: ModelName) -> Adapter:
    """The adapter that runs `model`, on the engine that it names.

    Imports the adapter's module, and with it perhaps a framework.
    Errors: UsageError for an adapter that is unknown or broken, an engine that it does not have;
    MissingExtra when the adapter says that its framework is not installed.
    """
    from isotune.adapters.base import Adapter

    known = adapters()
    if model.adapter not in known:
        raise UsageError(f"adapter {model.adapter!r} is unknown; {nearest(model.adapter, known)}")
    entry = known[model.adapter]
    try:
        found = entry.load()
    except UsageError:
        raise
    except Exception as error:  # a third party's module may fail in any way, at import
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UsageError(f"adapter {entry.name!r} of {_package(entry)} cannot be loaded ({reason})") from error
    if not (isinstance(found, type) and issubclass(found, Adapter)):
        raise UsageError(f"adapter {entry.name!r} of {_package(entry)}: {entry.value} is no subclass of Adapter")
    if missing := sorted(found.__abstractmethods__):
        raise UsageError(f"adapter {entry.name!r} of {_package(entry)} does not implement: {', '.join(missing)}")
    if model.engine is None:
        return found()
    if len(found.engines) == 1:
        raise UsageError(f"{model.adapter!r} runs on {found.engines[0]} only; leave out @{model.engine}")
    if model.engine not in found.engines:
        raise UsageError(f"{model.adapter!r} has no engine {model.engine!r}; {nearest(model.engine, found.engines)}")
    return found(engine=model.engine)  # type: ignore[call-arg]


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.module


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none is installed"
