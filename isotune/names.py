"""Names of models, `adapter[@engine]:name[:option=value ...]`, and the adapters that they lead to.

    torchvision:mobilenet_v2
    timm:mobilenetv2_100
    timm:hf-hub:timm/resnet18.a1_in1k          a name may hold colons
    keras@jax:MobileNetV2                      another engine than the adapter's default
    torchvision:mobilenet_v2:width_mult=0.35   the library's own arguments
    torch:port.py:make, keras:port.py:make     a function in a file, which returns a network of the user's own

Adapters are found through the entry-point group `isotune.adapters`, so a third party's adapter is a package
like any other. Listing them imports none of them. What is known of a library stands in its adapter's class, which is
had without importing the library: `adapter_class`, or `facts` where an adapter may be missing.
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
DEFAULT_MODELS = ("torchvision:mobilenet_v2", "timm:mobilenetv2_100", "keras:MobileNetV2")
_OPTION = re.compile(r"[A-Za-z_]\w*=.*")
_WORD = re.compile(r"[A-Za-z0-9][\w.-]*")

# Of adapters asked for once, since a report asks for each of its rows; an adapter may still come, but none goes.
_FACTS: dict[str, type[Adapter]] = {}
_DISTRIBUTIONS: dict[str, str] = {}


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
    kept: dict[str, EntryPoint] = {}
    claims = sorted(entry_points(group=GROUP), key=lambda entry: (_package(entry) != "isotune", _package(entry)))
    for entry in claims:
        first = kept.setdefault(entry.name, entry)
        if first.value != entry.value:
            logging.getLogger(__name__).warning(
                "adapter %r of %s is hidden by that of %s", entry.name, _package(entry), _package(first)
            )
    return kept


def adapter_class(adapter: str) -> type[Adapter]:
    """The class of an adapter, "keras" or "keras@jax": what is known of its library. It imports no framework.

    Errors: UsageError for an adapter that is unknown or broken.
    """
    from isotune.adapters.base import Adapter

    name, known = adapter.partition("@")[0], adapters()
    if name not in known:
        raise UsageError(f"adapter {name!r} is unknown; {nearest(name, known)}")
    entry = known[name]
    try:
        loaded = entry.load()
    except UsageError:
        raise
    except Exception as error:  # a third party's module may fail in any way, at import
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise UsageError(f"adapter {entry.name!r} of {_package(entry)} cannot be loaded ({reason})") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Adapter)):
        raise UsageError(f"adapter {entry.name!r} of {_package(entry)}: {entry.value} is no subclass of Adapter")
    if missing := sorted(loaded.__abstractmethods__):
        raise UsageError(f"adapter {entry.name!r} of {_package(entry)} does not implement: {', '.join(missing)}")
    return loaded


def facts(adapter: str) -> type[Adapter] | None:
    """As `adapter_class`; None where the adapter is not installed or is broken, as it may be of a record's."""
    name = adapter.partition("@")[0]
    if name not in _FACTS:
        try:
            _FACTS[name] = adapter_class(name)
        except UsageError:
            return None
    return _FACTS[name]


def title(adapter: str) -> str:
    """ "keras@jax" -> "Keras on jax"; the name itself where nothing is known of it."""
    name, _, engine = adapter.partition("@")
    known = facts(name)
    shown = (known and known.title) or name
    return f"{shown} on {engine}" if engine else shown


def distribution(adapter: str) -> str:
    """The package that brings an adapter, as pip names it: "isotune-example"; empty: it is not known."""
    name = adapter.partition("@")[0]
    if name not in _DISTRIBUTIONS:
        entry = adapters().get(name)
        if entry is None or entry.dist is None:
            return ""
        _DISTRIBUTIONS[name] = entry.dist.name
    return _DISTRIBUTIONS[name]


def load_adapter(model: ModelName) -> Adapter:
    """The adapter that runs `model`, on the engine that it names.

    Errors: UsageError for an adapter that is unknown or broken, an engine that it does not have; MissingExtra when one
    of its engine's packages is not installed.
    """
    known = adapter_class(model.adapter)
    if model.engine is None:
        return known()
    engines = known.engines
    if len(engines) == 1:
        raise UsageError(f"{model.adapter!r} runs on {next(iter(engines))} only; leave out @{model.engine}")
    if model.engine not in engines:
        raise UsageError(f"{model.adapter!r} has no engine {model.engine!r}; {nearest(model.engine, engines)}")
    return known(model.engine)


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.module


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none is installed"
