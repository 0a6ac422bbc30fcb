"""What a source of data is: something that can say what it is made from, and write it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from isotune.data._writing import Writer
from isotune.progress import Progress


@dataclass(frozen=True)
class Described:
    """What is known of a data set once it is written."""

    classes: tuple[str, ...]
    note: str = ""


class Source(ABC):
    """One data set, before it is prepared."""

    name: str  # as the user wrote it
    origin: str  # where the images come from, for people
    offline: bool  # it can be prepared without network, as far as can be told without trying

    def identity(self) -> dict[str, Any]:
        """What the content depends on beside the name (a folder's listing); JSON. UsageError: it is not there."""
        return {}

    @abstractmethod
    def write(self, writer: Writer, *, skip_unreadable: bool, progress: Progress) -> Described:
        """Write both parts. UsageError: what is there cannot be used; NotCached: it cannot be had."""
