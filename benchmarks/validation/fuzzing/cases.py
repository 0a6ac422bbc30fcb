"""One case: a spoiled copy of a valid file is read, and what that ends in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzzing.mutations import spoil
from isotune.errors import UsageError

READ, REFUSED, WRONG, TRACEBACK, WORDING = "read", "refused", "wrong success", "traceback", "no clear line"
NEVER_SAID = ("allow_pickle", "<_io.", "Traceback", " object at 0x")


@dataclass(frozen=True)
class Kind:
    """Files of one kind. make: writes a small valid one into a folder, and gives its path (a file or a folder).

    read: as isotune does; gives what it read, to be compared with `==`; UsageError refuses. checked: the file carries
    checksums, so that other content must be refused. text: it is also spoiled word by word. framework: it needs one.
    """

    name: str
    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    checked: bool = False
    text: bool = False
    framework: bool = False


class Cases:
    """Cases of one kind in a folder of their own."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self.kind, self._folder = kind, folder
        (folder / "valid").mkdir(parents=True)
        self._valid = kind.make(folder / "valid")
        self._value = kind.read(self._copy())

    def _copy(self) -> Path:
        shutil.rmtree(self._folder / "case", ignore_errors=True)
        shutil.copytree(self._folder / "valid", self._folder / "case")
        return self._folder / "case" / self._valid.relative_to(self._folder / "valid")

    def tried(self, seed: str) -> tuple[str, str]:
        """What one case ended in, and its words; the same for the same seed."""
        path = self._copy()
        spoil(path, Random(seed), text=self.kind.text)
        try:
            value = self.kind.read(path)
        except UsageError as error:
            return judged(str(error)), str(error)
        except Exception as error:
            return TRACEBACK, f"{type(error).__name__}: {error}"
        return (WRONG if self.kind.checked and value != self._value else READ), ""


def judged(line: str) -> str:
    """Whether the words of a refusal are one clear line."""
    if not line or len(line) > 1000 or not line.isprintable() or any(words in line for words in NEVER_SAID):
        return WORDING
    return REFUSED
