"""An investigation in plain sentences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isotune.comparison.sides import Side
from isotune.conventions import written_value as value
from isotune.investigation.findings import Cause, Findings, Flip, Rung, Survivor
from isotune.investigation.pattern import Smallest
from isotune.workers.environment import all_packages


def verdict(findings: Findings) -> str:
    """One sentence: where the sides part, and why."""
    sides = both(findings)
    first = findings.first_failure
    if first is None:
        if findings.stopped:
            return f"{sides} could not be compared to the end: {findings.stopped}."
        if undecided := [rung.name for rung in findings.rungs if rung.verdict == "unknown"]:
            return f"{sides} are not told apart; undecided, as the noise is too large: {', '.join(undecided)}."
        return f"{sides} are the same on every rung."
    own = [rung for rung in findings.rungs if rung.verdict == "fails"]
    why = because(findings, first.cause) if first.cause else "no known convention explains it"
    more = f"; {len(own)} rungs fail by themselves" if len(own) > 1 else ""
    unnamed = [rung.name for rung in own if rung.cause is None and rung is not first]
    rest = f", of which {' and '.join(unnamed)} without a known cause" if unnamed else ""
    return f"{sides} part first at the rung '{first.name}': {why}{more}{rest}."


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
    """ "torchvision:mobilenet_v2 (native) and keras:MobileNetV2 (native)", with versions that differ."""
    differing = [each for each in versions(findings) if each[1] and each[2] and each[1] != each[2]]
    return " and ".join(
        f"{side.model} ({', '.join([*_how(side), *(f'{each[0]} {each[place]}' for each in differing)])})"
        for place, side in enumerate((findings.left, findings.right), 1)
    )


def versions(findings: Findings) -> list[tuple[str, str, str]]:
    """(package, left's version, right's), Python itself among them; empty where a side has it not."""
    ours, theirs = (findings.environment.get(which, {}) for which in ("left", "right"))
    return [
        (name, ours.get(name, ""), theirs.get(name, "")) for name in all_packages() if name in ours or name in theirs
    ]


def _how(side: Side) -> list[str]:
    words = [side.conventions]
    words += [side.numeric_mode] if side.numeric_mode != "float64" else []
    words += [side.layout] if side.layout else []
    words += ["compiled"] if side.compiled else []
    return words


def because(findings: Findings, cause: Cause) -> str:
    """The axes of a cause, each with both values."""
    return " and ".join(_flip(findings, flip) for flip in cause.flips)


def _flip(findings: Findings, flip: Flip) -> str:
    ours, theirs = findings.axes.get(flip.axis, (flip.was, flip.was))
    other = ours if flip.side == "right" else theirs
    if other == flip.value:
        return f"{flip.axis}: {_one(ours)} against {_one(theirs)}"
    model = findings.left.model if flip.side == "left" else findings.right.model
    stays = findings.right.model if flip.side == "left" else findings.left.model
    return f"{stays} does as {model} would with {flip.axis} = {value(flip.value)}, not {value(flip.was)}"


def _one(of: Any) -> str:
    return "several values" if of is None else value(of)


def evidence(rung: Rung) -> str:
    """What setting the axes alike does to the rung."""
    cause = rung.cause
    if cause is None:
        return "no known convention explains it"
    after = "0" if cause.after == 0 else f"{cause.after:.0e}"
    return f"worst error {cause.before:.0e} before, {after} with it set alike; {cause.layers} of {rung.compared} failed"


def smallest_input(smallest: Smallest) -> str:
    """What is left of which image."""
    if not smallest.height or not smallest.width:
        return "a black image is enough to show it"
    return (
        f"the smallest input found that shows it is image {smallest.image}, black outside"
        f" {smallest.height} x {smallest.width} pixels from row {smallest.top}, column {smallest.left}"
    )
