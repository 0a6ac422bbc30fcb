"""What is concluded of a section, in markdown: verdicts, context, differences, the spread by source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import floor, log10, sqrt
from types import MappingProxyType
from typing import TYPE_CHECKING

from isotune.reference_results import Reference, cited
from isotune.report import wording as f
from isotune.report._evaluation import (
    confusions,
    crops,
    defaults,
    defaults_intro,
    prices,
    prices_intro,
    scores,
    selected,
    selected_intro,
)
from isotune.report._handed_in import line, needed
from isotune.report._tables import board, facts
from isotune.report.analysis.differences import ALPHA, Difference
from isotune.report.analysis.judging import Finding
from isotune.report.analysis.published import Context, Judged
from isotune.report.analysis.sections import Section
from isotune.report.analysis.variance import Spread, deviation, stream
from isotune.report.wording import Table

if TYPE_CHECKING:
    from isotune.report._images import Opened


@dataclass(frozen=True)
class View:
    """A section as the template prints it; everything in markdown. Of images, of which the page alone has any, the
    anchors."""

    title: str
    facts: str
    board: Table | None
    handed_in: list[str]
    scores: Table | None
    selected: Table | None
    selected_intro: str
    crops: Table | None
    prices: Table | None
    prices_intro: str
    prices_images: list[str]
    defaults: Table | None
    defaults_intro: str
    confusions: list[tuple[str, Table]]
    verdicts: Table | None
    unmatched: str
    context: list[str]
    disputes: list[str]
    differences: Table | None
    differences_intro: str
    differences_images: list[str]
    images_left_out: str
    spread: Table | None


def view(finding: Finding, images: Opened | None = None) -> View:
    section = finding.section
    anchors = images.anchors if images else {}
    return View(
        title=f.text(section.title),
        facts=facts(section),
        board=board(section) if section.rows else None,
        handed_in=[f.text(line(each)) for each in finding.published.verdicts if each.reference.expected],
        scores=scores(section),
        selected=selected(section),
        selected_intro=selected_intro(section),
        crops=crops(section),
        prices=prices(finding, anchors),
        prices_intro=prices_intro(finding),
        prices_images=[anchors[id(each)] for each in finding.prices if id(each) in anchors],
        defaults=defaults(finding),
        defaults_intro=defaults_intro(finding),
        confusions=confusions(section),
        verdicts=verdicts(finding),
        unmatched=unmatched(finding),
        context=context(finding),
        disputes=disputes(finding),
        differences=differences(finding, anchors),
        differences_intro=differences_intro(finding),
        differences_images=[anchors[id(each)] for each in finding.differences.compared if id(each) in anchors],
        images_left_out=images.left_out if images else "",
        spread=spread(finding),
    )


def verdicts(finding: Finding) -> Table | None:
    """None: no published number was measured under the same conditions."""
    decimals = f.decimals(finding.section.test_images)
    columns = [
        "model",
        "set-up",
        "verdict",
        "source",
        "published",
        "ours minus published",
        "90 % interval",
        "margin",
        "p, below / above",
    ]
    rows = []
    for each in finding.published.verdicts:
        verdict = each.verdict
        rows.append(
            [
                f.name_in(finding.section, each.row),
                each.setup.name,
                _outcome(each),
                f"{_source(each.reference)}{'; disputed' if each.disputed else ''}",
                _value(each.reference),
                f.NOTHING if verdict.effect is None else f"{verdict.effect:+z.{decimals}f}",
                f.interval(verdict.interval90, decimals),
                f"{verdict.margin:.3g}" if verdict.margin else f.NOTHING,
                f.NOTHING
                if verdict.p is None
                else f"{f.probability(verdict.p_lower)} / {f.probability(verdict.p_upper)}",
            ]
        )
    return Table(columns, rows, left=4).filled() if rows else None


def _outcome(each: Judged) -> str:
    verdict = each.verdict
    if verdict.outcome != "inconclusive":
        return f"**{verdict.outcome}**: {f.text(verdict.reason)}"
    if verdict.interval90 is None:
        return f"inconclusive: {f.text(verdict.reason)}"
    return f"inconclusive: {f.text(verdict.reason)}; {needed(each)}"


def outcomes(findings: Iterable[Finding]) -> str:
    """How many verdicts there are of each kind, in a sentence; empty: there is none."""
    counts = Counter(each.verdict.outcome for finding in findings for each in finding.published.verdicts)
    if not counts:
        return ""
    kinds = [f"**{counts[kind]:,} {kind}**" for kind in ("reproduced", "different", "inconclusive") if counts[kind]]
    of = f.number(counts.total(), "published number")
    return f"Against {of}: {', '.join(kinds)}; each verdict stands above the table of its section."


def unmatched(finding: Finding) -> str:
    """Said where there is no verdict; empty: there is one, or no run."""
    if finding.published.verdicts or not finding.section.rows:
        return ""
    start = "No verdict: no published number was measured under these conditions"
    near = "; the closest are given as context" if finding.published.context else ", and none comes close"
    return f"{start}{near}."


def context(finding: Finding) -> list[str]:
    """The nearest published numbers, small, each with what deviates."""
    lines = [f"<sub>{_context(each, finding.section)}</sub>" for each in finding.published.context]
    if more := finding.published.more:
        lines.append(f"<sub>and {f.number(more, 'more number')} that differ in more respects</sub>")
    return lines


def _context(each: Context, section: Section) -> str:
    reference = each.near.reference
    parts = [f"{_value(reference)}", f.code(reference.name), _source(reference)]
    parts += [] if reference.metric == "top-1" else [f.text(reference.metric)]
    parts += [] if reference.trust == "high" else [f"{reference.trust} trust"]
    parts += [f"nearest to {f.name_in(section, each.row)}"] if len(section.rows) > 1 else []
    deviating = "; ".join(f.text(deviation) for deviation in each.near.deviations)
    disputed = f". Disputed: {f.text(each.disputed)}" if each.disputed else ""
    return f"{', '.join(parts)}; deviates: {deviating}{disputed}"


def disputes(finding: Finding) -> list[str]:
    """What contradicts a number that a verdict is about; each once."""
    return list(dict.fromkeys(f.text(each.disputed) for each in finding.published.verdicts if each.disputed))


def sources(findings: Iterable[Finding]) -> list[str]:
    """Every source that a verdict or a context number names, in full."""
    named = [each.reference for finding in findings for each in finding.published.verdicts]
    named += [each.near.reference for finding in findings for each in finding.published.context]
    keys = {row.source: cited(row) for row in named if row.expected is None}
    return [f"{f.code(key)}: {f.text(full)}" for key, full in sorted(keys.items())]


def _value(reference: Reference) -> str:
    """ "92.16 % (1 run)", "95.0 %, sd 0.3 (5 runs)"."""
    digits = max(0, -floor(log10(reference.rounding) + 1e-9))
    bound = "at least " if reference.expected and reference.expected.at_least else ""
    spread = "" if reference.sd is None else f", sd {reference.sd:.2g}"
    if reference.low is not None and reference.high is not None:
        spread = f", {reference.low:g} to {reference.high:g}"
    return f"{bound}{reference.value:.{digits}f} %{spread}" + (
        f" ({f.number(reference.runs, 'run')})" if reference.runs else ""
    )


def _source(reference: Reference) -> str:
    if reference.expected:
        return f"handed in: {f.text(reference.source)}"
    return f"{f.code(reference.source)}, {f.text(reference.location)}"


def differences(finding: Finding, anchors: Mapping[int, str] = MappingProxyType({})) -> Table | None:
    """None: no two rows can be compared, and no row ran both ways. anchors: of the images of a difference."""
    decimals = f.decimals(finding.section.test_images)
    columns = [
        "model",
        "against",
        "set-up",
        "difference",
        "gap",
        "p",
        "P(better)",
        "% changed",
        f"McNemar p < {ALPHA:g}",
    ]
    rows = [
        [
            f.name_in(finding.section, each.second),
            "its identical" if each.of_one_row else f.name_in(finding.section, each.first),
            each.second_setup.name,
            conclusion(each),
            f.gap(each.gap, decimals),
            f.probability(each.p),
            _better(each),
            f.opening(f.changed(each.changed, decimals), anchors.get(id(each))),
            _by_images(each),
        ]
        for each in finding.differences.compared
    ]
    return Table(columns, rows, left=4).filled() if rows else None


def conclusion(each: Difference) -> str:
    """In words: does the difference hold, and if not, how many seeds did not show it?"""
    if each.holds:
        return "**holds**"
    if each.p is None and (each.decided_by == "images" or each.pair.n > 1):
        return f"not tested: {f.text(each.reason)}"
    if each.decided_by == "images":
        return "not distinguishable on these images"
    return f"not distinguishable with {f.number(each.pair.n, 'seed')}"


def differences_intro(finding: Finding) -> str:
    """What the table compares and when a difference holds."""
    tested = finding.differences
    compared = []
    if any(not each.of_one_row for each in tested.compared):
        compared.append("models of one architecture and checkpoint against each other")
    if any(each.of_one_row for each in tested.compared):
        compared.append("native against identical of one model, which is what its library's own defaults cost")
    tests = []
    if any(each.decided_by == "seeds" for each in tested.compared):
        tests.append("t test, paired by seed")
    if any(each.decided_by == "images" for each in tested.compared):
        tests.append("McNemar's exact test where nothing that is drawn at random reaches the predictions")
    number = f.number(len(tested.compared), "difference")
    if finding.section.evaluated:
        tests = ["McNemar's exact test of the images that only one of the two gets right"]
    sentences = [
        f"Differences, points: {'; '.join(compared)}.",
        f"One holds when p < {ALPHA:g}: {f.listing(tests)}, corrected by Holm for the {number} of this table.",
    ]
    if tested.left_out:
        sentences.append(f"Not compared, to keep it readable: {f.number(tested.left_out, 'further row')}.")
    return " ".join(sentences)


def _better(each: Difference) -> str:
    if each.decided_by == "images":
        return f.NOTHING
    return f.share(each.pair.outperformance.probability, each.pair.outperformance.interval)


def _by_images(each: Difference) -> str:
    if not each.by_images or each.first.evaluated:  # which p is, and knows no seeds
        return f.NOTHING
    return f"{sum(test.p < ALPHA for test in each.by_images.values())} of {f.number(len(each.by_images), 'seed')}"


def spread(finding: Finding) -> Table | None:
    """None: no set-up has two seeds."""
    decimals = f.decimals(finding.section.test_images) + 1
    columns = ["model", "set-up", "seeds", "sd", "of the test set", "of training", "by seed stream (95 % interval)"]
    rows = [
        [
            f.name_in(finding.section, each.row),
            each.setup.name,
            f"{len(each.setup.records)}",
            f"{each.setup.accuracy.sd:.{decimals}f}",
            *(_points(variance, decimals) for variance in _split(each)),
            "; ".join(_streams(each, decimals)) or f.NOTHING,
        ]
        for each in finding.spreads
    ]
    return Table(columns, rows, left=2).filled() if rows else None


def _split(each: Spread) -> tuple[float | None, float | None]:
    return (None, None) if each.split is None else (each.split.test_set, each.split.training)


def _points(variance: float | None, decimals: int) -> str:
    """Standard deviation in points, of a variance of accuracies in 0..1; one below 0 says that none was found."""
    return f.NOTHING if variance is None else f"{100 * sqrt(max(variance, 0)):.{decimals}f}"


def _streams(each: Spread, decimals: int) -> Iterator[str]:
    variance = each.streams
    if variance is None:
        return
    if variance.reason:
        yield f"not told: {f.text(variance.reason)}"
    for part in each.parts:
        within = deviation(part)
        yield f"{stream(part)} {part.sd:.{decimals}f} ({within.low:.{decimals}f} to {within.high:.{decimals}f})"
