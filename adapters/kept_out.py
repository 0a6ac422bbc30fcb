"""Packages that a library imports for what isotune never asks of it, kept out while it is imported.

A worker is to be ready soon. What is kept out must be optional to the library: it sees what it would see where the
package is not installed. What is imported already stays, and afterwards everything can be imported as ever.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_out(*packages: str) -> Iterator[None]:
    """While inside, importing one of these that is not there yet raises ModuleNotFoundError."""
    absent = [package for package in packages if package not in sys.modules]
    for package in absent:
        sys.modules[package] = None  # type: ignore[assignment]  # makes importing it fail
    try:
        yield
    finally:
        for package in absent:
            if sys.modules.get(package) is None:
                sys.modules.pop(package, None)
