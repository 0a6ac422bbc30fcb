"""The source that results depend on, where a version does not tell: of a checkout that is worked on, of a package that
is edited in place.

Of an adapter it is the package that it stands in, and those of the classes that it is built on. Of isotune it is what
running a cell imports: the cell runner and all that this leads to, and no report, command or plan.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from importlib import util
from pathlib import Path

from isotune import names

RUNS = "isotune.runs.cell_runner"  # runs a cell; named and not imported, since it stands above
_PACKAGE = Path(__file__).parent.parent
_ADAPTERS = "isotune.adapters"  # a package of its own in isotune
_IMPORT = re.compile(r"^\s*(?:from (isotune[\w.]*) import (\([^)]*\)|.*)|import (isotune[\w.]*))", re.MULTILINE)
_SOURCES = (".py", ".toml", ".json", ".csv", ".txt")


@functools.cache
def adapter_code(adapter: str) -> str:
    """SHA-256, 12 digits, of the source of an adapter ("keras@jax"). Empty: it is not installed."""
    known = names.facts(adapter.partition("@")[0])
    return _digest(adapter_files(known)) if known else ""


@functools.cache
def core_code() -> str:
    """SHA-256, 12 digits, of the source of isotune that a cell runs."""
    return _digest(core_files())


def adapter_files(adapter: type) -> set[tuple[str, Path]]:
    """The files of the packages that make up an adapter's class, each with the name that it has there."""
    kinds = (each for each in adapter.__mro__ if each.__module__.partition(".")[0] not in sys.stdlib_module_names)
    return {file for kind in kinds for file in _beside(kind)}


def core_files() -> set[tuple[str, Path]]:
    """The modules of isotune that running a cell imports, at once or later, and the tables that lie beside them."""
    waiting, reached = [RUNS], dict[str, Path]()
    while waiting:
        if (name := waiting.pop()) in reached or (file := _module(name)) is None:
            continue
        reached[name] = file
        waiting += _imported(file)
    folders = {file.parent for file in reached.values()}
    tables = (file for folder in folders for file in folder.iterdir() if file.suffix in _SOURCES[1:])
    return {(file.relative_to(_PACKAGE).as_posix(), file) for file in (*reached.values(), *tables)}


def of_import(name: str) -> Iterator[tuple[str, Path]]:
    """The files of what `import name` would give, which is not imported, each with its name; none where there is no
    such thing."""
    try:
        spec = util.find_spec(name)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    if spec.submodule_search_locations is None:
        if spec.origin and (file := Path(spec.origin)).is_file():
            yield file.name, file
        return
    for folder in map(Path, spec.submodule_search_locations):
        for file in folder.rglob("*"):
            if "__pycache__" not in file.parts and file.is_file():
                yield f"{name}/{file.relative_to(folder).as_posix()}", file


def is_source(file: Path) -> bool:
    """Whether a file is read whole, and not known by its size and time, as weights are."""
    return file.suffix in _SOURCES


def _beside(kind: type) -> Iterator[tuple[str, Path]]:
    """The files of the package that a class comes from; of a module that is in none, its own."""
    if kind.__module__.startswith(f"{_ADAPTERS}."):
        yield from of_import(_ADAPTERS)
    elif files := list(of_import(kind.__module__.partition(".")[0])):
        yield from files
    elif (source := inspect.getsourcefile(kind)) is not None:
        yield Path(source).name, Path(source)


def _module(name: str) -> Path | None:
    """The file of a module of isotune, adapters left out."""
    package, *parts = name.split(".")
    if package != _PACKAGE.name or parts[:1] == ["adapters"]:
        return None
    stem = _PACKAGE.joinpath(*parts)
    files = (stem / "__init__.py", stem.with_name(f"{stem.name}.py"))
    return next((file for file in files if file.is_file()), None)


def _imported(file: Path) -> Iterator[str]:
    """What a module imports, and the packages on the way there but isotune's own, whose `__init__` is a table of
    contents; of a `from` what may be a module."""
    for package, listed, module in _IMPORT.findall(file.read_text(encoding="utf-8")):
        for name in [module] if module else [f"{package}.{each}" for each in re.findall(r"\w+", listed)]:
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(2, len(parts) + 1))


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    digest = hashlib.sha256()
    for name, file in sorted(files):
        if is_source(file):
            digest.update(name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
