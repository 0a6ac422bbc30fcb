"""Records as they were: each version is read as the next one, and a cell is found where it lay then.

- `version_1` to `version_4`: `upgraded(record)`, JSON in and out, and what a current cell was then;
- `upgraded(record)`: through all of them; `keys(cell)`: the folders that a current cell had.
"""

from __future__ import annotations

from typing import Any

from isotune.models import contents
from isotune.runs.earlier import version_1, version_2, version_3, version_4
from isotune.runs.earlier.version_1 import canonical, digest, digest_of

__all__ = ["canonical", "digest", "digest_of", "keys", "upgraded"]


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a record of any version as one of today. AttributeError, KeyError, TypeError: it is none."""
    for version, former in enumerate((version_1, version_2, version_3, version_4), 1):
        if record.get("version") == version:
            record = former.upgraded(record)
    return record


def keys(cell: dict[str, Any]) -> list[str]:
    """The keys that a current cell, as JSON, had in earlier versions, the latest first; none where it could not be."""
    keys: list[str] = []
    if (fourth := version_4.cell(cell)) is not None:
        keys.append(digest(contents.asked(fourth)))
        if (third := version_3.cell(fourth)) is not None:
            keys.append(digest(third))
            if (second := version_2.cell(third)) is not None:
                keys += [digest(second), version_1.key(second)]
    return list(dict.fromkeys(keys))
