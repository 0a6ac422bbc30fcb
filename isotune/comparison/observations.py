"""Arrays that a worker saw, by name, in a folder: a file each, so that no process holds them all.

`index.json` says which file is whose. Names are `RUNG/TENSOR` or plain; what is read is mapped, not loaded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from isotune import reading
from isotune.errors import UsageError
from isotune.reading import arrays

Array = np.ndarray
_INDEX = "index.json"


def write(folder: Path, seen: Iterable[tuple[str, Array]]) -> None:
    """Write arrays one after the other; the index last, so that a folder without one is not whole."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for number, (name, array) in enumerate(seen):
        np.save(folder / f"{number}.npy", np.asarray(array, order="C"))  # which writes views several times slower
        index[name] = number
    (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")


def copy(folder: Path, target: Path) -> None:
    """Copy a folder of observations, and nothing else that lies there. UsageError: it is not whole."""
    target.mkdir()
    for file in {f"{number}.npy" for number in _index(folder).values()}:
        arrays.array(folder / file, mapped=True)
        shutil.copyfile(folder / file, target / file)
    shutil.copyfile(folder / _INDEX, target / _INDEX)


def _index(folder: Path) -> dict[str, int]:
    """The numbers of the arrays' files, by name."""
    if not (folder / _INDEX).exists():
        raise UsageError(f"{folder}: no whole folder of observations; it lacks {_INDEX}")
    index = reading.json(folder / _INDEX, 64 * reading.MIB)
    if not isinstance(index, dict) or not all(type(number) is int and number >= 0 for number in index.values()):
        raise UsageError(f"{folder / _INDEX}: no list of arrays by name")
    return index


class Observations(Mapping[str, Array]):
    """A folder that `write` wrote: name -> array, in the order of writing, memory-mapped and read-only.

    prefix: only names that begin so, without it. UsageError: the folder is not whole.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.folder = folder
        index = _index(folder)
        self._index = {name.removeprefix(prefix): file for name, file in index.items() if name.startswith(prefix)}

    def without(self, *names: str) -> Observations:
        """The same, less these."""
        fewer = Observations.__new__(Observations)
        fewer.folder = self.folder
        fewer._index = {name: file for name, file in self._index.items() if name not in names}
        return fewer

    def __getitem__(self, name: str) -> Array:
        return arrays.array(self.folder / f"{self._index[name]}.npy", mapped=True)

    def __contains__(self, name: object) -> bool:
        return name in self._index  # without reading the array, as Mapping would

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)
