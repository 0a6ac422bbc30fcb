"""Encoded images from files: read, tried out, counted, and described in one note."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from PIL import Image

from isotune.data.decoding import Unreadable, read
from isotune.data.writing import Writer
from isotune.errors import UsageError
from isotune.progress import Progress
from isotune.reading import content
from isotune.reading.images import LIMIT
from isotune.workers import threads

Item = tuple[str, Path | bytes, int]  # name for people, the file or its content, label

_NAMED = 5  # unreadable images that a message names
_UNNAMED = "image"  # what an error begins with; the message names it before


class Reader:
    """Reads images of one data set; every one is decoded to the last pixel, so that no run fails later."""

    def __init__(self, name: str, *, skip_unreadable: bool, progress: Progress, total: int) -> None:
        self._name, self._skip, self._progress, self._total = name, skip_unreadable, progress, total
        self._done = 0
        self._changes: Counter[str] = Counter()
        self._unreadable: list[tuple[str, str]] = []

    def read(self, items: Iterable[Item]) -> Iterator[tuple[bytes, int]]:
        """Content and label of every image that can be read, in order."""
        cores = threads.cores()
        remaining = iter(items)
        # Warnings of Pillow, set once outside the threads: a possible bomb is an error, damaged metadata is not news.
        with warnings.catch_warnings(), ThreadPoolExecutor(cores) as pool:
            warnings.filterwarnings("ignore", module="PIL")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            while some := list(islice(remaining, 32 * cores)):
                for (shown, _, label), (data, changes, problem) in zip(some, pool.map(_tried, some), strict=True):
                    if problem:
                        self._unreadable.append((shown, problem))
                    else:
                        self._changes.update(changes)
                        yield data, label
                self._done += len(some)
                self._progress(f"reading the images of {self._name}", self._done, max(self._total, self._done))

    def note(self) -> str:
        """How the images were altered and what was left out. UsageError: some cannot be read, and skipping is off."""
        parts = [f"{count} {change}" for change, count in sorted(self._changes.items())]
        if self._unreadable:
            shown = [f"{name} ({problem})" for name, problem in self._unreadable[:_NAMED]]
            shown += ["..."] if len(self._unreadable) > _NAMED else []
            unreadable = f"{len(self._unreadable)} of {self._done} images cannot be read: {', '.join(shown)}"
            if not self._skip:
                raise UsageError(
                    f"data set {self._name}: {unreadable}; repair or remove them, or use --skip-unreadable"
                )
            parts.append(f"left out: {unreadable}")
        return "; ".join(parts)


def _tried(item: Item) -> tuple[bytes, tuple[str, ...], str]:
    """(content, changes, problem) of one image; the problem is empty when it can be read."""
    _, source, _ = item
    try:
        data = content(source, LIMIT, _UNNAMED) if isinstance(source, Path) else source
        return data, read(data)[1], ""
    except Unreadable as error:
        return b"", (), str(error)
    except UsageError as error:
        return b"", (), str(error).removeprefix(f"{_UNNAMED}: ")


def write_both(reader: Reader, writer: Writer, train: Iterable[Item], test: Iterable[Item]) -> str:
    """Write both parts; gives the reader's note, or raises what it raises."""
    writer.files("train", reader.read(train))
    writer.files("test", reader.read(test))
    return reader.note()
