"""What a source of data is: something that can say what it is made from, and write it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from isotune.data.writing import Writer
from isotune.progress import Progress

__all__ = ["Described", "Kind", "Source", "Writer"]


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


@dataclass(frozen=True)
class Kind:
    """What a data set's name stands for, up to its colon: an entry point of the group `isotune.datasets` leads to one.
    Importing the module that has it imports no framework; `ask_once` calls a function where one is needed."""

    make: Callable[[str, str], Source]  # of the name as written, and what follows its colon
    completion: str = ""  # what follows the colon: "PATH" of this machine or a "NAME"; empty: nothing does
    is_whole: bool = False  # the name may also stand without what completes it
    packages: Mapping[str, str] = field(default_factory=dict)  # needed to write it -> what pip installs to have them
    about: str = ""  # what it is, in a few words, for a listing
