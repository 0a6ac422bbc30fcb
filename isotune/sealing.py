"""Sealed files and folders: what isotune wrote and reads again is known by its SHA-256, so that damage is noticed.

A JSON object carries its digest (`sealed`, `unsealed`). A folder has `seal.json` with the SHA-256 of every file's
bytes, and of its content: of a `.npy` file its type, shape and values, so that what is known by its content does not
depend on how NumPy pads the header.

What is read again, by default, when a process first opens a sealed folder: every file of at most 8 MiB, and a larger
one unless this machine has verified it since it changed. `verified.json` remembers that by size, inode and the times of
the last change of content and of status, so that a change is noticed even when the file's time was put back. What is
not noticed then is a large file that changes underneath the file system; `ISOTUNE_VERIFY=1` (`--verify`) has all read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from isotune import cache, reading
from isotune.errors import UsageError

SEAL = "seal.json"
BENCHMARKS = "isotune_digest"  # in a pytest-benchmark file: that of its benchmarks
SMALL = 1 << 23  # bytes; up to this a file is always read
VERIFIED = "verified.json"
_CHUNK = 1 << 22  # bytes read at a time
_log = logging.getLogger("isotune")
_opened: dict[Path, dict[str, list[int]]] = {}  # by this process, with the stamps that the files had


class Damaged(UsageError):
    """What isotune wrote is not what it was; the message says in what."""


def verifying() -> bool:
    """Whether everything is to be read, however recently it was verified: `ISOTUNE_VERIFY`, which workers inherit."""
    return os.environ.get("ISOTUNE_VERIFY", "0") not in ("", "0")


@contextlib.contextmanager
def everything() -> Iterator[None]:
    """Have this process, and workers that it starts meanwhile, read everything again."""
    former = os.environ.get("ISOTUNE_VERIFY")
    os.environ["ISOTUNE_VERIFY"] = "1"
    _opened.clear()
    try:
        yield
    finally:
        if former is None:
            del os.environ["ISOTUNE_VERIFY"]
        else:
            os.environ["ISOTUNE_VERIFY"] = former


def digest_of(values: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object's content, its own digest left out, in whatever order its fields are; hexadecimal."""
    content = {name: value for name, value in values.items() if name != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with its digest."""
    plain: dict[str, Any] = json.loads(json.dumps(values))  # as it will be read
    return {"digest": digest_of(plain), **plain}


def unsealed(values: Mapping[str, Any], what: object) -> dict[str, Any]:
    """The content of a sealed JSON object, `what`. Damaged: it is not what was sealed, or never was."""
    if "digest" not in values:
        raise Damaged(f"{what} has no digest")
    if values["digest"] != digest_of(values):
        raise Damaged(f"{what} is not what was written: its digest is that of other content")
    return {name: value for name, value in values.items() if name != "digest"}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a sealed JSON object in the place of what was there."""
    with cache.draft_file(path) as draft:
        draft.write_text(json.dumps(sealed(values), indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The content of a sealed JSON object. FileNotFoundError; Damaged: it cannot be read, or is not what was sealed."""
    path.lstat()  # FileNotFoundError
    try:
        values = reading.json(path, 64 * reading.MIB)
    except UsageError as error:
        raise Damaged(str(error)) from None
    return unsealed(values if isinstance(values, dict) else {}, path)


def _sha256(path: Path) -> str:
    """Of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def arrays_sha256(arrays: Mapping[str, np.ndarray]) -> str:
    """Over names, dtypes, shapes and bytes, in the order of the names; hexadecimal."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def content_sha256(path: Path) -> str:
    """Of a file's content, hexadecimal: of a `.npy` file's type, shape and values, else of its bytes."""
    if path.suffix != ".npy":
        return _sha256(path)
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    with path.open("rb") as file:
        file.seek(path.stat().st_size - array.nbytes)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def seal(folder: Path, name: str = "") -> dict[str, str]:
    """Write the seal of all files in a folder; gives the SHA-256 of their content by path.

    name: of the folder in its place, where that says what it holds; it is not taken for another's then.
    """
    there = sorted(path for path in folder.rglob("*") if path.is_file())
    files = {path.relative_to(folder).as_posix(): content_sha256(path) for path in there}
    written = {path: _sha256(folder / path) for path in files}
    sizes = {path: (folder / path).stat().st_size for path in files}
    text = json.dumps(sealed({"name": name, "files": files, "bytes": written, "sizes": sizes}), indent=1) + "\n"
    (folder / SEAL).write_text(text, encoding="utf-8")
    _remember(folder, _stamps(folder, files))
    return files


def check(folder: Path, *, verify: bool = False) -> dict[str, str]:
    """The SHA-256 of the content of a sealed folder's files by path.

    verify: read everything, as `verifying` does. Damaged: it is not what was sealed.
    """
    files, written, sizes = _seal_of(folder)
    if missing := [name for name in files if not (folder / name).is_file()]:
        raise Damaged(f"{folder / missing[0]} is missing")
    stamps, everything = _stamps(folder, files), verify or verifying()
    if _opened.get(folder) == stamps and not verify:
        return files
    remembered = {} if everything else _remembered(folder)
    for name, sha256 in written.items():
        if sizes.get(name, stamps[name][0]) != stamps[name][0]:  # before it is read, since it may be of any size
            raise Damaged(f"{folder / name} is not what was written")
        if stamps[name][0] > SMALL and remembered.get(name) == stamps[name]:
            continue
        if _sha256(folder / name) != sha256:
            raise Damaged(f"{folder / name} is not what was written")
    if remembered != stamps:
        _remember(folder, stamps)
    _opened[folder] = stamps
    return files


@contextlib.contextmanager
def made(target: Path, build: Callable[[Path], None]) -> Iterator[Path]:
    """The sealed folder `target` of the cache, which `build` fills where there is none; in use while inside. Of several
    processes that want it one builds, and the others wait.

    One that is damaged is named in a warning of the logger `isotune`, set aside as NAME.damaged, and made again.
    """
    with contextlib.ExitStack() as stack:
        while True:
            _make(target, build)
            try:
                stack.enter_context(in_use(target))
                break
            except FileNotFoundError:  # removed just now
                continue
        yield target


def in_use(folder: Path) -> cache.Use:
    """A sealed folder in use from now on (`cache.Use`). FileNotFoundError: it is not there."""
    use = cache.Use(folder / SEAL)
    with contextlib.suppress(OSError):  # a cache that others fill
        os.utime(folder / VERIFIED)  # tells when the folder was last used, and is no part of it
    return use


def _make(target: Path, build: Callable[[Path], None]) -> None:
    if _intact(target):
        return
    with cache.locked(target):
        if not _intact(target, set_aside=True):
            with cache.draft_folder(target) as draft:
                build(draft)
                seal(draft, target.name)


def _intact(folder: Path, *, set_aside: bool = False) -> bool:
    if not folder.exists():
        return False
    try:
        check(folder)
    except Damaged as error:
        if set_aside:
            _log.warning("damaged cache: %s; set aside as %s and made again", error, cache.set_aside(folder).name)
        return False
    return True


def _seal_of(folder: Path) -> tuple[dict[str, str], dict[str, str], dict[str, int]]:
    """The SHA-256 of the files' content, and of their bytes, and how many these are (seals from before do not say)."""
    try:
        content = read_json(folder / SEAL)
        name, files, written = content["name"], dict(sorted(content["files"].items())), dict(content["bytes"])
        sizes = dict(content.get("sizes", {}))
    except FileNotFoundError:
        raise Damaged(f"{folder / SEAL} is missing") from None
    except KeyError:
        raise Damaged(f"{folder / SEAL} is of another version") from None
    if name not in ("", folder.name):
        raise Damaged(f"{folder} contains what belongs into {name}")
    return files, written, sizes


def _stamps(folder: Path, files: Mapping[str, str]) -> dict[str, list[int]]:
    status = {name: (folder / name).stat() for name in (*files, SEAL)}
    return {name: [each.st_size, each.st_mtime_ns, each.st_ctime_ns, each.st_ino] for name, each in status.items()}


def _remembered(folder: Path) -> dict[str, list[int]]:
    """The stamps that the files had when this machine last verified all of them."""
    try:
        kept = reading.json(folder / VERIFIED, reading.MIB)
        return dict(kept["files"]) if kept["machine"] == platform.node() else {}
    except (UsageError, ValueError, KeyError, TypeError):
        return {}


def _remember(folder: Path, stamps: dict[str, list[int]]) -> None:
    with contextlib.suppress(OSError), cache.draft_file(folder / VERIFIED, durable=False) as draft:  # or read-only
        draft.write_text(json.dumps({"machine": platform.node(), "files": stamps}), encoding="utf-8")
