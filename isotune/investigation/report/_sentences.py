"""Parts of an investigation in plain words; the verdict is put together of them in `_verdict`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isotune.comparison.sides import Side
from isotune.conventions import written_value as value
from isotune.investigation._left_out import PARTS
from isotune.investigation.findings import Cause, Findings, Flip, Rung, Survivor
from isotune.investigation.pattern import Smallest
from isotune.workers.environment import all_packages


def stop(findings: Findings) -> str:
    """One line: why it stopped, what is kept of the other side, and what goes on with it."""
    line = f"Stopped: {findings.stopped}"
    if findings.survivor is not None:
        line += f". {kept(findings.survivor)}"
        line += f" Go on with: {findings.survivor.command}" if findings.survivor.command else ""
    return line


def kept(survivor: Survivor) -> str:
    """One sentence."""
    if survivor.lost:
        return f"What the {survivor.side} side shows could not be kept: {survivor.lost}."
    return f"What the {survivor.side} side shows, in float64, is kept in {survivor.dump}."


def environment_of(side: Side) -> str:
    """The name of another environment's folder: "old" of old/bin/python. Empty: isotune's own."""
    return Path(side.python).absolute().parent.parent.name if side.python else ""


def both(findings: Findings) -> str:
    """ "torchvision:mobilenet_v2 (native) and keras:MobileNetV2 (native)", with versions that differ; what else the
    command was given says the command."""
    differing = [each for each in versions(findings) if each[1] and each[2] and each[1] != each[2]]
    words = [
        f"{side.model} ({', '.join([*_how(side), *(f'{each[0]} {each[place]}' for each in differing)])})"
        for place, side in enumerate((findings.left, findings.right), 1)
    ]
    return " and ".join(words if words[0] != words[1] else (f"{words[0]}, left,", f"{words[1]}, right"))


def versions(findings: Findings) -> list[tuple[str, str, str]]:
    """(package, left's version, right's), Python itself among them; empty where a side has it not."""
    ours, theirs = (findings.environment.get(which, {}) for which in ("left", "right"))
    return [
        (name, ours.get(name, ""), theirs.get(name, "")) for name in all_packages() if name in ours or name in theirs
    ]


def _how(side: Side) -> list[str]:
    words = [side.conventions.partition(",")[0]]
    words += [side.numeric_mode] if side.numeric_mode != "float64" else []
    words += [side.layout] if side.layout else []
    words += ["compiled"] if side.compiled else []
    return words


def because(findings: Findings, cause: Cause) -> str:
    """The axes of a cause, each with both values."""
    return " and ".join(one_flip(findings, flip) for flip in cause.flips)


def one_flip(findings: Findings, flip: Flip) -> str:
    """An axis of a cause, with both values."""
    ours, theirs = findings.axes.get(flip.axis, (flip.was, flip.was))
    other = ours if flip.side == "right" else theirs
    if other == flip.value:
        return differing(flip.axis, ours, theirs)
    model = findings.left.model if flip.side == "left" else findings.right.model
    stays = findings.right.model if flip.side == "left" else findings.left.model
    if flip.axis in PARTS:
        return f"{stays} does as {model} would without the protocol's {flip.axis} = {value(flip.was)}"
    return f"{stays} does as {model} would with {flip.axis} = {value(flip.value)}, not {value(flip.was)}"


def differing(axis: str, ours: Any, theirs: Any) -> str:
    """ "stride2_padding: symmetric against same"."""
    return f"{axis}: {_one(ours)} against {_one(theirs)}"


def _one(of: Any) -> str:
    return "several values" if of is None else value(of)


def evidence(rung: Rung) -> str:
    """What setting the axes alike does to the rung."""
    cause = rung.cause
    if cause is None:
        return "no known convention explains it"
    after = "0" if cause.after == 0 else f"{cause.after:.0e}"
    if cause.cures:
        return (
            f"of the {cause.layers} of {rung.compared} that failed {len(cause.cures)} hold with it set alike, their"
            f" worst error {cause.before:.0e} before, {after} then"
        )
    return f"worst error {cause.before:.0e} before, {after} with it set alike; {cause.layers} of {rung.compared} failed"


def smallest_input(smallest: Smallest) -> str:
    """What is left of which image."""
    if not smallest.height or not smallest.width:
        return "a black image is enough to show it"
    return (
        f"the smallest input found that shows it is image {smallest.image}, black outside"
        f" {smallest.height} x {smallest.width} pixels from row {smallest.top}, column {smallest.left}"
    )


def unexplained(findings: Findings, of: Sequence[str], most: int = 4) -> str:
    """What has no cause, by both libraries' names: "004.conv (b2 = b2.conv), ... and 3 more"."""
    named = [_both_names(findings, name) for name in of[:most]]
    more = len(of) - most
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _both_names(findings: Findings, name: str) -> str:
    ours, theirs = findings.names.get(name) or findings.names.get(name.rpartition(".")[0]) or ("", "")
    return f"{name} ({ours} = {theirs})" if ours or theirs else name
