"""A section's rows against published numbers: a verdict where the conditions are the same, otherwise context."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from isotune.reference_results import Near, Reference, contradictions, matching, published_spread
from isotune.report.analysis.sections import Row, Section, SetUp
from isotune.statistics import Published as Number
from isotune.statistics import Verdict, verdict

NEAREST = 5  # context numbers of a section


@dataclass(frozen=True)
class Judged:
    """A set-up of a row against a published number that was measured under the same conditions."""

    row: Row
    setup: SetUp
    reference: Reference
    verdict: Verdict
    disputed: str  # what else was published of the same, and why, as far as it is known


@dataclass(frozen=True)
class Context:
    """A published number that is merely near, and the row that it is nearest to."""

    row: Row
    near: Near
    disputed: str


@dataclass(frozen=True)
class Published:
    verdicts: tuple[Judged, ...]
    context: tuple[Context, ...]  # the nearest
    more: int  # that are near too


def published(section: Section) -> Published:
    """What the tables of reference_results say of a section."""
    judged: list[Judged] = []
    nearest: dict[int, Context] = {}  # by identity of the reference, which is one object for each row of the tables
    exact: set[int] = set()
    for row in section.rows:
        matches = matching(row.setups[0].first.cell)  # a library's own and the checkpoint's conventions match alike
        for setup in row.distinct:
            judged += [
                Judged(row, setup, reference, _verdict(section, setup, reference), _disputed(reference))
                for reference in matches.exact
            ]
        exact |= {id(reference) for reference in matches.exact}
        for near in matches.near:
            known = nearest.get(id(near.reference))
            if known is None or near.distance < known.near.distance:
                nearest[id(near.reference)] = Context(row, near, _disputed(near.reference))
    others = [each for key, each in nearest.items() if key not in exact]
    others.sort(key=lambda each: each.near.distance)  # stable: the most trusted first
    return Published(tuple(judged), tuple(others[:NEAREST]), len(others[NEAREST:]))


def _verdict(section: Section, setup: SetUp, reference: Reference) -> Verdict:
    """An evaluation that trains nothing gives the same again: two readings of it are equal, and exact."""
    number = Number(
        reference.value,
        n=reference.runs,
        sd=reference.sd,
        spread=reference.spread if reference.spread_kind == "range" else _spread_beside(reference),
        rounding=reference.rounding,
    )
    values, margin = list(setup.runs.values()), section.protocol.evaluation.margin
    if section.protocol.own_classifier is None:
        return verdict(values, number, margin, images=section.test_images)
    exact = verdict([values[0], values[0]], number, margin)
    reason = exact.reason.partition(";")[0] + "; nothing is drawn at random, so one evaluation is exact"
    return replace(exact, n=len(values), reason=reason)


@cache
def _spread_beside(reference: Reference) -> float | None:
    """Standard deviation over single runs of the same experiment that were published beside this one."""
    if reference.sd is not None or reference.statistic != "single" or not reference.train:
        return None
    same = ("adapter", "model", "checkpoint", "dataset", "split", "train", "metric", "protocol", "selection")
    spreads = published_spread(**{name: getattr(reference, name) for name in same})
    return next((each.sd for each in spreads if each.derived and reference in each.references), None)


def _disputed(reference: Reference) -> str:
    return _disputes().get(reference, "")


@cache
def _disputes() -> dict[Reference, str]:
    return {
        reference: f"{each}" + (f": {each.explanation.why}" if each.explanation else "")
        for each in contradictions()
        for reference in each.references
    }
