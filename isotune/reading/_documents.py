"""Documents: JSON and TOML, nested and numbered within bounds."""

from __future__ import annotations

import json as standard
import os
import tomllib
from typing import Any

from isotune.errors import UsageError
from isotune.reading._files import content

DEPTH = 64  # lists and tables in one another; of JSON pydantic's parser takes 200
_BOUND = 1 << 63  # TOML's integers, and what every program takes that reads JSON (RFC 8259, section 6, has 2**53)
# tomllib takes time quadratic in the parts of a dotted key, and a key stands in one line.
_DOTS = 200


def json(path: str | os.PathLike[str], limit: int, where: str = "") -> Any:
    """What a JSON file holds. Errors as of `regular` and `json_text`."""
    return json_text(content(path, limit, where), where or str(path))


def json_text(data: bytes | str, where: str) -> Any:
    """What JSON holds. UsageError: it is none, nested more than 200 deep, or a whole number has more than 64 bits."""
    from pydantic_core import from_json

    try:
        from_json(data)  # counts how deep it nests, which the standard parser does not
        return standard.loads(data, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON ({' '.join(str(error).split())[:200] or 'nested too deep'})") from None


def toml(source: str, where: str) -> dict[str, Any]:
    """What TOML text holds.

    UsageError: it is none, nested more than 64 deep, or a whole number has more than 64 bits.
    """
    for number, line in enumerate(source.splitlines(), 1):
        if line.count(".") > _DOTS:
            raise UsageError(f"{where}: line {number} has more than {_DOTS} dots")
    try:
        values = tomllib.loads(source)
    except RecursionError:
        raise UsageError(f"{where}: nested more than {DEPTH} deep") from None
    except ValueError as error:  # a TOMLDecodeError, or a whole number of thousands of digits
        raise UsageError(f"{where}: not TOML: {' '.join(str(error).split())[:300]}") from None
    check_plain(values, where)
    return values


def check_plain(values: Any, where: str) -> None:
    """That dictionaries and lists nest at most 64 deep, and whole numbers have at most 64 bits. UsageError: not so."""
    level = [values]
    for _ in range(DEPTH):
        if not level:
            return
        within: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                within += value.values()
            elif isinstance(value, list | tuple):
                within += value
            elif isinstance(value, int) and not -_BOUND <= value < _BOUND:
                raise UsageError(f"{where}: a whole number of more than 64 bits")
        level = within
    if level:
        raise UsageError(f"{where}: nested more than {DEPTH} deep")


def _whole(digits: str) -> int:
    if len(digits) > 20 or not -_BOUND <= (value := int(digits)) < _BOUND:
        raise ValueError("a whole number of more than 64 bits")
    return value
