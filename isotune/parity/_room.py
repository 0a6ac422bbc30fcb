"""The machine's memory, shared by proofs of small networks; a proof of a large one has it to itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from isotune.comparison.sides import ONE_AT_A_TIME
from isotune.errors import UsageError

LARGE = 60_000_000  # parameters: four workers with such networks would not fit into 16 GB
# A parameter, where a side holds most: weights, gradients and a slot, what is written down of one of these (8 each),
# the checkpoint (4), and the network's activations beside them
BYTES = 40
_GIB = 1 << 30


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
    def of(self, parameters: int) -> Iterator[None]:
        """Within `shared`: go on, with networks of so many parameters; of large ones alone. UsageError: they would not
        fit into the memory that is free."""
        if parameters <= LARGE:
            yield
            return
        with self.alone():
            check_memory(parameters)
            yield

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


def check_memory(parameters: int) -> None:
    """UsageError: a proof in float64 of networks with so many parameters needs more memory than is free."""
    sides = 1 if parameters > ONE_AT_A_TIME else 2  # that are there at the same time
    needed, free = sides * BYTES * parameters, psutil.virtual_memory().available
    if needed > free:
        raise UsageError(
            f"its {parameters / 1e6:.0f} million parameters need about {needed / _GIB:.0f} GiB of memory in float64,"
            f" of which {free / _GIB:.0f} GiB are free"
        )
