"""The lines that make either side behave like the other, for every axis that turned out to be a cause."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isotune import names
from isotune.investigation._rung_specs import SETTINGS
from isotune.investigation.findings import Findings


def remedies(findings: Findings) -> Iterator[str]:
    """Markdown; nothing where no convention is a cause."""
    axes = dict.fromkeys(flip.axis for cause in findings.causes.values() for flip in cause.flips)
    differing = [axis for axis in axes if axis in findings.axes and axis not in SETTINGS]
    if not differing:
        return
    yield "## To make one behave like the other"
    yield ""
    for side, values, place in ((findings.left, 1, "left"), (findings.right, 0, "right")):
        named = f"{side.model} ({place})" if findings.left.model == findings.right.model else side.model
        yield f"### {named}, like the other"
        yield ""
        for axis in differing:
            wanted = findings.axes[axis][values]
            if wanted is None:
                yield f"{axis}: the other's layers do not share one value; those that fail are named above."
                yield ""
                continue
            note, code = _remedy(side.adapter, axis, wanted)
            yield f"{axis} = {wanted}: {note}".rstrip(": ")
            yield ""
            if code:
                yield "```python"
                yield from code.strip().splitlines()
                yield "```"
                yield ""


def _remedy(adapter: str, axis: str, value: Any) -> tuple[str, str]:
    """What else is to be known, and the code."""
    if (library := names.facts(adapter)) is None:
        return f"{adapter} is not installed here, so its lines are not known.", ""
    lines = library.remedy(axis, value)
    return lines.note, lines.code
