"""Sealed folders: content that is known by its SHA-256, and noticed when it changes.

`seal.json` holds the SHA-256 of every file. Reading gigabytes to check them at every start would be
dear, so `verified.json` remembers size and modification time of the files when they were last read and
found right; only when these differ (or when asked) is everything read again. A `.npy` file is hashed by
type, shape and values, so that the digest does not depend on how NumPy pads its header.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

import numpy as np

from isotune import cache

SEAL = "seal.json"
_VERIFIED = "verified.json"
_CHUNK = 1 << 22  # bytes read at a time


class Damaged(Exception):
    """A sealed folder that is not what its seal says; the message says in what."""


def content_sha256(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if path.suffix == ".npy":
            array = np.load(file, mmap_mode=None, allow_pickle=False) if path.stat().st_size < _CHUNK else None
            if array is not None:
                digest.update(f"{array.dtype.str}{array.shape}".encode())
                digest.update(np.ascontiguousarray(array).data)
                return digest.hexdigest()
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            digest.update(f"{dtype.str}{shape}".encode())
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def seal(folder: Path) -> dict[str, str]:
    """Write the seal of a folder's files; gives their SHA-256 by name."""
    files = {path.name: content_sha256(path) for path in sorted(folder.iterdir())}
    (folder / SEAL).write_text(json.dumps({"files": files}, indent=1) + "\n", encoding="utf-8")
    _remember(folder, files)
    return files


def check(folder: Path, *, verify: bool = False) -> dict[str, str]:
    """The SHA-256 of a sealed folder's files by name.

    verify: read everything, even if sizes and times are as they were. Damaged: it is not what was sealed.
    """
    try:
        files = json.loads((folder / SEAL).read_text(encoding="utf-8"))["files"]
        items = sorted(files.items())
    except FileNotFoundError:
        raise Damaged(f"{folder / SEAL} is missing") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Damaged(f"{folder / SEAL} cannot be read") from None
    if missing := [name for name, _ in items if not (folder / name).is_file()]:
        raise Damaged(f"{folder / missing[0]} is missing")
    if not verify and _stamps(folder, files) == _remembered(folder):
        return dict(items)
    for name, sha256 in items:
        try:
            actual = content_sha256(folder / name)
        except (ValueError, EOFError):  # a .npy file whose header is broken
            actual = ""
        if actual != sha256:
            raise Damaged(f"{folder / name} is not what was written")
    _remember(folder, files)
    return dict(items)


def _stamps(folder: Path, files: dict[str, str]) -> dict[str, list[int]]:
    status = {name: (folder / name).stat() for name in (*files, SEAL)}
    return {name: [entry.st_size, entry.st_mtime_ns] for name, entry in status.items()}


def _remembered(folder: Path) -> object:
    try:
        return json.loads((folder / _VERIFIED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _remember(folder: Path, files: dict[str, str]) -> None:
    with contextlib.suppress(OSError), cache.draft_file(folder / _VERIFIED) as draft:  # a cache may be read-only
        draft.write_text(json.dumps(_stamps(folder, files)), encoding="utf-8")
