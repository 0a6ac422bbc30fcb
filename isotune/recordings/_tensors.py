"""Files of tensors: safetensors, written tensor by tensor, so that one at a time is in memory; read by name."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isotune import reading
from isotune.errors import UsageError

Array = np.ndarray
_DTYPES = {"float32": "F32", "float64": "F64"}
_MOST = 64 * reading.GIB


@dataclass(frozen=True)
class Streamed:
    """A tensor that is asked for when its turn comes."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # float32 or float64
    read: Callable[[], Array]

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def write(path: Path, tensors: Sequence[Streamed]) -> None:
    """Write a safetensors file (https://github.com/huggingface/safetensors: length of the header, header, data)."""
    header, place = {}, 0
    for tensor in tensors:
        header[tensor.name] = {
            "dtype": _DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [place, place + tensor.size]
        }  # fmt: skip
        place += tensor.size
    words = json.dumps(header).encode()
    words += b" " * (-len(words) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(words)) + words)
        for tensor in tensors:
            array = np.ascontiguousarray(tensor.read(), tensor.dtype)
            if array.shape != tensor.shape:
                raise ValueError(f"{tensor.name} is {array.shape}, not {tensor.shape}")
            file.write(array.data if array.size else b"")


class Tensors(Mapping[str, Array]):
    """The tensors of a file, read when they are asked for. UsageError: it is not whole."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        reading.regular(path, _MOST)
        try:
            self._file: Any = safe_open(path, framework="numpy")
            self._names = list(self._file.keys())  # type: ignore[no-untyped-call]
        except (SafetensorError, OSError, MemoryError, ValueError) as error:
            raise UsageError(f"{path}: incomplete or damaged safetensors file ({error})") from None

    def __getitem__(self, name: str) -> Array:
        if name not in self._names:
            raise KeyError(name)
        array: Array = self._file.get_tensor(name)
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._names
