"""Wrong use, said in one line.

Whatever a user can get wrong ends in a `UsageError`: its message says what is wrong and what would be
right, the command line prints it without a traceback and exits with status 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class UsageError(Exception):
    """Wrong input: the message is one line and says what would be right."""


class Unavailable(UsageError):
    """Rightly asked for, and not to be had here and now: in another environment, on another machine or after a repair
    it may be."""


class MissingExtra(Unavailable):
    """A package that an optional part of isotune needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"the package {package!r} is not installed; run: pip install 'isotune[{extra}]'")
        self.package, self.extra = package, extra


class NotCached(Unavailable):
    """Something must be downloaded, and the network cannot be reached."""


def nearest(word: str, valid: Iterable[str], *, noun: str = "one of") -> str:
    """The end of an error line: the nearest valid word, or the list when nothing is near.

    >>> nearest("qick", ["quick", "sfda"])
    "did you mean 'quick'?"
    """
    names = sorted(set(valid))
    if close := get_close_matches(word, names, n=1, cutoff=0.6):
        return f"did you mean {close[0]!r}?"
    folded = {name.casefold(): name for name in names}
    if close := get_close_matches(word.casefold(), folded, n=1, cutoff=0.6):
        return f"did you mean {folded[close[0]]!r}?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"{noun}: {shown}" if names else "there is none"
