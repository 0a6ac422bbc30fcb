"""Canonical weights that the cache keeps, where making them takes a process of a library."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from isotune import cache
from isotune.errors import UsageError
from isotune.weights._canonical import Weights

_log = logging.getLogger("isotune")


def kept(file: Path, make: Callable[[], object]) -> Weights:
    """The weights in a file of the cache, which `make` writes where there is none.

    Its digest is compared whenever it is read. A damaged one is named in a warning of the logger `isotune`, set aside
    as NAME.damaged, and made again.
    """
    with cache.locked(file):
        if file.exists():
            try:
                return Weights.read(file, sealed=True)
            except UsageError as error:
                _log.warning("damaged cache: %s; set aside as %s and made again", error, cache.set_aside(file).name)
        make()
        return Weights.read(file, sealed=True)
