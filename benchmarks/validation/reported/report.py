"""reported.md and reported.json: what people reported, and what isotune said of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from investigations import versions
from outcomes import RIGHT, Outcome

VERSION = 1  # of the JSON
HEADER = """# Reported discrepancies

Does `isotune investigate` find what people report? {pairs} pairs are built after public issues and pull requests, each
small (32 pixels, at most 16 channels, random weights) with nothing different but what the thread says, and each has a
sound twin: the same pair with the cause mended.

    {command}

{verdict}

*Named*: exactly the conventions of the thread's cause, from the rung on where it acts. *Localised*: no name, the first
rung that fails is the right one, and what fails there are the layers or tensors that the cause touches. *Partly named*:
some of the conventions. *Not named*: the right rung, and a convention that isotune knows is not named. *Misplaced*:
another rung or layer. *Not judged*: it says that it does not know. Two networks
that are no pair should be refused.

| case | the cause, as the thread states it | should be | was | twin |
| --- | --- | --- | --- | --- |
"""


def write(outcomes: Sequence[Outcome], command: str, folder: Path) -> Path:
    """Both files; the page's path."""
    reported = [each for each in outcomes if not each.pair.sound]
    twins = {each.pair.case.name: each for each in outcomes if each.pair.sound}
    rows = [_row(each, twins[each.pair.case.name]) for each in reported]
    shown = [each for each in outcomes if not each.pair.sound or not each.right]
    verdict = _verdict(reported, list(twins.values()))
    header = HEADER.format(pairs=len(reported), command=command, verdict=verdict)
    lines = [
        header.rstrip("\n"),
        *rows,
        "",
        "## What it said",
        "",
        *(f"- **{each.pair.name}** ({each.kind}): {each.said}" for each in shown),
        "",
        versions(each.findings for each in outcomes),
        "",
    ]  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "reported.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    kept = {
        "version": VERSION,
        "command": command,
        "cases": [_json(each, twins[each.pair.case.name]) for each in reported],
    }
    (folder / "reported.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return path


def _verdict(reported: Sequence[Outcome], twins: Sequence[Outcome]) -> str:
    count = Counter(each.kind for each in reported)
    rest = {kind: number for kind, number in count.items() if kind not in RIGHT}
    refusals = sum(each.right for each in reported if each.pair.case.refused)
    expected = sum(each.pair.case.refused for each in reported)
    others = ", ".join(f"{kind} {number}" for kind, number in sorted(rest.items())) or "none"
    accused = [each for each in twins if not each.right]
    return (
        f"Named or exactly localised: **{sum(count[kind] for kind in RIGHT)} of {len(reported) - expected}**"
        f" ({count['named']} named, {count['localised']} localised); refused as no pair: {refusals} of {expected}."
        f" Wrong names: **{count['wrong name']}**. Called the same though they differ: **{count['called the same']}**."
        f" All other outcomes: {others}. Sound twins that are not judged the same:"
        f" **{len(accused)} of {len(twins)}**."
    )


def _row(reported: Outcome, twin: Outcome) -> str:
    case = reported.pair.case
    links = ", ".join(f"[{source}]({url})" for source, url in zip(case.source, case.urls, strict=True))
    should = "refused" if case.refused else " ".join([f"{case.rung}:", " + ".join(case.axes) or " ".join(case.at)])
    cells = (
        f"{case.name} ({links})", case.cause, should.removesuffix(": "), _was(reported), _was(twin),
    )  # fmt: skip
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _was(outcome: Outcome) -> str:
    kind = outcome.kind if outcome.right else f"**{outcome.kind}**"
    if outcome.first is None:
        return kind
    found = ", ".join(sorted(outcome.named)) or " ".join(dict.fromkeys(outcome.places))
    return f"{kind}: {outcome.first.name}, {found}".removesuffix(", ")


def _json(reported: Outcome, twin: Outcome) -> dict[str, Any]:
    case = reported.pair.case
    return {
        "name": case.name, "sources": case.urls, "cause": case.cause, "left": case.left, "right": case.right,
        "differs": case.differs, "mended": case.mended,
        "expected": {"rung": case.rung, "axes": case.axes, "at": case.at, "refused": case.refused},
        "reported": _told(reported), "twin": _told(twin),
    }  # fmt: skip


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "outcome": outcome.kind, "right": outcome.right, "rung": outcome.first.name if outcome.first else None,
        "where": outcome.first.where if outcome.first else "", "named": sorted(outcome.named), "said": outcome.said,
        "seconds": round(outcome.findings.seconds, 1),
    }  # fmt: skip
