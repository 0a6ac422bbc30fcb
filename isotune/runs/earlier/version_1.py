"""Records of version 1: what isotune wrote before own_classifier, same_as and the axes had these names.

They are read as current ones (`upgraded`), and a current cell is found in an old store (`key`), so that old
stores and benchmark files are reported and resumed.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from isotune import conventions

_PROTOCOL = {  # of the evaluation of a checkpoint's own classifier, as it came with isotune: then, now
    "name": ("zero-shot", "own-classifier"),
    "title": (
        "Zero-shot: the checkpoint's own classifier, evaluated as published",
        "The checkpoint's own classifier, evaluated as published",
    ),
}


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a record of version 1 as one of version 2."""
    values = {**record, "version": 2, "cell": _cell(record["cell"], to=1)}
    repeats = values.pop("repeats", None)
    values["same_as"] = None if repeats is None else conventions.upgraded_spec(repeats)
    if values.get("conventions"):
        values["conventions"] = conventions.completed(values["conventions"])
    return values


def upgraded_speed(speed: dict[str, Any]) -> dict[str, Any]:
    """What the benchmark suite wrote of a measurement, likewise."""
    values = dict(speed)
    if "repeats" in values:
        values["same_as"] = values.pop("repeats")
    return values


def key(cell: dict[str, Any]) -> str:
    """The key that a current cell, as JSON, had in version 1."""
    return digest(_cell(cell, to=0))


def digest(cell: dict[str, Any]) -> str:
    """Of a cell's JSON: 32 hexadecimal digits of SHA-256."""
    return digest_of(canonical(cell))


def canonical(values: dict[str, Any]) -> str:
    """JSON of which there is one way to write it."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _cell(cell: dict[str, Any], *, to: int) -> dict[str, Any]:
    """In the terms of version 1 (0) or of today (1)."""
    spelled = (conventions.former_spec, conventions.upgraded_spec)[to]
    sections = ("zero_shot", "own_classifier")
    protocol = dict(cell["protocol"])
    if (section := protocol.pop(sections[1 - to], None)) is not None:
        protocol[sections[to]] = section
        for field, words in _PROTOCOL.items():
            if protocol.get(field) == words[1 - to]:
                protocol[field] = words[to]
    return {**cell, "protocol": protocol, "conventions": spelled(cell["conventions"])}
