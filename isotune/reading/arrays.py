"""NumPy's files: `.npy` and `.npz`, of plain numbers and texts.

What a header declares must be what follows it, to the byte, before anything is allocated. Python objects are refused:
they would be pickles, which can run anything.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple
from zipfile import ZipFile

import numpy as np

from isotune.errors import UsageError, nearest
from isotune.reading._files import GIB, opened, zipped

LIMIT = 256 * GIB  # of one file


class Header(NamedTuple):
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    length: int  # bytes before the data

    @property
    def size(self) -> int:
        """Bytes of header and data."""
        return self.length + math.prod(self.shape) * self.dtype.itemsize


def array(path: str | os.PathLike[str], where: str = "", *, mapped: bool = False) -> np.ndarray:
    """The array of a `.npy` file. mapped: not loaded, but mapped read-only.

    UsageError: as of `isotune.reading.regular`, or the file is not one whole plain array.
    """
    where = where or str(path)
    with opened(path, LIMIT, where) as file, _refusing(where):
        header = _header(file, os.fstat(file.fileno()).st_size, where)
        if mapped and 0 not in header.shape:  # an empty array cannot be mapped
            order = "F" if header.fortran else "C"
            return np.memmap(file, header.dtype, "r", header.length, header.shape, order)  # type: ignore[call-overload,no-any-return]
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)


def mapped(path: str | os.PathLike[str], where: str = "") -> np.ndarray:
    """A file's bytes, uint8, mapped read-only. UsageError: as of `isotune.reading.regular`."""
    with opened(path, LIMIT, where) as file:
        empty = os.fstat(file.fileno()).st_size == 0  # which cannot be mapped
        return np.empty(0, np.uint8) if empty else np.asarray(np.memmap(file, np.uint8, "r"))


def part(data: np.ndarray, at: Any, dtype: Any, shape: Any, *, where: str) -> np.ndarray:
    """The array that lies in bytes (`mapped`) from a place on. dtype: as `numpy.dtype.str`, of plain numbers.
    UsageError: it is not there, or not said as it must be."""
    plain = isinstance(dtype, str) and re.fullmatch(r"[<>|=]?[biufc]\d+", dtype)
    places = (at, *shape) if isinstance(shape, list) else (None,)
    if not plain or not all(type(each) is int and each >= 0 for each in places):
        raise UsageError(f"{where}: no place, type and shape of a plain array")
    with _refusing(where):
        kind = np.dtype(dtype)
        end = at + math.prod(shape) * kind.itemsize
        if end > len(data):
            raise UsageError(f"{where}: ends at byte {end}, and there are {len(data)}: damaged, or cut off")
        array: np.ndarray = data[at:end].view(kind).reshape(shape)
        return array


def archive(path: str | os.PathLike[str], wanted: tuple[str, ...], optional: tuple[str, ...] = (), where: str = "") -> (
    dict[str, np.ndarray]
):  # fmt: skip
    """Arrays of a `.npz` file by name: those wanted, and the optional ones that it has.

    UsageError: as of `isotune.reading.regular`, it is no such archive, is not whole, one wanted is missing or no array.
    """
    where = where or str(path)
    with _archive(path, where) as (entries, names):
        for key in wanted:
            if key not in names:
                raise UsageError(f"{where}: {key} is missing; {nearest(key, names, noun='it holds')}")
        arrays = {}
        for key in (*wanted, *(key for key in optional if key in names)):
            entry = entries.getinfo(names[key])
            with _refusing(f"{where}: {key}"):
                with entries.open(entry) as stream:
                    _header(stream, entry.file_size, f"{where}: {key}")
                with entries.open(entry) as stream:
                    arrays[key] = np.lib.format.read_array(stream, allow_pickle=False)
        return arrays


def archived(path: str | os.PathLike[str], where: str = "") -> frozenset[str]:
    """The names of the arrays of a `.npz` file. UsageError: as of `archive`."""
    with _archive(path, where or str(path)) as (_, names):
        return frozenset(names)


@contextmanager
def _archive(path: str | os.PathLike[str], where: str) -> Iterator[tuple[ZipFile, dict[str, str]]]:
    """The archive, open, and the names of its arrays with those of their entries."""
    with opened(path, LIMIT, where) as file:
        if file.read(6) == np.lib.format.MAGIC_PREFIX:
            raise UsageError(f"{where}: it is one array, not an archive (numpy.savez)")
        file.seek(0)
        with zipped(file, where) as entries:
            yield entries, {name.removesuffix(".npy"): name for name in entries.namelist()}


def _header(stream: IO[bytes], size: int, where: str) -> Header:
    """The header of an array that has `size` bytes with it. UsageError: it is not what the file holds."""
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise UsageError(f"{where}: not a plain array")
    shape, fortran, dtype = readers[version](stream)
    header = Header(shape, fortran, dtype, stream.tell())
    if dtype.hasobject:
        raise UsageError(f"{where}: an array of Python objects; arrays without pickles are read, numbers and texts")
    if any(side < 0 for side in shape) or header.size != size:
        raise UsageError(f"{where}: its header declares {header.size} bytes, and it has {size}: damaged, or cut off")
    return header


@contextmanager
def _refusing(where: str) -> Iterator[None]:
    try:
        yield
    except UsageError:
        raise
    except Exception as error:  # NumPy evaluates the header as Python and makes a dtype of it: almost anything
        reason = " ".join(str(error).partition(" on line ")[0].split())[:200] or type(error).__name__
        raise UsageError(f"{where}: not a whole array of NumPy ({reason})") from None
