"""An investigation in plain sentences."""

from __future__ import annotations

from pathlib import Path

from isotune.investigation._findings import Cause, Flip, Investigation, Rung, Survivor
from isotune.investigation._price_sentences import value
from isotune.investigation._setup import Side


def verdict(found: Investigation) -> str:
    """One sentence: where the sides part, and why."""
    sides = both(found)
    first = found.first_failure
    if first is None:
        if found.stopped:
            return f"{sides} could not be compared to the end: {found.stopped}."
        return f"{sides} are the same on every rung."
    own = [rung for rung in found.rungs if rung.verdict == "fails"]
    why = because(found, first.cause) if first.cause else "no known convention explains it"
    more = f"; {len(own)} rungs fail by themselves" if len(own) > 1 else ""
    unnamed = [rung.name for rung in own if rung.cause is None and rung is not first]
    rest = f", of which {' and '.join(unnamed)} without a known cause" if unnamed else ""
    return f"{sides} part first at the rung '{first.name}': {why}{more}{rest}."


def stop(found: Investigation) -> str:
    """One line: why it stopped, what is kept of the other side, and what goes on with it."""
    line = f"Stopped: {found.stopped}"
    if found.survivor is not None:
        line += f". {kept(found.survivor)}"
        line += f" Go on with: {found.survivor.command}" if found.survivor.command else ""
    return line


def kept(survivor: Survivor) -> str:
    """One sentence."""
    if survivor.lost:
        return f"What the {survivor.side} side shows could not be kept: {survivor.lost}."
    return f"What the {survivor.side} side shows, in float64, is kept in {survivor.dump}."


def environment_of(side: Side) -> str:
    """The name of another environment's folder: "old" of old/bin/python. Empty: isotune's own."""
    return Path(side.python).absolute().parent.parent.name if side.python else ""


def both(found: Investigation) -> str:
    """ "torchvision:mobilenet_v2 (native) and keras:MobileNetV2 (native)"."""
    return " and ".join(f"{side.model} ({_how(side)})" for side in (found.left, found.right))


def _how(side: object) -> str:
    words = [side.conventions]  # type: ignore[attr-defined]
    words += [side.numeric_mode] if side.numeric_mode != "float64" else []  # type: ignore[attr-defined]
    words += ["compiled"] if side.compiled else []  # type: ignore[attr-defined]
    return ", ".join(words)


def because(found: Investigation, cause: Cause) -> str:
    """The axes of a cause, each with both values."""
    return " and ".join(_flip(found, flip) for flip in cause.flips)


def _flip(found: Investigation, flip: Flip) -> str:
    ours, theirs = found.axes.get(flip.axis, (flip.was, flip.was))
    other = ours if flip.side == "right" else theirs
    if other == flip.value:
        return f"{flip.axis}: {value(ours)} against {value(theirs)}"
    model = found.left.model if flip.side == "left" else found.right.model
    stays = found.right.model if flip.side == "left" else found.left.model
    return f"{stays} does as {model} would with {flip.axis} = {value(flip.value)}, not {value(flip.was)}"


def evidence(rung: Rung) -> str:
    """What setting the axes alike does to the rung."""
    cause = rung.cause
    if cause is None:
        return "no known convention explains it"
    after = "0" if cause.after == 0 else f"{cause.after:.0e}"
    return f"worst error {cause.before:.0e} before, {after} with it set alike; {cause.layers} of {rung.compared} failed"
