"""What two sides have in common, and what not: everything that is told of them."""

from __future__ import annotations

from dataclasses import dataclass

from isotune.changes._accuracy import AccuracyChange
from isotune.changes._environment import Differs
from isotune.changes._one_sided import OneSided
from isotune.changes._sides import Side
from isotune.changes._speeds import SpeedChange


@dataclass(frozen=True)
class Compared:
    """differing: versions, machine, code, files, conventions and flags that are not the same. accuracy, speeds: what
    pairs, what fell first. only_before, only_after: what stands on one side alone. repeated: set-ups that are not
    shown, since they repeat the runs of another on both sides."""

    before: Side
    after: Side
    differing: tuple[Differs, ...]
    accuracy: tuple[AccuracyChange, ...]
    speeds: tuple[SpeedChange, ...]
    only_before: tuple[OneSided, ...]
    only_after: tuple[OneSided, ...]
    repeated: int
