"""Records of version 3: what isotune wrote before a cell held the content of the files that it names.

A checkpoint's file and a network's were known by their paths, so that an edited file was taken for the one before. Such
records are read as what they were, cells whose files nobody knows; they answer no cell of today. All others do, those
of a folder of images by its path too.
"""

from __future__ import annotations

from typing import Any

_CONTENT = ("network_digest", "weights_digest", "beside_digest")


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a record of version 3 as one of version 4."""
    return {**record, "version": 4, "cell": dict(record["cell"])}


def cell(cell: dict[str, Any]) -> dict[str, Any] | None:
    """A current cell, as JSON, as it was then; None: of files by their content there was none."""
    if any(cell.get(name) is not None for name in _CONTENT):
        return None
    return {name: value for name, value in cell.items() if name not in _CONTENT}
