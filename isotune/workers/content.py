"""What is installed for an adapter, told apart where its version is not.

A package that is edited in place, or installed again from a checkout, has another content under the same version. What
is kept of a library's own listing (the catalogue) goes stale by this; proofs go by versions, which a reader knows, and
records by them and the code of the adapter (`environment.code`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

from isotune import names
from isotune.workers.environment import packages, versions

_OWN = "isotune.adapters"  # of isotune's packages the one whose code is an adapter's
_SOURCES = (".py", ".toml", ".json", ".csv", ".txt")  # read whole; of other files, weights among them, size and time


def content(adapter: str) -> dict[str, str]:
    """Of an adapter ("keras@jax"), by name: the version of each package that matters, what its installer wrote down of
    its files, or those files where it is edited in place; and the files of the adapter itself. Nothing is imported but
    the adapter's class."""
    known_versions = versions(adapter)
    for package in packages(adapter):
        if digest := _of_package(package):
            known_versions[f"{package} files"] = digest
    if known := names.facts(adapter):
        known_versions["adapter"] = _of_files(dict.fromkeys(file for each in _classes(known) for file in _beside(each)))
    return known_versions


def _of_package(package: str) -> str:
    """Empty: it is not installed, its installer wrote nothing down, or it is isotune, whose adapters are read below."""
    try:
        distribution = metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return ""
    try:
        edited = json.loads(distribution.read_text("direct_url.json") or "{}").get("dir_info", {}).get("editable")
    except (ValueError, AttributeError):  # written by whatever installed it
        edited = False
    if not edited:
        return _digest((distribution.read_text("RECORD") or "").encode())
    return "" if package == _OWN.partition(".")[0] else _of_files(dict.fromkeys(_of_import(package.replace("-", "_"))))


def _classes(adapter: type) -> Iterator[type]:
    """Those that make up the adapter, and are no part of Python."""
    yield from (each for each in adapter.__mro__ if each.__module__.partition(".")[0] not in sys.stdlib_module_names)


def _beside(kind: type) -> Iterator[Path]:
    """The files of the package that a class comes from; of a module that is in none, its own."""
    if kind.__module__.startswith(f"{_OWN}."):
        yield from _of_import(_OWN)
    elif files := list(_of_import(kind.__module__.partition(".")[0])):
        yield from files
    elif (file := inspect.getsourcefile(kind)) is not None:
        yield Path(file)


def _of_import(name: str) -> Iterator[Path]:
    """The files of what `import name` would give, which is not imported; none where there is no such thing."""
    try:
        spec = util.find_spec(name)
    except (ImportError, ValueError):
        return
    if spec is None:
        return
    if spec.submodule_search_locations is None:
        yield from [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []
        return
    for folder in spec.submodule_search_locations:
        inside = (path for path in sorted(Path(folder).rglob("*")) if "__pycache__" not in path.parts)
        yield from (path for path in inside if path.is_file())


def _of_files(files: dict[Path, None]) -> str:
    digest = hashlib.sha256()
    for file in files:
        try:
            state = file.stat()
            known = file.read_bytes() if file.suffix in _SOURCES else f"{state.st_size} {state.st_mtime_ns}".encode()
        except OSError:  # gone meanwhile
            continue
        digest.update(f"{file.name} {len(known)}\n".encode() + known)
    return digest.hexdigest()[:16]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16] if content else ""
