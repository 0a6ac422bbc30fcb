"""The kinds of things that caches hold, and where: isotune's own, a store's drafts, what libraries download."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from isotune import cache, names, sealing
from isotune.caches._items import QUIET, Draft, Item, item
from isotune.printable import one_line
from isotune.runs import drafts
from isotune.runs.store import Store
from isotune.sealing import Damaged

LEFTOVERS = "leftovers"
DRAFTS = "drafts"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LEFT = (".draft-", ".replaced-")  # what a killed process leaves of its work (`isotune.cache`)
_DAMAGED = ".damaged"


@dataclass(frozen=True)
class Kind:
    """dear: it came over a network, or took hours to compute, so it is removed only where it is named. items: the
    longest unused one first."""

    name: str
    about: str
    folder: Path
    dear: bool
    items: Sequence[Item]

    @property
    def bytes(self) -> int:
        return sum(each.bytes for each in self.items)

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name, "about": self.about, "folder": str(self.folder), "dear": self.dear,
            "number": len(self.items), "bytes": self.bytes, "items": [each.json() for each in self.items],
        }  # fmt: skip


@dataclass(frozen=True)
class Listed:
    """All that is in the caches. folder: isotune's own; kinds: of it and of others."""

    folder: Path
    kinds: Sequence[Kind]

    def json(self) -> dict[str, Any]:
        """All of it, every piece; times are ISO 8601."""
        return {"version": 1, "folder": str(self.folder), "kinds": [kind.json() for kind in self.kinds]}

    def lines(self) -> Iterator[str]:
        """In words, a line a kind."""
        own = sum(kind.bytes for kind in self.kinds if kind.folder.is_relative_to(self.folder))
        yield f"{self.folder}: {sized(own)}"
        yield from map(self._line, (kind for kind in self.kinds if not kind.dear))
        yield "fetched over a network, or computed for long, and removed only where it is named (--only):"
        yield from map(self._line, (kind for kind in self.kinds if kind.dear))

    def _line(self, kind: Kind) -> str:
        last = f", last used {day(max(each.used for each in kind.items))}" if kind.items else ""
        where = "" if kind.folder.is_relative_to(self.folder) else f"; {one_line(str(kind.folder), 120)}"
        width = max(len(each.name) for each in self.kinds)
        return f"  {kind.name:<{width}}  {len(kind.items):>5,}  {sized(kind.bytes):>8}  {kind.about}{where}{last}"


def listed(store: Path) -> Listed:
    """What is there now; nothing of it is read but what drafts are of. store: whose drafts are listed, too; it need not
    be there."""
    root, store = cache.root().resolve(), store.expanduser().absolute()
    of_cells = list(_drafts(store))

    def left(kind: str, place: Path) -> Iterator[Item]:
        return chain(_leftovers(kind, place), (each for each in of_cells if each.kind == kind))

    def kept(kind: str, _: Path) -> Iterator[Item]:
        return (each for each in of_cells if each.kind == kind)

    own = [
        _kind(root, "data-sets", "datasets", "prepared data sets", _datasets),
        _kind(root, "images", "views", "decoded and resized images", _whole),
        _kind(root, "features", "features", "of probes, for all seeds and protocols", _whole),
        _kind(root, "checkpoints", "checkpoints", "in the form that all libraries read", _whole),
        _kind(root, "catalogues", "catalogue", "what libraries list", _whole),
        _kind(root, LEFTOVERS, "", "what killed processes left, and what was damaged", left),
        _kind(root, "downloads", "sources", "what data sets were made of", _downloads, dear=True),
        _kind(store, DRAFTS, drafts.FOLDER, "how far fine-tunings are that are not done", kept, dear=True),
    ]
    return Listed(root, [*own, *_of_libraries()])


def _kind(
    root: Path, name: str, folder: str, about: str, items: Callable[[str, Path], Iterator[Item]], *,
    dear: bool = False,
) -> Kind:  # fmt: skip
    place = root / folder
    if place.is_symlink():
        return Kind(name, f"{about}; the folder is a link, and left alone", place, dear, ())
    return Kind(name, about, place, dear, sorted(items(name, place), key=lambda each: each.used))


