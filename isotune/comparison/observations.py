"""Arrays that a worker saw, by name, in a folder: one after the other in a file, so that no process holds them all.

    FOLDER/arrays.bin    their bytes
    FOLDER/index.json    name -> where its bytes begin, type and shape; written last

Before, each had a file N.npy, and the index was name -> N; that is read as ever. Names are `RUNG/TENSOR` or plain; what
is read is mapped, not loaded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from isotune import reading
from isotune.errors import UsageError
from isotune.reading import arrays

Array = np.ndarray
_INDEX, _ARRAYS = "index.json", "arrays.bin"
_ALIGNED = 64  # bytes


def write(folder: Path, seen: Iterable[tuple[str, Array]]) -> None:
    """Write arrays one after the other; the index last, so that a folder without one is not whole."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    with (folder / _ARRAYS).open("wb") as file:
        for name, array in seen:
            whole = np.asarray(array, order="C")
            index[name] = [file.tell(), whole.dtype.str, whole.shape]
            file.write(whole.tobytes())
            file.write(bytes(-file.tell() % _ALIGNED))
    (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")


def copy(folder: Path, target: Path) -> None:
    """Copy a folder of observations, and nothing else that lies there. UsageError: it is not whole."""
    target.mkdir()
    index = _index(folder)
    apart = {f"{number}.npy" for number in index.values() if isinstance(number, int)}
    for file in apart:
        arrays.array(folder / file, mapped=True)
    for file in apart or ({_ARRAYS} if index else ()):
        reading.regular(folder / file, arrays.LIMIT)
        shutil.copyfile(folder / file, target / file)
    shutil.copyfile(folder / _INDEX, target / _INDEX)


def _index(folder: Path) -> dict[str, Any]:
    """By name where an array begins, its type and its shape; or the number of its own file."""
    if not (folder / _INDEX).exists():
        raise UsageError(f"{folder}: no whole folder of observations; it lacks {_INDEX}")
    index = reading.json(folder / _INDEX, 64 * reading.MIB)
    if not isinstance(index, dict) or not (
        all(type(entry) is int and entry >= 0 for entry in index.values())
        or all(isinstance(entry, list) and len(entry) == 3 for entry in index.values())
    ):
        raise UsageError(f"{folder / _INDEX}: no list of arrays by name")
    return index


class Observations(Mapping[str, Array]):
    """A folder that `write` wrote: name -> array, in the order of writing, memory-mapped and read-only.

    prefix: only names that begin so, without it. UsageError: the folder is not whole.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.folder = folder
        index = _index(folder)
        self._index = {name.removeprefix(prefix): entry for name, entry in index.items() if name.startswith(prefix)}

    def without(self, *names: str) -> Observations:
        """The same, less these."""
        fewer = Observations.__new__(Observations)
        fewer.folder = self.folder
        fewer._index = {name: entry for name, entry in self._index.items() if name not in names}
        return fewer

    @cached_property
    def _bytes(self) -> Array:
        return arrays.mapped(self.folder / _ARRAYS)

    def __getitem__(self, name: str) -> Array:
        entry = self._index[name]
        if isinstance(entry, int):
            return arrays.array(self.folder / f"{entry}.npy", mapped=True)
        return arrays.part(self._bytes, *entry, where=f"{self.folder / _ARRAYS}: {name}")

    def __contains__(self, name: object) -> bool:
        return name in self._index  # without reading the array, as Mapping would

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)
