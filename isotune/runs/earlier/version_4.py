"""Records of version 4: what isotune wrote before the forms of techniques were axes.

`native` had the protocol's form of an average, of a warm-up, of a mixture, whatever the library does by default. Such
records are read as what they were, `native` with each form that matters as the protocol has it (`upgraded`), and answer
a current cell that says so (`cell`). A current `native` of such a protocol is another cell, which was not run then.
"""

from __future__ import annotations

import json
from typing import Any

from isotune.conventions import FORM_AXES, PROTOCOL, overridden, spelled
from isotune.protocols import Protocol, form_axes


def upgraded(record: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a record of version 4 as one of version 5."""
    cell = record["cell"]
    forms = _forms(cell["protocol"])
    values = {**record, "version": 5, "cell": {**cell, "conventions": _spelled_out(cell["conventions"], forms)}}
    if record.get("same_as"):
        values["same_as"] = _spelled_out(record["same_as"], forms)
    return values


def asked(spec: str) -> str:
    """A current set-up as it was asked for then: `native` of what has the protocol's forms."""
    base, said = overridden(spec)
    kept = {axis: value for axis, value in said.items() if axis not in FORM_AXES or value != PROTOCOL}
    return spelled(base, kept) if kept != said and base == "native" else spec


def cell(cell: dict[str, Any]) -> dict[str, Any] | None:
    """A current cell, as JSON, as it was then; None: there was none."""
    base, said = overridden(cell["conventions"])
    forms = {axis: said.pop(axis) for axis in FORM_AXES if axis in said}
    wanted = () if base == "identical" else _forms(cell["protocol"])
    if forms != dict.fromkeys(wanted, PROTOCOL):
        return None
    return {**cell, "conventions": spelled(base, said)}


def _spelled_out(spec: str, forms: tuple[str, ...]) -> str:
    base, said = overridden(spec)
    left = form_axes.left_to_library(forms, spec)
    return spelled(base, said | dict.fromkeys(left, PROTOCOL)) if left else spec


_KNOWN: dict[str, tuple[str, ...]] = {}  # of protocols, which records of a sweep have in common
_MOST_KNOWN = 100


def _forms(protocol: dict[str, Any]) -> tuple[str, ...]:
    if (text := json.dumps(protocol)) not in _KNOWN:
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[text] = form_axes.relevant_forms(Protocol.model_validate(protocol))
    return _KNOWN[text]
