"""Files as such: which may be opened, and how much of them is read."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from isotune.errors import UsageError

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# What an archive may expand to, beside what it measures itself: arrays of one value shrink a thousandfold, and so do
# bombs; whole data sets shrink less than this.
_SMALL, _RATIO = 64 * MIB, 50
_KINDS = (
    (stat.S_ISDIR, "Is a directory"),
    (stat.S_ISFIFO, "a named pipe, not a file"),
    (stat.S_ISSOCK, "a socket, not a file"),
    (stat.S_ISCHR, "a device, not a file"),
    (stat.S_ISBLK, "a device, not a file"),
)


def regular(path: str | os.PathLike[str], limit: int, where: str = "") -> int:
    """The size of a file in bytes; links are followed.

    limit: the most bytes that it may have. where: what an error begins with; the path if not given.
    UsageError: it is not there, no regular file, or larger.
    """
    where = where or str(path)
    try:
        return _checked(Path(path).stat(), limit, where)
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror}") from None
    except ValueError:  # a null byte
        raise UsageError(f"{where}: no name of a file") from None


def _checked(status: os.stat_result, limit: int, where: str) -> int:
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"{where}: {next((words for is_it, words in _KINDS if is_it(status.st_mode)), 'not a file')}")
    if status.st_size > limit:
        raise UsageError(f"{where}: has {_size(status.st_size)}; at most {_size(limit)} are read")
    return status.st_size


@contextmanager
def opened(path: str | os.PathLike[str], limit: int, where: str = "") -> Iterator[BinaryIO]:
    """A file, open for reading. Errors as of `regular`; an OSError inside becomes one too."""
    where = where or str(path)
    regular(path, limit, where)  # before it is opened, since opening a pipe waits and opening a device may act
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            _checked(os.fstat(file.fileno()), limit, where)  # another may have taken its place meanwhile
            yield file
    except OSError as error:
        raise UsageError(f"{where}: {error.strerror or error}") from None


def content(path: str | os.PathLike[str], limit: int, where: str = "") -> bytes:
    """All of a file. Errors as of `regular`."""
    where = where or str(path)
    with opened(path, limit, where) as file:
        size = os.fstat(file.fileno()).st_size
        data = file.read(size + 1)  # not up to the limit: of files like those of /proc the size says nothing
    if len(data) != size:
        raise UsageError(f"{where}: has {'more' if len(data) > size else 'fewer'} bytes than its size says")
    return data


def text(path: str | os.PathLike[str], limit: int, where: str = "") -> str:
    """A file of UTF-8 text, its lines ended by newlines alone. Errors as of `regular`, and for other text."""
    where = where or str(path)
    try:
        return io.StringIO(content(path, limit, where).decode("utf-8"), newline=None).read()
    except UnicodeDecodeError:
        raise UsageError(f"{where}: not UTF-8 text") from None


def gunzipped(path: str | os.PathLike[str], limit: int, where: str = "") -> bytes:
    """What a gzip file holds: at most `limit` bytes, as the file itself. Errors as of `regular`, and if it is none."""
    where = where or str(path)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content(path, limit, where))) as file:
            data = file.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{where}: cannot be decompressed ({error}); remove or reinstall it") from None
    if len(data) > limit:
        raise UsageError(f"{where}: decompresses to more than {_size(limit)}")
    return data


@contextmanager
def zipped(file: BinaryIO, where: str) -> Iterator[zipfile.ZipFile]:
    """A zip archive in an open file. Nothing is unpacked to disk, so its names lead nowhere.

    UsageError: it is none, is encrypted, compressed otherwise than by deflate, or its entries together expand to more
    than 64 MiB and 50 times the file. What goes wrong inside, while an entry is read, becomes one too.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            size = os.fstat(file.fileno()).st_size
            if any(entry.flag_bits & 1 for entry in entries):
                raise UsageError(f"{where}: the archive is encrypted")
            if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
                raise UsageError(f"{where}: the archive is compressed otherwise than by deflate")
            if (expanded := sum(entry.file_size for entry in entries)) > _SMALL + _RATIO * size:
                raise UsageError(f"{where}: an archive of {_size(size)} that would expand to {_size(expanded)}")
            for entry in entries:
                archive.open(entry).close()  # that the entry itself bears the name by which the directory lists it
            yield archive
    except (UsageError, OSError):
        raise
    except Exception as error:  # zipfile raises almost anything on damaged archives
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(f"{where}: a damaged zip archive ({reason})") from None


def _size(count: int) -> str:
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if count >= unit:
            return f"{count / unit:.3g} {name}" if count < 1000 * unit else f"{count // unit:,} {name}"
    return f"{count} bytes"
