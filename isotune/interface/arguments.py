"""What a call is given, as the core takes it: names from names, paths, entries and functions. A wrong type is a
`UsageError` that names the argument and says what it takes."""

from __future__ import annotations

import ast
import inspect
import math
import operator
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from isotune import conventions, data, defaults, names, parity, places, protocols, reading
from isotune.data.sources import given
from isotune.data.sources.source import Source
from isotune.errors import UsageError, listed, nearest
from isotune.models import checkpoints
from isotune.models.catalogue import Entry
from isotune.names import DEFAULT_MODELS, ModelName
from isotune.progress import Reporter
from isotune.workers.process import Workers

path = places.path
PathLike = str | os.PathLike[str]
Model = str | os.PathLike[str] | ModelName | Entry | Callable[..., Any]
Dataset = given.Given | data.Dataset
Protocol = str | os.PathLike[str] | Mapping[str, Any] | protocols.Protocol
Conventions = str | Mapping[str, Mapping[str, Any]]
Expectation = str | Mapping[str, Any] | protocols.Expected

_MOST = 4 * reading.MIB  # of a Python file
_MODEL = (
    f"a name such as {DEFAULT_MODELS[0]!r}, an entry of isotune.models(...), or a function that makes a network, or its"
    " file"
)
_PROTOCOL = "a name such as 'quick', a TOML file, a dictionary or an isotune.Protocol"
_CONVENTIONS = "'identical', 'native', each also with overrides: 'native,resize=plain', {'native': {'resize': 'plain'}}"


def wrong(argument: str, takes: str, value: object) -> UsageError:
    """The error for a value of a type that the argument does not take."""
    kind = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    return UsageError(f"{argument}: takes {takes}, not {kind}")


def several(value: Any, argument: str, takes: str, one: Callable[[Any], bool]) -> list[Any]:
    """The things of an argument that takes one or several. UsageError: neither, or none."""
    if one(value):
        return [value]
    if not isinstance(value, Iterable):
        raise wrong(argument, f"{takes}, or several", value)
    if not (things := list(value)):
        raise UsageError(f"{argument}: there is none; give at least one: {takes}")
    return things


def model(value: Model, argument: str = "model") -> str:
    """A model's name. A function stands for its place in its file, a file for the library that it imports."""
    if isinstance(value, str):
        return value
    if isinstance(value, ModelName):
        return str(value)
    if isinstance(value, Entry):
        return value.model
    if isinstance(value, os.PathLike):
        return _of_file(Path(value), argument)
    if inspect.isfunction(value):
        file = inspect.getsourcefile(value)
        if file is None or not Path(file).is_file() or value.__qualname__ != value.__name__:
            raise UsageError(
                f"{argument}: the function {value.__qualname__} stands in no file that a worker could read;"
                " write it into one"
            )
        return f"{_of_file(Path(file), argument)}:{value.__name__}"
    raise wrong(argument, _MODEL, value)


def _of_file(path: Path, argument: str) -> str:
    """ADAPTER:PATH of a Python file: the adapter with the name of a library that the file imports."""
    file = Path(str(path).partition(".py:")[0] + (".py" if ".py:" in str(path) else ""))
    if file.suffix != ".py":
        raise UsageError(f"{argument}: {path} is no Python file; it takes {_MODEL}")
    try:
        tree = ast.parse(reading.content(file, _MOST, f"{argument}: {file}"))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"{argument}: {file} is no Python ({error})") from None
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module.partition(".")[0])
    libraries = sorted(imported & set(names.adapters()))
    if len(libraries) != 1:
        of = f"imports {' and '.join(libraries)}" if libraries else "imports no library that isotune knows"
        raise UsageError(f"{argument}: {file} {of}; say which one makes the network: 'ADAPTER:{path}:FUNCTION'")
    return f"{libraries[0]}:{path}"


def models(value: Model | Iterable[Model], argument: str = "models") -> list[str]:
    """Names of one model or several."""
    each = several(value, argument, _MODEL, lambda one: isinstance(one, _ONE_MODEL) or callable(one))
    return [model(one, argument) for one in each]


# Beyond these a typing error is likelier than a purpose, and memory or time would end before the work.
_LARGEST = {
    "batch": 4_096, "batch_size": 100_000, "classes": 1_000_000, "images": 100_000, "jobs": 1_000,
    "seed": 2**32 - 1, "size": 9_999, "steps": 100_000,
}  # fmt: skip
_ONE_MODEL = (str, os.PathLike, ModelName, Entry)


