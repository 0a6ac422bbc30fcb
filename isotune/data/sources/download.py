"""One file over the network; an end at once when there is none."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from isotune import cache, downloads
from isotune.errors import NotCached, UsageError
from isotune.progress import Progress
from isotune.reading import MIB

_CHUNK = 1 << 18


MOST = 64 * MIB  # of one file


def download(
    url: str, target: Path, *, name: str, advice: str, check: Callable[[Path], object], progress: Progress
) -> None:
    """Fetch `url` to `target`, whole or not at all.

    check: of what came, before it is placed; raises UsageError where it is another file.
    Errors: NotCached: it cannot be had, or not whole. UsageError: it has no end.
    """
    cache.folder(str(target.parent.relative_to(cache.root())))
    try:
        with urllib.request.urlopen(url, timeout=downloads.PATIENCE) as answer, cache.draft_file(target) as draft:
            total = int(answer.headers.get("Content-Length") or 0)
            with draft.open("wb") as file:
                while chunk := answer.read(_CHUNK):
                    if file.write(chunk) and file.tell() > MOST:
                        raise UsageError(
                            f"data set {name}: {url} gives more than {MOST // MIB} MiB: not the file expected"
                        )
                    progress(f"downloading {target.name}", file.tell(), max(total, file.tell()))
                if (came := file.tell()) < total:  # http.client gives what there is
                    raise urllib.error.URLError(f"it ended after {came:,} of {total:,} bytes")
            try:
                check(draft)
            except UsageError:
                raise urllib.error.URLError("what came is not the published file") from None
    except downloads.FAILURES as error:
        raise not_cached(name, url, target, error, advice) from None


def not_cached(name: str, url: str, target: Path, error: Exception, advice: str) -> NotCached:
    """What was asked, where it would be cached, and what to do instead."""
    return NotCached(
        f"data set {name} is not cached and cannot be downloaded ({downloads.reason(error)});"
        f" asked for {url}, would be cached as {target}; instead: {advice},"
        f" or run `isotune prepare --datasets {name}` where there is a network and copy the cache"
    )
