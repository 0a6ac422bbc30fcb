"""`keras.utils.get_file`, as `keras.applications` asks it.

Keras writes what comes in its place, where another process may find half of it, and where a process that is killed
leaves it. Here it comes beside and is renamed when it is whole, one process at a time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from isotune import cache, downloads
from isotune.adapters._keras.hdf5 import held
from isotune.adapters.file_function import one_line
from isotune.errors import NotCached, UsageError


@contextmanager
def recorded(name: str, checkpoint: str) -> Iterator[list[Path]]:
    """While inside, what keras.applications asks of `get_file` is recorded, and a download that fails becomes
    NotCached. Yields the paths asked for.

    keras.applications offers no way to ask for a path without fetching, hence the replaced function. A cached
    file is checked against the release's MD5 where the application knows one (`file_hash` in
    keras/src/applications), and fetched anew where it differs; the MobileNets v1 and v2 know none, and any whole file
    of that name is taken.
    """
    from keras.src.utils import file_utils

    asked: list[Path] = []
    original = file_utils.get_file

    def get_file(fname: str, origin: str, **kwargs: Any) -> str:
        path = Path(file_utils.config.keras_home()).expanduser() / kwargs.get("cache_subdir", "datasets") / fname
        asked.append(path)
        present = path.exists()
        try:
            if not (there := _is_there(path, kwargs)):
                _fetch(original, path, origin, kwargs)
        except UsageError:  # another process that does not let go, a folder that cannot be written
            raise
        except Exception as error:
            state = "is cached but is not the release's file (its hash differs)" if present else "is not cached"
            raise NotCached(
                f"checkpoint {checkpoint!r} of keras:{name} {state} ({path}) and {origin} cannot be fetched"
                f" ({_reason(error)}); run `isotune prepare` for it on a machine with network"
                " and copy that cache here, or use --checkpoint offline or file:PATH"
            ) from None
        if there and kwargs.get("file_hash") is None:  # Keras reads it as it is, and HDF5 may never come back
            try:
                held(path)
            except UsageError as error:
                raise UsageError(f"{error}; remove it") from None
        return str(path)

    file_utils.get_file = get_file
    try:
        yield asked
    finally:
        file_utils.get_file = original


def _is_there(path: Path, asked: Mapping[str, Any]) -> bool:
    """Whether a cached file is the one that is asked for, as far as that is known."""
    from keras.src.utils.file_utils import validate_file

    return path.exists() and (asked.get("file_hash") is None or bool(validate_file(path, asked["file_hash"])))


def _fetch(original: Callable[..., str], path: Path, origin: str, asked: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with cache.locked(path):
        if _is_there(path, asked):  # another process was quicker
            return
        with cache.draft_file(path) as draft, redirect_stdout(sys.stderr), downloads.patient():  # progress: no result
            draft.unlink()  # what is there Keras takes for downloaded
            original(draft.name, origin, **asked)
            if asked.get("file_hash") is None:
                _check_whole(draft)


def _check_whole(draft: Path) -> None:
    """ValueError: it is no file of weights."""
    try:
        held(draft)
    except UsageError:
        raise ValueError("what came is no whole file of Keras's") from None


def _reason(error: Exception) -> str:
    """Keras says "URL fetch failure on URL: CODE -- WHY" of what the network gave."""
    inner = error.__context__ if isinstance(error.__context__, downloads.FAILURES) else error
    return downloads.reason(inner) if isinstance(inner, downloads.FAILURES) else one_line(inner)
