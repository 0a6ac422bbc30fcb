"""What decides a cell's result, and where each part of that is held.

A cell's key (`Cell.key`) is the SHA-256 of what is asked, every file by its content:

| part | in the key |
|---|---|
| model | adapter, engine, name, options; of a network in a user's file its content and that of modules beside it |
| checkpoint | its name; of a file its content, its suffix, which says how it is read, and what is `beside` it |
| data set | images, labels, split, names of the classes (`Dataset.digest`), and the name that it goes by |
| protocol | all of it: a file's text or its place make no difference, a value does |
| conventions, seeds, mode | as they are spelled canonically |

With what it was computed is no question but a part of the answer, and stands in the record's environment
(`isotune.workers.environment`): versions of the libraries, of isotune and NumPy, of scikit-learn and SciPy where they
fitted a probe; the code of the adapter, with that of the packages it is built on, and the code of isotune that a cell
runs (`isotune.workers.code`). A record of others does not count as done: the cell is run again, and the new result
stands beside it. Machine, device and number of threads are recorded and decide nothing here, so that machines of
several kinds can share a store.

Not known: what a user's network reads beside Python modules. Not in the key: a library's own checkpoint that the
library replaces under the same name and version; a run that finds other weights than a record was made with says so
(`isotune.runs.planning.replaced`). And which Pillow resized: images are resized once for all libraries, whose
environments may have several, and kept under a key without its version, which the record names all the same.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from isotune import names, reading
from isotune.errors import UsageError
from isotune.models import beside

_MOST_SOURCE = 4 * reading.MIB  # of a Python file
_MOST_MODULES = 1000
_MOST_WEIGHTS = 64 * reading.GIB
_CHUNK = 1 << 22  # bytes read at a time


def network_digest(model: str) -> str | None:
    """Of the user's own file that a model names: SHA-256 of its bytes, and of those of all modules that it imports
    from its folder or this one. None: the model is a library's. UsageError: it cannot be read."""
    if (path := _network_file(model)) is None:
        return None
    parts = [(file.name, hashlib.sha256(source).hexdigest()) for file, source in _sources(path)]
    return hashlib.sha256(repr([parts[0][1], *sorted(parts[1:])]).encode()).hexdigest()


def weights_digest(checkpoint: str) -> str | None:
    """SHA-256 of the file that a checkpoint names; None: it names none. UsageError: it cannot be read."""
    if (path := weights_file(checkpoint)) is None:
        return None
    reading.regular(path, _MOST_WEIGHTS, f"checkpoint {checkpoint!r}: {path}")
    stamp = path.stat()
    return _sha256(path.absolute(), (stamp.st_size, stamp.st_mtime_ns, stamp.st_ctime_ns, stamp.st_ino))


def beside_digest(checkpoint: str) -> str | None:
    """SHA-256 of what is said beside the file that a checkpoint names (`beside`); None: nothing is. UsageError: it is
    said wrongly."""
    path = weights_file(checkpoint)
    return None if path is None else beside.digest(path)


def files(model: str, checkpoint: str) -> tuple[str | None, ...]:
    """A model and a checkpoint, with the content of the files that they name, and of what is said beside these."""
    return model, network_digest(model), checkpoint, weights_digest(checkpoint), beside_digest(checkpoint)


def without_path(model: str) -> str:
    """A model's name with `.py` alone for the path of a user's file: "torch:.py:make:width=2"."""
    if _network_file(model) is None:
        return model
    adapter, _, rest = model.partition(":")
    _, sign, function = rest.partition(".py:")
    return f"{adapter}:.py{':' if sign else ''}{function}"


def without_place(checkpoint: str) -> str:
    """A checkpoint's name with the suffix alone for the path of a file: "file:.h5::keras:MobileNetV2"."""
    if (path := weights_file(checkpoint)) is None:
        return checkpoint
    _, sign, source = checkpoint.partition("::")
    return f"file:{path.suffix}{sign}{source}"


def asked(cell: Mapping[str, Any]) -> dict[str, Any]:
    """Of a cell, as JSON, what its key is the digest of: without paths, and without the fields of files where it names
    none, so that such a cell has the key that it always had."""
    values = dict(cell)
    for digest, name, without in _BY_CONTENT:
        if values[digest] is None:
            del values[digest]
        else:
            values[name] = without(values[name])
    if values["beside_digest"] is None:
        del values["beside_digest"]
    if ":" in values["dataset"]:
        values["dataset"] = values["dataset"].partition(":")[0]  # a path may follow
    return values


_BY_CONTENT = (  # of what is in a file: the content's digest, the name with its path, and the name without
    ("network_digest", "model", without_path),
    ("weights_digest", "checkpoint", without_place),
)


def network_sources(model: str) -> list[tuple[Path, bytes]]:
    """The files that decide a network of the user's own, its own first, each with its bytes; none of a library's.
    UsageError: one cannot be read."""
    path = _network_file(model)
    return [] if path is None else list(_sources(path))


def _network_file(model: str) -> Path | None:
    rest = model.partition(":")[2]
    return Path(rest.partition(".py:")[0].removesuffix(".py") + ".py") if names.is_file(rest) else None


def weights_file(checkpoint: str) -> Path | None:
    """The file that a checkpoint names; None: it names none."""
    kind, _, rest = checkpoint.partition(":")
    return Path(rest.partition("::")[0]).expanduser() if kind == "file" else None


@lru_cache(maxsize=256)
def _sha256(path: Path, stamp: tuple[int, ...]) -> str:
    """Of a file that has this stamp; it is read again when that changes."""
    with reading.opened(path, _MOST_WEIGHTS) as file:
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        return digest.hexdigest()


def _sources(path: Path) -> Iterator[tuple[Path, bytes]]:
    """A Python file and those that it imports from its folder or the working one, and they in turn; each once."""
    first = path.expanduser()
    folders = list(dict.fromkeys((first.absolute().parent, Path.cwd())))
    waiting, seen = [first.absolute()], set[Path]()
    while waiting:
        file = waiting.pop(0)
        if file in seen:
            continue
        if len(seen) == _MOST_MODULES:
            raise UsageError(f"{path} imports more than {_MOST_MODULES:,} files")
        seen.add(file)
        source = reading.content(file, _MOST_SOURCE)
        yield file, source
        waiting += _imported(source, file, folders)


def _imported(source: bytes, file: Path, folders: list[Path]) -> Iterator[Path]:
    """The files that a module's imports lead to; what is no Python, or stands elsewhere, is nobody's business here."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _files(alias.name.split("."), folders)
        elif isinstance(node, ast.ImportFrom):
            places = [file.parents[node.level - 1]] if 0 < node.level <= len(file.parents) else folders
            module = node.module.split(".") if node.module else []
            for alias in node.names:
                yield from _files([*module, alias.name], places)


def _files(parts: list[str], folders: list[Path]) -> Iterator[Path]:
    """Of a module's dotted name: the packages on the way and the module itself, in the first folder that has it."""
    if parts[0] == "isotune":  # known by its version
        return
    for folder in folders:
        named = [
            file
            for count in range(1, len(parts) + 1)
            for stem in [folder.joinpath(*parts[:count])]
            for file in (stem / "__init__.py", stem.with_name(f"{stem.name}.py"))
            if file.is_file()
        ]
        if named:
            yield from named
            return
