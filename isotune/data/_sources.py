"""Names of data sets, and the sources that they stand for."""

from __future__ import annotations

from pathlib import Path

from isotune.data._arrays import Digits, FashionMnist, Npz
from isotune.data._source import Source
from isotune.errors import UsageError, nearest

_NAMED: dict[str, type[Source]] = {"digits": Digits, "fashion-mnist": FashionMnist}
_PATHS = {"npz": Npz}


def listed() -> list[str]:
    """Names without a part to fill in."""
    return [*_NAMED]


def names() -> list[str]:
    """Every name; PATH and NAME are to be filled in."""
    return [*listed(), *(f"{kind}:PATH" for kind in _PATHS)]


def find(name: str) -> Source:
    """The source that a name stands for. UsageError: there is none."""
    if name in _NAMED:
        return _NAMED[name]()
    kind, colon, rest = name.partition(":")
    if kind in _PATHS:
        if not rest:
            raise UsageError(f"data set {name!r}: write {kind}:PATH")
        return _PATHS[kind](name, Path(rest).expanduser())
    raise UsageError(f"data set {name!r} is unknown; {nearest(kind if colon else name, [*_NAMED, *_PATHS])}")