def _of_libraries() -> list[Kind]:
    """What libraries keep of what they downloaded, as their adapters say; each folder once."""
    folders: dict[Path, str] = {}
    for adapter in sorted(names.adapters()):
        if known := names.facts(adapter):
            for name, folder in known.downloads().items():
                folders.setdefault(folder.expanduser().absolute(), name)
    return [
        _kind(folder.parent, name, folder.name, "by libraries", _others, dear=True)
        for folder, name in sorted(folders.items(), key=lambda each: each[1])
    ]


def _there(folder: Path) -> Iterator[Path]:
    """What is in a folder, but hidden things, such as locks, and what was set aside."""
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            if not path.name.startswith(".") and _DAMAGED not in path.name and not path.is_symlink():
                yield path


def _whole(kind: str, folder: Path) -> Iterator[Item]:
    for path in _there(folder):
        with suppress(FileNotFoundError):
            yield item(kind, path, maker=path)


def _others(kind: str, folder: Path) -> Iterator[Item]:
    for path in _there(folder):
        with suppress(FileNotFoundError):
            yield item(kind, path)


def _datasets(kind: str, folder: Path) -> Iterator[Item]:
    """The content, with the entries that lead to it."""
    entries = _entries(folder)
    for path in _there(folder):
        if _DIGEST.fullmatch(path.name):
            leading = entries.get(path.name, {})
            with suppress(FileNotFoundError):
                yield item(kind, path, ", ".join(sorted({*leading.values()})), maker=path, entries=tuple(leading))


def _entries(folder: Path) -> dict[str, dict[Path, str]]:
    """Names of data sets by their entry, by the digest that it leads to (`isotune.data`)."""
    leading: dict[str, dict[Path, str]] = {}
    for path in _there(folder):
        if path.suffix == ".json":
            with suppress(Damaged, OSError, KeyError):
                content = sealing.read_json(path)
                leading.setdefault(str(content["dataset"]), {})[path] = one_line(str(content["name"]), 60)
    return leading


def _downloads(kind: str, folder: Path) -> Iterator[Item]:
    """A folder for each data set, or for each of a library that has several: makers lock them one by one."""
    for path in _there(folder):
        inner = [each for each in _there(path) if path.is_dir() and each.with_name(f".{each.name}.lock").exists()]
        for each in inner or [path]:
            with suppress(FileNotFoundError):
                yield item(kind, each, each.relative_to(folder).as_posix(), maker=each)


def _leftovers(kind: str, root: Path) -> Iterator[Item]:
    """Entries that lead nowhere, too. What was touched within the hour may be somebody's work."""
    for path in _left_in(root):
        with suppress(FileNotFoundError):
            one = item(kind, path, maker=_maker(path))
            if time.time() - one.used > QUIET:
                yield one
    for digest, entries in _entries(root / "datasets").items():
        if not (root / "datasets" / digest).exists():
            yield from (item(kind, entry, name, maker=entry) for entry, name in entries.items())


def _drafts(store: Path) -> Iterator[Draft]:
    """Those from which somebody may go on; as leftovers those from which nobody can: of cells that were done since, and
    damaged ones."""
    if (store / drafts.FOLDER).is_symlink():
        return
    for one in drafts.begun(store):
        if one.path.is_symlink():
            continue
        needed = bool(one.total) and not Store(store).is_done(one.key, one.written)
        far = f"{one_line(one.cell, 120)}, after step {one.line}"
        name = far if one.total else "no draft of this version"
        with suppress(FileNotFoundError):
            used = one.path.lstat().st_mtime
            yield Draft(DRAFTS if needed else LEFTOVERS, one.path, name, one.size, used, maker=None)


def _left_in(root: Path, depth: int = 2) -> Iterator[Path]:
    with suppress(OSError):
        for path in sorted(root.iterdir()):
            if path.name.startswith(_LEFT) or path.name.endswith(_DAMAGED):
                yield path
            elif depth and path.is_dir() and not path.is_symlink() and not _DIGEST.fullmatch(path.name):
                yield from _left_in(path, depth - 1)


def _maker(left: Path) -> Path | None:
    """What the maker of a draft locks, where it does: of a folder what it becomes, of a data set its entry."""
    target = left.with_name(left.name.removeprefix(".draft-"))
    locked = (each for each in (target.with_name(f"{target.name}.json"), target) if each != left)
    return next((each for each in locked if each.with_name(f".{each.name}.lock").exists()), None)


def day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def sized(size: float) -> str:
    """ "3.2 GB", in units of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit in ("B", "kB") or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
