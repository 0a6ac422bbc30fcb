"""The verdict: where the sides part, by every cause; in what else they differ; what was left out or set alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isnan

from isotune.attribution import Attribution
from isotune.conventions import AXES
from isotune.conventions import written_value as value
from isotune.investigation.findings import SIDES, Findings, Flip, Rung
from isotune.investigation.report._sentences import both, differing, one_flip, unexplained


def verdict(findings: Findings, attribution: Attribution | None = None) -> str:
    """A few sentences; causes stand in the order of what they change of the logits, then of what they cost."""
    return " ".join([_outcome(findings, attribution), *_beside(findings)])


def ordered_causes(findings: Findings, attribution: Attribution | None) -> list[Flip]:
    """Every axis that is a cause, once: what changes most of the logits first, then what costs most accuracy."""
    flips = {flip.axis: flip for cause in reversed(findings.causes.values()) for flip in cause.flips}
    rungs = [flip.axis for cause in findings.causes.values() for flip in cause.flips]
    prices = {step.switch.axis: abs(step.share.estimate.mean) for step in attribution.steps} if attribution else {}

    def rank(flip: Flip) -> tuple[float, float, int]:
        price = prices.get(flip.axis, 0.0)
        return -findings.effects.get(flip.axis, 0.0), 0.0 if isnan(price) else -price, rungs.index(flip.axis)

    return sorted(flips.values(), key=rank)


def _outcome(findings: Findings, attribution: Attribution | None) -> str:
    sides = both(findings)
    first = findings.first_failure
    forms = (differing(axis, *values) for axis, values in findings.forms.items())
    unseen = "; ".join([*findings.one_sided, *forms])
    but = f" They are not the same in what no rung shows: {unseen}." if unseen else ""
    if first is None:
        if findings.stopped:
            return f"{sides} could not be compared to the end: {findings.stopped}."
        if undecided := [rung.name for rung in findings.rungs if rung.verdict == "unknown"]:
            return f"{sides} are not told apart; undecided, as the noise is too large: {', '.join(undecided)}."
        unjudged = [f"'{rung.name}'" for rung in findings.rungs if rung.verdict == "not judged"]
        if unjudged:
            return f"{sides} are the same on every rung that is judged; not judged: {', '.join(unjudged)}.{but}"
        return f"{sides} are the same on every rung.{but}"
    own = [rung for rung in findings.rungs if rung.verdict == "fails"]
    causes = ordered_causes(findings, attribution)
    said = [_with_effect(findings, flip, len(causes) > 1) for flip in causes]
    said += _without_cause(findings, own)
    more = f"; {len(own)} rungs fail by themselves" if len(own) > 1 else ""
    return f"{sides} part first at the rung '{first.name}': {'; '.join(said)}{more}.{but}"


def _with_effect(findings: Findings, flip: Flip, several: bool) -> str:
    said, effect = one_flip(findings, flip), findings.effects.get(flip.axis)
    if not several or effect is None:
        return said
    if flip.axis in AXES and AXES[flip.axis].kind == "recipe":
        return f"{said} (in training)"
    return f"{said} ({effect:.0e} of the logits)" if effect else f"{said} (nothing of the logits)"


def _without_cause(findings: Findings, failing: Sequence[Rung]) -> Iterator[str]:
    """What no convention explains; a layer that fails in training too is named once."""
    known: set[str] = set()
    for rung in failing:
        new = [name for name in rung.unexplained if name not in known]
        if rung.named:
            yield rung.named
        elif rung.cause is None and (new or not rung.unexplained):
            where = f", {rung.where}" if rung.where and rung.compared > 1 else ""
            yield f"no known convention explains the rung '{rung.name}'{where}"
        elif new:
            yield f"no known convention explains {unexplained(findings, new)} at the rung '{rung.name}'"
        known.update(rung.unexplained)


def _beside(findings: Findings) -> Iterator[str]:
    """In what else the sides differ, and what they were not compared in."""
    named = {flip.axis for cause in findings.causes.values() for flip in cause.flips}
    told = named.union(findings.forms)
    if others := [differing(axis, *values) for axis, values in findings.axes.items() if axis not in told]:
        fails = any(rung.verdict == "fails" for rung in findings.rungs)
        end = ", which explains no rung that fails" if fails else ", which no rung shows"
        yield f"They {'also ' if named else ''}differ in {'; '.join(others)}{end}."
    yield from not_compared(findings)


def not_compared(findings: Findings) -> Iterator[str]:
    """What of either side was dropped or replaced, and the axes that were set alike; nothing where all was compared."""
    alike = findings.left.model == findings.right.model
    parts = [
        f"of {side.model}{f' ({which})' if alike else ''} {', '.join(left_out)}"
        for which, side in zip(SIDES, (findings.left, findings.right), strict=True)
        if (left_out := findings.left_out.get(which))
    ]
    if parts:
        yield f"Not compared: {'; '.join(parts)}."
    if findings.set_alike:
        said = [
            f"{each.axis}: {value(each.value)} (by themselves: {' against '.join(map(_known, each.own))})"
            for each in findings.set_alike
        ]
        yield f"Set alike: {'; '.join(said)}."


def _known(own: object) -> str:
    return "nobody knows" if own is None else value(own)