def datasets(value: Dataset | Iterable[Dataset] | Mapping[str, Dataset], argument: str = "datasets") -> list[Any]:
    """Sources and prepared data sets: of one, several, or several by name."""
    if isinstance(value, Mapping) and value and not given.is_one(value):
        return [dataset(each, argument, str(name)) for name, each in value.items()]
    each = several(value, argument, given.ACCEPTED, _is_dataset)
    return [dataset(one, argument) for one in each]


def _is_dataset(value: Any) -> bool:
    one = (str, os.PathLike, Mapping, Source, data.Dataset)
    return isinstance(value, one) or given.is_table(value) or given.is_arrays(value) or hasattr(value, "dtype")


def dataset(value: Any, argument: str = "dataset", label: str = "") -> Any:
    """One data set, not prepared yet unless it comes so. UsageError names the argument when the type is wrong."""
    if isinstance(value, data.Dataset):
        return value
    known = isinstance(value, str | os.PathLike | Mapping | Source) or given.is_table(value)
    if not known and not given.is_arrays(value):
        raise wrong(argument, given.ACCEPTED, value)
    return given.source(value, label)


def prepared(wanted: Iterable[Any], reporter: Reporter, *, skip_unreadable: bool = False) -> dict[str, data.Dataset]:
    """Data sets by name, fetched and made where they are not there yet."""
    made, several = [], list(wanted)
    for number, each in enumerate(several):
        reporter(f"data set {each.name}", number, len(several))
        made.append(data.prepare(each, skip_unreadable=skip_unreadable, progress=reporter))
    if several:
        reporter("data sets", len(several), len(several))
    return {each.name: each for each in made}


def recipe(value: Protocol, argument: str = "protocol") -> protocols.Protocol:
    """A protocol, read and checked."""
    if not isinstance(value, str | os.PathLike | Mapping | protocols.Protocol):
        raise wrong(argument, _PROTOCOL, value)
    return protocols.load(value)


def recipes(value: Protocol | Iterable[Protocol], argument: str = "protocols") -> list[protocols.Protocol]:
    one = (str, os.PathLike, Mapping, protocols.Protocol)
    return [recipe(each, argument) for each in several(value, argument, _PROTOCOL, lambda v: isinstance(v, one))]


def specs(value: Conventions | Iterable[Conventions], argument: str = "conventions") -> list[str]:
    """Set-ups, each `identical` or `native` with overrides; a dictionary holds overrides by what they override."""
    setups = []
    for each in several(value, argument, _CONVENTIONS, lambda one: isinstance(one, str | Mapping)):
        if isinstance(each, Mapping):
            for base, overrides in each.items():
                if not isinstance(overrides, Mapping):
                    raise wrong(argument, _CONVENTIONS, overrides)
                setups.append(",".join([str(base), *(f"{axis}={each}" for axis, each in overrides.items())]))
            if not each:
                raise UsageError(f"{argument}: there is none; give at least one: {_CONVENTIONS}")
        elif isinstance(each, str):
            setups.append(each)
        else:
            raise wrong(argument, _CONVENTIONS, each)
    for each in setups:
        conventions.parse(each)
    return setups


def expectations(value: Expectation | Iterable[Expectation], argument: str = "expect") -> list[protocols.Expected]:
    """Published numbers; none of an empty list."""
    if isinstance(value, str | Mapping | protocols.Expected):
        return [protocols.expected(value, argument)]
    if not isinstance(value, Iterable):
        raise wrong(argument, "a text such as 'accuracy=85.0,source=URL', a dictionary, or several", value)
    return [protocols.expected(each, argument) for each in value]


def spec(value: Conventions, argument: str = "conventions") -> str:
    """One set-up."""
    setups = specs(value, argument)
    if len(setups) != 1:
        raise UsageError(f"{argument}: takes one set-up, not {len(setups)}")
    return setups[0]


def checkpoint(value: PathLike, argument: str = "checkpoint") -> str:
    """A checkpoint's name; a path is a file of weights."""
    if isinstance(value, os.PathLike):
        value = f"file:{os.fspath(value)}"
    if not isinstance(value, str):
        raise wrong(argument, "a name such as 'pretrained', or a file of weights", value)
    if not value.strip():
        raise UsageError(f"{argument}: is empty; give a name such as 'pretrained', or a file of weights")
    checkpoints.check_name(value)
    return value


