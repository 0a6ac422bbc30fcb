"""Wrong use, said in one line.

Whatever a user can get wrong ends in a `UsageError`: its message says what is wrong and what would be
right, the command line prints it without a traceback and exits with status 2.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from isotune.printable import one_line

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
_OF_NUMPY = re.compile(r"\d+ requested and \d+ written")
_LISTED = 12  # names in a message
_LONGEST = 200  # characters of a word that is compared with others
_NEAR = 0.7  # of difflib's ratio: "alexnet" is 0.6 of "haloregnetz_b", "nowhere" 0.67 of "other"
_A_SLIP = 0.9  # of a letter: nearer than any of many names that hold the word


class UsageError(Exception):
    """Wrong input: the message is one line, whatever it quotes, and says what would be right."""

    def __str__(self) -> str:
        return one_line(super().__str__())


class WeightsMismatch(UsageError):
    """Weights that do not fit a model. What else would fit them is looked up where the error is shown, from what is
    known of them.

    architecture: the weights'; empty: not known. model: what they were to fit. layers: of a file whose architecture is
    not known, for each layer the shapes of what is trained in it. surplus: they have all that the model has, and more.
    """

    def __init__(
        self, message: str, *, architecture: str = "", model: str = "",
        layers: Sequence[Sequence[tuple[int, ...]]] = (), surplus: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.architecture, self.model, self.layers, self.surplus = architecture, model, layers, surplus


class UnknownModel(UsageError):
    """A library has no model of that name. Which other library has it is looked up where the error is shown.

    adapter: of the library. name: that was asked for. known: the library's names.
    """

    def __init__(self, adapter: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"{adapter} has no model {name!r}; {nearest(name, known)}")
        self.adapter, self.name = adapter, name


class Unavailable(UsageError):
    """What exists and cannot be used now: another environment, another machine or a repair may change that."""


class MissingExtra(Unavailable):
    """A package that an optional part of isotune or another's adapter needs is not installed.

    package: as it is imported. install: what pip installs to have it, "isotune[torch]".
    """

    def __init__(self, package: str, install: str) -> None:
        wanted = f"'{install}'" if "[" in install else install
        super().__init__(f"the package {package!r} is not installed; run: pip install {wanted}")
        self.package, self.install = package, install


class NotCached(Unavailable):
    """Something must be downloaded, and the network cannot be reached."""


class Unwritable(UsageError):
    """Results cannot be kept: no room, no permission. Nothing more can be done until that is mended."""


def no_room(error: Exception) -> bool:
    """Whether something could not be written for want of room, whatever library says so: a disk that is full or
    read-only, a quota, a limit for files."""
    said = str(error)
    return any(os.strerror(code) in said for code in _NO_ROOM) or bool(_OF_NUMPY.fullmatch(said))


class WorkerFailure(Exception):
    """No wrong use: a request failed in a worker process, or the worker died. `trace` may hold its traceback."""

    def __init__(self, message: str, trace: str = "", *, died: bool = False) -> None:
        super().__init__(message)
        self.trace, self.died = trace, died

    def __str__(self) -> str:
        return one_line(super().__str__())


# What a worker hands to its caller as what it is; a subclass as the nearest of these.
REFUSALS: tuple[type[UsageError], ...] = (NotCached, MissingExtra, Unavailable, Unwritable, UsageError)


def nearest(word: str, valid: Iterable[str], *, noun: str = "one of") -> str:
    """The end of an error line: the nearest valid word, or the list when nothing is near; of a long list what holds the
    word, if something does.

    >>> nearest("qick", ["quick", "sfda"])
    "did you mean 'quick'?"
    """
    names = sorted(set(valid))
    if not names:
        return "there is none"
    holding = [name for name in names if word.strip() and word.casefold() in name.casefold()]
    many = len(names) > _LISTED and len(holding) > 1
    folded = {name.casefold(): name for name in names}
    for asked, known in ((word, {name: name for name in names}), (word.casefold(), folded)):
        if close := get_close_matches(asked[:_LONGEST], known, n=1, cutoff=_A_SLIP if many else _NEAR):
            return f"did you mean {known[close[0]]!r}?"
    if not many:
        if len(holding) == 1 and len(word) > 2:  # "warmup" of warmup_steps
            return f"did you mean {holding[0]!r}?"
        if swapped := [name for name in names if sorted(name) == sorted(word)]:  # "sdg", whose ratio is low
            return f"did you mean {swapped[0]!r}?"
        holding = names
    return f"{noun}: {listed(holding)}"


def listed(names: Sequence[str], *, most: int = _LISTED, between: str = ", ", longest: int = 60) -> str:
    """Names in a message: the first of them, and how many there are.

    >>> listed(["a", "b", "c"], most=2)
    'a, b, ... (3 in all)'
    """
    shown = between.join(one_line(name, longest) for name in names[:most])
    return shown + (f"{between}... ({len(names):,} in all)" if len(names) > most else "")
