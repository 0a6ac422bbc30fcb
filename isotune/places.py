"""Places that results are written to: whether they can be is found before the work, not after it.

Folders that a result is to lie in are made, of a file as of a folder, once there is something to write.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from isotune.errors import UsageError


def path(value: str | os.PathLike[str], argument: str) -> Path:
    """A folder or file as it is given to a call. UsageError: it is no path, or an empty one."""
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{argument}: takes a path, not {type(value).__name__}")
    if not os.fspath(value) or "\0" in os.fspath(value):
        raise UsageError(f"{argument}: takes a path, not {os.fspath(value)!r}; '.' is this folder")
    return Path(value)


def check_folder(folder: Path, argument: str) -> None:
    """UsageError: the folder is something else, or takes no file. It is made to find that out, and removed again where
    it was not there."""
    place = folder.expanduser().absolute()
    made: list[Path] = []
    try:
        missing = [path for path in (place, *place.parents) if not path.exists()]
        for path in reversed(missing):
            path.mkdir()
            made.append(path)
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(bytes(4096))  # what a full disk refuses
            file.flush()
    except OSError as error:
        raise UsageError(
            f"{argument}: {folder} cannot be written ({error.strerror}); name a folder that takes files"
        ) from None
    finally:
        for path in reversed(made):
            path.rmdir()


def check_store(store: Path) -> None:
    """UsageError: there is none."""
    if not store.is_dir():
        raise UsageError(f"there is no store {store}; 'isotune run' makes one, or name another")


def check_file(file: Path, argument: str) -> None:
    """UsageError: the file cannot be written: it is a folder, or its folder takes no file."""
    if file.is_dir():
        raise UsageError(f"{argument}: {file} is a folder; name a file")
    check_folder(file.parent, argument)


def make_folder_of(file: Path) -> None:
    """Make the folder that a file is to lie in. UsageError: it cannot be made."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{file}: its folder cannot be made ({error.strerror}); name a file in a folder that takes files"
        ) from None
