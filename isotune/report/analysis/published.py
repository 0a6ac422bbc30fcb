"""A section's rows against published numbers: a verdict where the conditions are the same, otherwise context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from math import nan
from typing import Any

from isotune.protocols import METRICS, Expected, Protocol, Report, in_words
from isotune.reference_results import Near, Reference, contradictions, handed_in, matching, published_spread
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.handed_in import HandedIn
from isotune.report.analysis.paired import Paired, paired
from isotune.report.analysis.sections import Row, Section, SetUp
from isotune.runs.records import Record
from isotune.statistics import Draw, Verdict, verdict
from isotune.statistics import Published as Number

NEAREST = 5  # context numbers of a section


@dataclass(frozen=True)
class Judged:
    """A set-up of a row against a published number that was measured under the same conditions."""

    row: Row
    setup: SetUp
    reference: Reference
    verdict: Verdict
    disputed: str = ""  # what else was published of the same, and why, as far as it is known
    paired: Paired | None = None  # of one handed in with its result image by image
    available: int | None = None  # test images of the data set; None: not known


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


def published(section: Section, answers: Answers, handed: Iterable[HandedIn] = ()) -> Published:
    """What numbers that were handed in, and the tables of reference_results, say of a section."""
    judged = list(judge_handed_in(section, answers, handed))
    nearest: dict[int, Context] = {}  # by identity of the reference, which is one object for each row of the tables
    exact: set[int] = set()
    for row in section.rows:
        matches = matching(row.setups[0].first.cell)  # a library's own and the checkpoint's conventions match alike
        for setup in row.distinct:
            judged += [
                Judged(
                    row, setup, reference, _verdict(section, setup, reference), _disputed(reference),
                    available=_available(section, setup, answers),
                )
                for reference in matches.exact
            ]  # fmt: skip
        exact |= {id(reference) for reference in matches.exact}
        for near in matches.near:
            known = nearest.get(id(near.reference))
            if known is None or near.distance < known.near.distance:
                nearest[id(near.reference)] = Context(row, near, _disputed(near.reference))
    others = [each for key, each in nearest.items() if key not in exact]
    others.sort(key=lambda each: each.near.distance)  # stable: the most trusted first
    return Published(tuple(judged), tuple(others[:NEAREST]), len(others[NEAREST:]))


def judge_handed_in(section: Section, answers: Answers, handed: Iterable[HandedIn]) -> Iterator[Judged]:
    """Those that are about rows of a section, a set-up at a time."""
    for each in handed:
        for row in section.rows:
            for setup in row.distinct:
                if each.cells.isdisjoint(record.cell.key for record in setup.records.values()):
                    continue
                reference = handed_in(each.expected, setup.first.cell)
                judged = _verdict(section, setup, reference)
                pairs, there = paired(setup, each.expected, answers), _available(section, setup, answers)
                yield Judged(row, setup, reference, judged, paired=pairs, available=there)


def _available(section: Section, setup: SetUp, answers: Answers) -> int | None:
    """Test images that the data set has: those that were taken, where the protocol takes all or more; else as many as
    the data set in the cache has."""
    limit = section.protocol.images.test
    if limit is None or section.test_images < limit:
        return section.test_images
    return answers.test_images(setup.first.cell)


def _verdict(section: Section, setup: SetUp, reference: Reference) -> Verdict:
    """What a set-up's runs say about a number; of an evaluation that trains nothing one is enough."""
    expected = reference.expected
    number = number_of(reference)
    margin = margin_of(reference, section.protocol)
    trained = section.protocol.own_classifier is None
    values = _values(setup, expected)
    draw = drawn(section, reference)
    reason = ""
    if expected and None in values:
        step = of_step(expected, section.protocol)
        reason = f"{METRICS[expected.metric]}{step} was not measured"
        named = (expected.at or "last") in section.protocol.measured and expected.at != "mean-of-last"
        reason += f"; what counts in these runs is that {section.protocol.counts}" if step and not named else ""
    elif expected and expected.metric == "mean_per_class" and draw:
        reason = "of other test images the uncertainty of a mean over classes is not known"
    if reason:
        return Verdict("inconclusive", reason, len(values), margin or number.margin, *(None,) * 6, number, None)
    return verdict(
        values if trained else values[:1], number, margin,
        images=section.test_images, draw=draw, trained=trained,
    )  # fmt: skip


def number_of(reference: Reference) -> Number:
    """What is published, as the statistics take it."""
    expected = reference.expected
    return Number(
        reference.value,
        n=reference.runs,
        sd=reference.sd,
        spread=reference.spread if reference.spread_kind == "range" else _spread_beside(reference),
        rounding=expected.rounding if expected else reference.rounding,
        at_least=expected is not None and expected.at_least,
    )


def margin_of(reference: Reference, protocol: Protocol) -> float | None:
    """That somebody fixed, points; None: the number's own (`Number.margin_of`)."""
    expected = reference.expected
    if expected and (expected.margin or expected.at_least):
        return expected.margin
    return protocol.evaluation.margin


def _values(setup: SetUp, expected: Expected | None) -> list[Any]:
    """Percent, by run; NaN where a run failed, None where it did not measure what is claimed."""
    if expected is None:
        return list(setup.runs.values())
    measured = [_measured(record, expected) for record in setup.records.values()]
    return [None if share is None else 100 * share for share in measured] + [nan] * len(setup.failed)


def _measured(record: Record, expected: Expected) -> float | None:
    """Share of 1, of the step that is claimed; None: it was not measured. What counts as the run's accuracy may be
    that of another step."""
    at, metrics, rule = expected.at or "last", record.metrics, record.cell.protocol.selection
    if at == "mean-of-last" and (rule is None or rule.last != expected.last):
        return None
    if metrics is None:
        return None
    if expected.metric == "top5":
        return metrics.top5 if at == "last" else None
    return metrics.by_name("mean_per_class" if expected.metric == "mean_per_class" else "accuracy").get(at)


def of_step(expected: Expected, protocol: Protocol) -> str:
    """In words, which accuracy of a training is claimed, where that is to be said; begins with a blank."""
    said = expected.at is not None or reported(protocol) != "last"
    return f" {in_words(expected.at or 'last', expected.last)}" if said else ""


def reported(protocol: Protocol) -> Report:
    """Which accuracy of a training counts."""
    return protocol.selection.reports if protocol.selection else "last"


def drawn(section: Section, reference: Reference) -> Draw | None:
    """Whether our test images are a draw of those that a number was measured on, or other ones; None: the same.

    What is stated comes first (`Expected.test`). Otherwise images are the same where as many were evaluated as the
    number was measured on, and the protocol draws none of them; numbers of the tables are of all test images.
    """
    return drawn_of(reference.expected, section.test_images, section.protocol.images.test)


def drawn_of(expected: Expected | None, ours: int, limit: int | None) -> Draw | None:
    """The same of a number that is handed in, or of the tables (None). ours: test images; limit: that the protocol
    takes, None: all."""
    theirs = expected.images if expected else None
    test = expected.test if expected else None
    if test is None and expected and expected.predictions:
        test = "same"  # which is seen where they are compared
    if test is None:
        if limit is None or ours < limit:  # all test images
            test = "same" if theirs in (None, ours) else "other"
        else:
            test = "subset" if theirs is None or theirs > ours else "other"
    return None if test == "same" else Draw(ours, theirs if test == "other" else None)


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
