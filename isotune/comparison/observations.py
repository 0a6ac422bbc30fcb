"""Arrays that a worker saw, by name, in a folder: a file each, so that no process holds them all.

`index.json` says which file is whose. Names are `RUNG/TENSOR` or plain; what is read is mapped, not loaded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from isotune.errors import UsageError

Array = np.ndarray
_INDEX = "index.json"


def write(folder: Path, seen: Iterable[tuple[str, Array]]) -> None:
    """Write arrays one after the other; the index last, so that a folder without one is not whole."""
    folder.mkdir(parents=True, exist_ok=True)
    index = {}
    for number, (name, array) in enumerate(seen):
        np.save(folder / f"{number}.npy", array)
        index[name] = number
    (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")


class Observations(Mapping[str, Array]):
    """A folder that `write` wrote: name -> array, in the order of writing, memory-mapped and read-only.

    prefix: only names that begin so, without it. UsageError: the folder is not whole.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.folder = folder
        try:
            index: dict[str, int] = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise UsageError(f"{folder}: no whole folder of observations; it lacks {_INDEX}") from None
        self._index = {name.removeprefix(prefix): file for name, file in index.items() if name.startswith(prefix)}

    def without(self, *names: str) -> Observations:
        """The same, less these."""
        fewer = Observations.__new__(Observations)
        fewer.folder = self.folder
        fewer._index = {name: file for name, file in self._index.items() if name not in names}
        return fewer

    def __getitem__(self, name: str) -> Array:
        array: Array = np.load(self.folder / f"{self._index[name]}.npy", mmap_mode="r", allow_pickle=False)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)
