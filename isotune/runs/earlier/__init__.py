"""Records as they were: each version is read as the next one, and a cell is found where it lay then.

- `version_1`, `version_2`, `version_3`: `upgraded(record)`, JSON in and out, and what a current cell was then;
- `upgraded(record)`: through all of them; `keys(cell)`: the folders that a current cell had.
"""

from __future__ import annotations

from typing import Any

from isotune.runs.earlier import version_1, version_2, version_3
from isotune.runs.earlier.version_1 import canonical, digest, digest_of

__all__ = ["canonical", "digest", "digest_of", "keys", "upgraded"]


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a record of any version as one of today. AttributeError, KeyError, TypeError: it is none."""
    for version, former in enumerate((version_1, version_2, version_3), 1):
        if record.get("version") == version:
            record = former.upgraded(record)
    return record


def keys(cell: dict[str, Any]) -> list[str]:
    """The keys that a current cell, as JSON, had in earlier versions, the latest first; none where it could not be."""
    if (third := version_3.cell(cell)) is None:
        return []
    second = version_2.cell(third)
    return [digest(third)] if second is None else [digest(third), digest(second), version_1.key(second)]
