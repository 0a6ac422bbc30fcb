"""Removing: what is too old, then what is too much, the longest unused first."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isotune.caches._items import Item
from isotune.caches._kinds import LEFTOVERS, Kind, Listed, day, sized
from isotune.errors import UsageError, nearest

_SHOWN = 20  # pieces


@dataclass(frozen=True)
class Pruned:
    """removed: what is gone, or would be (`dry`). kept: what would have gone too, and why it stays. left: bytes of the
    kinds that were looked at."""

    folder: Path
    removed: Sequence[Item]
    kept: Sequence[tuple[Item, str]]
    left: int
    dry: bool

    @property
    def bytes(self) -> int:
        """Of all that was removed."""
        return sum(item.bytes for item in self.removed)

    def json(self) -> dict[str, Any]:
        """All of it; times are ISO 8601."""
        return {
            "version": 1, "folder": str(self.folder), "dry_run": self.dry, "bytes": self.bytes, "left": self.left,
            "removed": [item.json() for item in self.removed],
            "kept": [item.json() | {"why": why} for item, why in self.kept],
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """In words."""
        would = "would be removed" if self.dry else "removed"
        yield from (f"{would}: {self._line(item)}" for item in self.removed[:_SHOWN])
        if len(self.removed) > _SHOWN:
            yield f"and {len(self.removed) - _SHOWN:,} more; --json has them all"
        yield from (f"kept, {why}: {self._line(item)}" for item, why in self.kept[:_SHOWN])
        if len(self.kept) > _SHOWN:
            yield f"and {len(self.kept) - _SHOWN:,} more are kept; --json says why"
        number = f"{len(self.removed):,} thing{'' if len(self.removed) == 1 else 's'}"
        yield f"{number} {would}, {sized(self.bytes)}; {sized(self.left)} left"

    def _line(self, item: Item) -> str:
        inside = item.path.is_relative_to(self.folder)
        where = item.path.relative_to(self.folder) if inside else item.path
        name = f" ({item.name})" if item.name else ""
        return f"{where}{name}, {sized(item.bytes)}, last used {day(item.used)}"


def prune(
    there: Listed,
    *,
    older_than: float | None = None,
    keep: int | None = None,
    only: Collection[str] = (),
    dry: bool = False,
) -> Pruned:
    """Remove what was not used for `older_than` seconds, and then, the longest unused first, until at most `keep` bytes
    are left; and leftovers, which are of use to nobody.

    only: names of kinds; none: all but the dear ones. Where it names kinds and neither age nor size is given, all of
    them goes. dry: nothing is removed. UsageError: no such kind.
    """
    kinds = _chosen(there, only)
    everything = bool(only) and older_than is None and keep is None
    items = sorted((item for kind in kinds for item in kind.items), key=lambda item: item.used)
    left, now = sum(item.bytes for item in items), time.time()
    removed: list[Item] = []
    kept: list[tuple[Item, str]] = []
    for item in items:
        old = older_than is not None and now - item.used > older_than
        surplus = keep is not None and left > keep
        if everything or old or surplus or item.kind == LEFTOVERS:
            if why := item.remove(dry=dry):
                kept.append((item, why))
            else:
                removed.append(item)
                left -= item.bytes
    return Pruned(there.folder, removed, kept, left, dry)


def _chosen(there: Listed, only: Collection[str]) -> list[Kind]:
    known = [kind.name for kind in there.kinds]
    for name in only:
        if name not in known:
            raise UsageError(f"only: nothing of the kind {name!r} is cached; {nearest(name, known)}")
    return [kind for kind in there.kinds if (kind.name in only if only else not kind.dear)]
