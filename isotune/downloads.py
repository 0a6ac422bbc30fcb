"""What all downloads have in common, whichever library does them: how long they wait, what can go wrong, in words."""

from __future__ import annotations

import socket
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException

PATIENCE = 10.0  # seconds without an answer, after which a download has failed
FAILURES = (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError)  # of Python's own clients
_LONGEST = 300  # characters of a library's words


@contextmanager
def patient() -> Iterator[None]:
    """While inside, a new connection of Python's own clients that gives nothing for `PATIENCE` seconds ends in a
    TimeoutError; they would wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def reason(error: BaseException) -> str:
    """Why a download failed, in a few words: "the server answers 404 Not Found"."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()  # it holds the connection
        return f"the server answers {error.code} {error.reason}".strip()
    inner = getattr(error, "reason", None) or error
    if isinstance(inner, TimeoutError):
        return f"no answer within {PATIENCE:g} seconds"
    return " ".join(str(inner).split())[:_LONGEST] or type(error).__name__
