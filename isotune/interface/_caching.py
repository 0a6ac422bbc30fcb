"""What is in the caches, and what of it can go."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from isotune import caches, defaults
from isotune.interface._asking import seconds, size
from isotune.interface.arguments import PathLike, flag, path, several, wrong
from isotune.places import check_store

_KIND = "a kind such as 'features'"


def list_cache(*, store: PathLike = defaults.STORE) -> caches.Listed:
    """What is in isotune's cache and in those of the libraries, and which drafts of fine-tunings are in a store, kind
    by kind: how many things, how large, last used when. Nothing is read but names, sizes and times, and of drafts what
    they are of. UsageError: there is no such store; that of every command need not be there.

    >>> print(*isotune.list_cache().lines(), sep="\\n")
    """
    return caches.listed(_store(store))


def prune_cache(
    *,
    older_than: str | float | None = None,
    keep: str | int | None = None,
    only: str | Iterable[str] | None = None,
    dry_run: bool = False,
    store: PathLike = defaults.STORE,
) -> caches.Pruned:
    """Remove from the cache what is not needed: what processes that were killed left, always; what was last used longer
    ago than a time; and then, the longest unused first, until no more than a size is left.

    Everything in it is made again when it is needed. What a running process makes or uses stays, links are not
    followed. What was fetched over a network goes only where it is named, and so do drafts of fine-tunings that are not
    done: from one that is gone nobody goes on.

    older_than: seconds, or a time such as "30d". keep: bytes, or a size such as "10GB", of all kinds that are looked at
        together. only: kinds, by their names in `list_cache()`; given alone, all of them goes. dry_run: remove nothing,
        and tell what would go. store: whose drafts are looked at.
    UsageError: no time, no size, no such kind, or no such store.

    >>> print(*isotune.prune_cache(older_than="30d", keep="10GB", dry_run=True).lines(), sep="\\n")
    """
    kinds = [] if only is None else several(only, "only", _KIND, lambda one: isinstance(one, str))
    for kind in kinds:
        if not isinstance(kind, str):
            raise wrong("only", _KIND, kind)
    return caches.prune(
        caches.listed(_store(store)), older_than=seconds(older_than, "older_than"), keep=size(keep, "keep"),
        only=kinds, dry=flag(dry_run, "dry_run"),
    )  # fmt: skip


def _store(given: PathLike) -> Path:
    store = path(given, "store")
    if store != defaults.STORE or store.exists():
        check_store(store.expanduser())
    return store
