"""Whose turn it is to ask a worker, which answers one question at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Turns:
    """Those who wait for an answer come first; what is asked ahead, for later, has a turn when nobody waits."""

    def __init__(self) -> None:
        self._changed, self._taken, self._waiting = Condition(), False, 0

    @contextmanager
    def now(self) -> Iterator[None]:
        """As soon as the question before is answered."""
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: not self._taken)
                self._taken = True
            finally:
                self._waiting -= 1
        with self._until_answered():
            yield

    @contextmanager
    def ahead(self) -> Iterator[None]:
        """When nobody waits for a turn of their own."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._taken or self._waiting))
            self._taken = True
        with self._until_answered():
            yield

    @contextmanager
    def _until_answered(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._taken = False
                self._changed.notify_all()