def numeric_mode(value: str, argument: str = "numeric_mode") -> protocols.NumericMode:
    if not isinstance(value, str):
        raise wrong(argument, defaults.NUMERIC_MODES, value)
    return protocols.numeric_mode(value)


def layout(value: str | None, argument: str = "layout") -> protocols.Layout | None:
    """None, and an empty text of the command line: what the library's user gets."""
    if not isinstance(value, str | None):
        raise wrong(argument, "'contiguous' or 'channels_last'", value)
    return protocols.layout(value) if value else None


def mode(numeric: str, in_memory: str | None, compiled: bool) -> protocols.Mode:
    """The arguments `numeric_mode`, `layout` and `compiled`."""
    return protocols.Mode(
        numeric_mode=numeric_mode(numeric), layout=layout(in_memory), compiled=flag(compiled, "compiled")
    )


def flag(value: bool, argument: str) -> bool:
    """A text such as "no" would be true to Python."""
    if type(value).__name__ not in ("bool", "bool_"):  # Python's and NumPy's
        raise wrong(argument, "True or False", value)
    return bool(value)


def script(value: PathLike, argument: str) -> Path:
    """A Python file that is to be written; its folder is made when it is."""
    file = path(value, argument)
    if file.suffix != ".py":
        raise UsageError(f"{argument}: takes a file to write, FILE.py, not {file}")
    places.check_file(file, argument)
    return file


def interpreter(value: PathLike, argument: str = "python") -> str:
    """As it was given: `./python` is no command to be looked for."""
    path(value, argument)
    return os.fspath(value)


def share(value: float, argument: str) -> float:
    """A number from 0 on, less than 1."""
    try:
        number = float(value) if not isinstance(value, str | bytes | bool) else math.nan
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < 1:
        raise UsageError(f"{argument}: takes a number from 0 to less than 1, not {value!r:.80}")
    return number


def running(value: Workers | None, argument: str = "workers") -> Workers | None:
    if not isinstance(value, Workers | None):
        raise wrong(argument, "isotune.workers.process.Workers", value)
    return value


def whole(value: int, argument: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise wrong(argument, "a whole number", value) from None
    if isinstance(value, bool):
        raise wrong(argument, "a whole number", value)
    if number.bit_length() > 63:
        raise UsageError(f"{argument}: takes a whole number, not one of {number.bit_length()} bits")
    return number


def count(value: int, argument: str, least: int = 1) -> int:
    most = _LARGEST[argument]
    if not least <= (number := whole(value, argument)) <= most:
        raise UsageError(f"{argument}: takes a whole number from {least} to {most:,}, not {number}")
    return number


def interpreters(
    value: Mapping[str, PathLike] | None, models: Iterable[str] | None = None, argument: str = "pythons"
) -> dict[str, str]:
    """Interpreters by adapter. UsageError: there is no such file or adapter, or it runs none of the models."""
    if value is not None and not isinstance(value, Mapping):
        raise wrong(argument, "interpreters by adapter, {ADAPTER: 'other/bin/python'}", value)
    for adapter, python in (value or {}).items():
        library, _, engine = str(adapter).partition("@")
        if library not in (known := names.adapters()):
            raise UsageError(
                f"{argument}: {adapter}={python}: there is no adapter {library!r}; {nearest(library, known)}"
            )
        if engine and engine not in (engines := names.adapter_class(library).engines):
            raise UsageError(
                f"{argument}: {adapter}={python}: there is no engine {engine!r}; {nearest(engine, engines)}"
            )
        if not path(python, argument).is_file():
            raise UsageError(f"{argument}: {adapter}={python}: there is no such interpreter")
    if models is not None and (idle := sorted(set(value or {}) - {name.partition(":")[0] for name in models})):
        raise UsageError(f"{argument}: {idle[0]} runs none of the models {listed(list(models))}; leave it out")
    return {adapter: os.fspath(python) for adapter, python in (value or {}).items()}


def sides(value: int | str | tuple[int, int], argument: str = "size") -> tuple[int, int]:
    """(height, width) of images, pixels, from a side, both, or "HEIGHTxWIDTH"."""
    if isinstance(value, str):
        return parity.parse_size(value)
    if isinstance(value, tuple | list):
        if len(value) != 2:
            raise wrong(argument, "a side in pixels, (height, width) or 'HEIGHTxWIDTH'", value)
        return count(value[0], argument), count(value[1], argument)
    side = count(value, argument)
    return side, side
