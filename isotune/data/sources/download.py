"""One file over the network; an end at once when there is none."""

from __future__ import annotations

import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path

from isotune import cache
from isotune.errors import NotCached, UsageError
from isotune.progress import Progress
from isotune.reading import MIB

TIMEOUT = 10.0  # seconds without an answer after which the network counts as unreachable
_CHUNK = 1 << 18


MOST = 64 * MIB  # of one file


def download(url: str, target: Path, *, name: str, advice: str, progress: Progress) -> None:
    """Fetch `url` to `target`, whole or not at all. NotCached: it cannot be had. UsageError: it has no end."""
    cache.folder(str(target.parent.relative_to(cache.root())))
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, cache.draft_file(target) as draft:
            total = int(answer.headers.get("Content-Length") or 0)
            with draft.open("wb") as file:
                while chunk := answer.read(_CHUNK):
                    if file.write(chunk) and file.tell() > MOST:
                        raise UsageError(
                            f"data set {name}: {url} gives more than {MOST // MIB} MiB: not the file expected"
                        )
                    progress(f"downloading {target.name}", file.tell(), max(total, file.tell()))
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise not_cached(name, url, target, error, advice) from None


def not_cached(name: str, url: str, target: Path, error: Exception, advice: str) -> NotCached:
    """What was asked, where it would be cached, and what to do instead."""
    reason = " ".join(str(getattr(error, "reason", "") or error).split()) or type(error).__name__
    return NotCached(
        f"data set {name} is not cached and cannot be downloaded ({reason});"
        f" asked for {url}, would be cached as {target}; instead: {advice},"
        f" or run `isotune prepare --datasets {name}` where there is a network and copy the cache"
    )
