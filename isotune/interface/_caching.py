"""What is in the caches, and what of it can go."""

from __future__ import annotations

from collections.abc import Iterable

from isotune import caches
from isotune.interface._asking import seconds, size
from isotune.interface.arguments import flag, several, wrong

_KIND = "a kind such as 'features'"


def list_cache() -> caches.Listed:
    """What is in isotune's cache and in those of the libraries, kind by kind: how many things, how large, last used
    when. Nothing is read but names, sizes and times.

    >>> print(*isotune.list_cache().lines(), sep="\\n")
    """
    return caches.listed()


def prune_cache(
    *,
    older_than: str | float | None = None,
    keep: str | int | None = None,
    only: str | Iterable[str] | None = None,
    dry_run: bool = False,
) -> caches.Pruned:
    """Remove from the cache what is not needed: what processes that were killed left, always; what was last used longer
    ago than a time; and then, the longest unused first, until no more than a size is left.

    Everything in it is made again when it is needed. What a running process makes or uses stays, links are not
    followed, and what was fetched over a network goes only where it is named.

    older_than: seconds, or a time such as "30d". keep: bytes, or a size such as "10GB", of all kinds that are looked at
        together. only: kinds, by their names in `list_cache()`; given alone, all of them goes. dry_run: remove nothing,
        and tell what would go.
    UsageError: no time, no size, or no such kind.

    >>> print(*isotune.prune_cache(older_than="30d", keep="10GB", dry_run=True).lines(), sep="\\n")
    """
    kinds = [] if only is None else several(only, "only", _KIND, lambda one: isinstance(one, str))
    for kind in kinds:
        if not isinstance(kind, str):
            raise wrong("only", _KIND, kind)
    return caches.prune(
        caches.listed(), older_than=seconds(older_than, "older_than"), keep=size(keep, "keep"), only=kinds,
        dry=flag(dry_run, "dry_run"),
    )  # fmt: skip
