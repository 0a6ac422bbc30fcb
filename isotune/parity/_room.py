"""The machine's memory, shared by proofs of small networks; a proof of a large one has it to itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Room:
    """Shared by groups of small networks; a group of large ones has it alone."""

    def __init__(self) -> None:
        self._changed, self._inside, self._alone = threading.Condition(), 0, False

    @contextmanager
    def shared(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Within `shared`: wait until nobody else is inside, and let nobody in."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._inside and not self._alone)
            self._alone, self._inside = True, 1
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
