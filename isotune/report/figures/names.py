"""What rows are called in a figure: short, and never two alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from isotune.printable import printable
from isotune.report.analysis.sections import Row

MOST = 44  # characters
_BEFORE = 8  # characters that are shown of what two share before they part
_GAP = "..."


def of_rows(rows: Iterable[Row]) -> Mapping[int, str]:
    """Full names by identity of the row: model, mode, the checkpoint where there are several, what sets it apart."""
    kept = list(rows)
    several = len({row.checkpoint for row in kept}) > 1
    return {id(row): _full(row, with_checkpoint=several) for row in kept}


def _full(row: Row, *, with_checkpoint: bool) -> str:
    mode = "" if row.mode == "float32" else row.mode
    parts = (row.model, mode, row.checkpoint if with_checkpoint else "", row.overrides, row.version)
    return " ".join(filter(None, parts))


def distinct(names: Sequence[str], most: int = MOST) -> list[str]:
    """Each name in at most so many characters, what is long shortened in the middle; two that differ stay different,
    and of two that are the same the second is numbered. most: 24 at least."""
    written = [printable(name) for name in names]
    groups: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(written):
        groups[short(name, most)].append(place)
    given = list(written)
    for shown, places in groups.items():
        alike = len({written[place] for place in places}) > 1
        for place in places:
            given[place] = _around(written[place], [written[other] for other in places], most) if alike else shown
    return _numbered(given, most)


def short(name: str, most: int) -> str:
    """Shortened in the middle."""
    if len(name) <= most:
        return name
    tail = (most - len(_GAP)) // 2
    return f"{name[: most - len(_GAP) - tail]}{_GAP}{name[len(name) - tail :]}"


def _around(name: str, others: Sequence[str], most: int) -> str:
    """Its beginning, and from where it parts from the one of the others that it shares most with."""
    if len(name) <= most:
        return name
    begin = max(_shared(name, other) for other in others if other != name) - _BEFORE
    head = most // 3
    room = most - head - len(_GAP)
    if begin <= head + len(_GAP):
        return f"{name[: most - len(_GAP)]}{_GAP}"
    if len(name) - begin <= room:
        return f"{name[:head]}{_GAP}{name[len(name) - room :]}"
    return f"{name[:head]}{_GAP}{name[begin : begin + room - len(_GAP)]}{_GAP}"


def _shared(first: str, second: str) -> int:
    """Characters that two begin with alike."""
    apart = (place for place, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(apart, min(len(first), len(second)))


def _numbered(names: Sequence[str], most: int) -> list[str]:
    """Those that are still alike with a number each, from the second on."""
    taken: set[str] = set()
    given = []
    for name in names:
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{short(name, most - len(mark := f' ({number})'))}{mark}"
        taken.add(unique)
        given.append(unique)
    return given
