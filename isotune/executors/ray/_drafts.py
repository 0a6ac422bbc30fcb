"""Drafts of fine-tunings: fetched from the seats now and then, kept in the store, handed out with the cell.

So what is lost with a node or a driver is what a fine-tuning did since its last draft was fetched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from isotune import reading
from isotune.errors import UsageError
from isotune.executors.ray import _parcels
from isotune.runs import drafts
from isotune.runs.desk import Begun
from isotune.runs.drafts import Draft

_LEAST = 5.0  # seconds between two questions, however often drafts are written


def pace() -> float:
    """Seconds between two questions to a seat; infinite where no drafts are written."""
    return max(_LEAST, drafts.interval()[0])


def asked() -> dict[str, str]:
    """The user's word on it, for the workers' environment."""
    return {name: os.environ[name] for name in [drafts.VARIABLE] if name in os.environ}


def handed(begun: Begun, put: Callable[[np.ndarray], Any]) -> list[Any]:
    """References to the pieces of a cell's draft, for its seat; none: it starts from its beginning."""
    path = begun.draft.path
    if not path.exists():
        return []
    try:
        return [put(np.frombuffer(chunk, np.uint8)) for chunk in _parcels.pieces(path)]
    except UsageError:  # gone or unreadable: it costs time, and nothing else
        return []


def taken(begun: Begun, answer: Mapping[str, Any]) -> None:
    """What a seat said of its draft."""
    if (content := answer.get("draft")) is not None:
        begun.draft.replace(content.data)


class Kept:
    """The side of the seat: the draft of the cell that runs there. It may be asked while another thread runs it."""

    def __init__(self, draft: Draft) -> None:
        self._path, self.stamp = draft.path, ""

    def place(self, pieces: Sequence[Any], get: Callable[[Any], np.ndarray]) -> None:
        """Put what came with the cell where its worker looks for it."""
        if pieces:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("wb") as file:
                for piece in pieces:
                    file.write(get(piece).data)
            self.stamp = self._now()

    @property
    def there(self) -> bool:
        return self._path.exists()

    def newer(self) -> np.ndarray | None:
        """Bytes, uint8, of one that was written since it was asked for last; None: there is none."""
        if (stamp := self._now()) in ("", self.stamp):
            return None
        try:
            content = reading.content(self._path, drafts.LARGEST)
        except UsageError:  # replaced or removed just now
            return None
        self.stamp = stamp
        return np.frombuffer(content, np.uint8)

    def _now(self) -> str:
        try:
            status = self._path.stat()
        except OSError:
            return ""
        return f"{status.st_ino} {status.st_mtime_ns}"
