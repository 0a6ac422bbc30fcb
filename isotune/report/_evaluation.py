"""Of an evaluation of checkpoints' own classifiers: all scores, what each step costs, what was taken for what. Of
trainings: what each default of the library costs; where they select, every accuracy by name, and what the choice cost;
of three crops, what they bring and take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from isotune.conventions import AXES
from isotune.protocols import REPORTS, Report
from isotune.report import wording as f
from isotune.report.analysis.differences import ALPHA
from isotune.report.analysis.evaluations import described
from isotune.report.analysis.judging import Finding
from isotune.report.analysis.prices import DefaultCost, DefaultOverSections, Price
from isotune.report.analysis.sections import Section
from isotune.report.wording import Table
from isotune.runs.records import Record
from isotune.statistics import PERCENT, estimate

_CONFUSIONS = 3  # models of a section whose confusion is shown


def scores(section: Section) -> Table | None:
    """All that evaluations are scored by, and how the images were made. None: of other protocols, and of records from
    before there were such scores."""
    if not section.evaluated:
        return None
    columns = [
        "model",
        "set-up",
        "image",
        "top-1 %",
        "top-5 %",
        "mean per class %",
        "loss, nats",
        "calibration error %",
    ]
    decimals, rows = f.decimals(section.test_images), []
    for row in section.rows:
        for setup in row.distinct:
            metrics = setup.first.metrics
            if metrics is None or metrics.mean_per_class is None:
                continue
            shares = (metrics.accuracy, metrics.top5, metrics.mean_per_class)
            rows.append(
                [
                    f.name_in(section, row),
                    setup.name,
                    f.text(described(row.input)),
                    *(f.NOTHING if share is None else f"{100 * share:.{decimals}f}" for share in shares),
                    f.NOTHING if metrics.loss is None else f"{metrics.loss:.4f}",
                    f.NOTHING if metrics.calibration_error is None else f"{100 * metrics.calibration_error:.2f}",
                ]
            )
    return Table(columns, rows, left=3).filled() if rows else None


def prices(finding: Finding, anchors: Mapping[int, str] = MappingProxyType({})) -> Table | None:
    """What each step costs, by name; the figures are those that `isotune run` prints. None: there is no step.
    anchors: of the images of a price."""
    section = finding.section
    columns = [
        "model", "done otherwise", "the accuracy", "accuracy %", "points", "% changed",
        "right only before", "right only now", "p", "p, corrected",
    ]  # fmt: skip
    rows = [
        [
            f.name_in(section, price.row),
            f.code(price.what),
            outcome(price),
            f"{price.accuracy:.2f}",
            f.NOTHING if price.points is None else f"{price.points:+z.2f}" if price.points else "0",
            f.opening(f.changed(price.changed, 2), anchors.get(id(price))),
            f.NOTHING if price.test is None else f"{price.test.only_first:,}",
            f.NOTHING if price.test is None else f"{price.test.only_second:,}",
            f.probability(price.test.p if price.test and not price.same else None),
            f.probability(price.p),
        ]
        for price in finding.prices
    ]
    return Table(columns, rows, left=3).filled() if rows else None


def outcome(price: Price) -> str:
    """In words: is it another?"""
    if price.same:
        return "is the same: nothing changes for this network"
    if price.points is None:
        return "not compared: the evaluation itself was not run, or it is not known which it is"
    if price.changed and price.changed.share == 0 and not price.changed.at_least:
        return "no prediction changes"
    if price.test is None:
        return "not tested: the predictions or the labels are not available"
    if price.holds:
        return "**falls**" if price.points < 0 else "**rises**"
    return "not distinguishable on these images"


def prices_intro(finding: Finding) -> str:
    """What the table of prices compares, and when a change holds; empty without one."""
    tried = [price for price in finding.prices if not price.same]
    if not finding.prices:
        return ""
    most = max((sum(price.row is row for price in tried) for row in finding.section.rows), default=0)
    of_a_row = f.number(most, "step") if len({id(price.row) for price in tried}) <= 1 else "steps"
    return (
        "What each step costs: the same images through the same network, one thing done otherwise, against the row's"
        " identical evaluation. A change holds when p < 0.05: McNemar's exact test of the images that only one of the"
        f" two gets right, corrected by Holm for the {of_a_row} of a model."
    )


def defaults(finding: Finding) -> Table | None:
    """None: no such runs were asked for."""
    section = finding.section
    decimals = f.decimals(section.test_images)
    columns = [
        "model", "its default", "in place of", "which is", "the accuracy", "accuracy %", "points", "p, corrected",
        "% changed",
    ]  # fmt: skip
    rows = [
        [
            f.name_in(section, each.row),
            f.code(each.default.what),
            f.code(each.in_place_of) if each.in_place_of else f.NOTHING,
            f.text(_meaning(each)),
            default_outcome(each),
            f.accuracy(each.default.setup.accuracy, decimals),
            f.gap(each.difference.gap, decimals),
            f.probability(None if each.changes_nothing else each.difference.p),
            f.changed(each.difference.changed, decimals),
        ]
        for each in finding.defaults
    ]
    return Table(columns, rows, left=5).filled() if rows else None


def defaults_intro(finding: Finding) -> str:
    """What the table compares, and what all of them do together; empty without one."""
    if not finding.defaults:
        return ""
    return (
        "What each of a library's own defaults costs by itself: runs that are identical but for it, against the"
        f" identical runs, points, paired by seed. One holds when p < {ALPHA:g}, corrected by Holm for the defaults of"
        f" a model. Their points need not add up, since one can hide or undo another;{_together(finding)}."
    )


def defaults_over_sections(over: Sequence[DefaultOverSections]) -> Table | None:
    """None: no two sections have any."""
    several = len({each.row.checkpoint for each in over}) > 1
    columns = [
        "model", "its default", "tables", "falls", "rises", "not distinguishable", "no prediction changes",
        "points, median", "lowest", "highest",
    ]  # fmt: skip
    rows = []
    for each in over:
        counted = Counter(cost.outcome for cost in each.costs)
        points = [each.median, min(each.points, default=0.0), max(each.points, default=0.0)]
        rows.append(
            [
                f.row_name(each.row, with_checkpoint=several),
                f.code(each.what),
                str(len(each.costs)),
                *(str(counted[outcome]) for outcome in ("falls", "rises", "undecided", "nothing")),
                *(f"{value:+z.1f}" if each.points and not each.changes_nothing else "0" for value in points),
            ]
        )
    return Table(columns, rows, left=2) if rows else None


def defaults_over_sections_intro(sections: int) -> str:
    """What the table counts, of so many sections that price defaults."""
    return (
        f"Of the {f.word(sections)} tables below that price a library's own defaults one by one: in how many the"
        " accuracy falls or rises by a difference that holds there, and what the default costs, points. One that"
        " changes no prediction acts on nothing that the protocol has, or on nothing that an image shows. This is a"
        " summary, and no test of its own."
    )


def default_outcome(each: DefaultCost) -> str:
    """In words: is it another?"""
    difference = each.difference
    match each.outcome:
        case "nothing":
            return "no prediction changes"
        case "falls" | "rises" as outcome:
            return f"**{outcome}**"
    if difference.p is None:
        return f"not tested: {f.text(difference.reason)}"
    if difference.decided_by == "images":
        return "not distinguishable on these images"
    return f"not distinguishable with {f.number(difference.pair.n, 'seed')}"


def _meaning(each: DefaultCost) -> str:
    axis, _, value = each.default.what.partition("=")
    return AXES[axis].values.get(value, AXES[axis].about)


def _together(finding: Finding) -> str:
    """Of each model: the points of its defaults added up, and those of its native runs."""
    decimals = f.decimals(finding.section.test_images)
    all_at_once = {id(each.first): each for each in finding.differences.compared if each.of_one_row}
    parts = []
    for row in finding.section.rows:
        costs = [each.difference.gap.mean for each in finding.defaults if each.row is row]
        if costs and (native := all_at_once.get(id(row))):
            name = f.name_in(finding.section, row)
            parts.append(f"{name} {sum(costs):+z.{decimals}f} and {native.gap.mean:+z.{decimals}f}")
    return f" added up and all at once (native): {', '.join(parts)}" if parts else " native has all of them at once"


def confusions(section: Section) -> list[tuple[str, Table]]:
    """Whose, and the table: a row for each class of the images, a column for each that was predicted. Of the first
    models of a section, where the records have it."""
    tables = []
    for row in section.rows[:_CONFUSIONS]:
        metrics = row.setups[0].first.metrics
        if metrics is not None and metrics.confusion and metrics.classes:
            names = [f.text(name) for name in metrics.classes]
            counts = [[name, *map(str, line)] for name, line in zip(names, metrics.confusion, strict=True)]
            tables.append((f.row_name(row, with_checkpoint=True), Table(["class", *names], counts)))
    return tables


def selected(section: Section) -> Table | None:
    """Every accuracy by what it is of, over seeds, and what the choice cost. None: of protocols that select nothing."""
    rule = section.protocol.selection
    if rule is None:
        return None
    decimals = f.decimals(section.test_images)
    columns = [
        "model", "set-up", *(f"{_NAMES[name]} %" for name in REPORTS), "per class %", "best step", "ended after step",
        "chosen", "trainings", "choosing s",
    ]  # fmt: skip
    rows = [
        [
            f.name_in(section, row),
            setup.name,
            *(f.accuracy(estimate(_shares(records, name), within=PERCENT), decimals) for name in REPORTS),
            f.accuracy(estimate(_per_class(records), within=PERCENT), decimals),
            _each(records, "best_step"),
            _each(records, "stopped"),
            f.text(_chosen(records)),
            f.significant(_mean([r.timings.trainings for r in records if r.timings and r.timings.trainings])),
            f.significant(_mean([r.timings.choosing for r in records if r.timings and r.timings.choosing is not None])),
        ]
        for row in section.rows
        for setup in row.distinct
        if (records := [r for r in setup.records.values() if r.metrics and r.metrics.selected])
    ]
    return Table(columns, rows, left=2).filled() if rows else None


_NAMES: Mapping[Report, str] = {
    "last": "last step", "best": "best step, held out", "mean-of-last": "mean of the last",
    "best-on-test": "best step, on the test images",
}  # fmt: skip


def _shares(records: Sequence[Record], name: Report) -> list[float]:
    """Percent, by seed; without those that have it not."""
    each = [r.metrics.selected.accuracy.get(name) for r in records if r.metrics and r.metrics.selected]
    return [100 * share for share in each if share is not None]


def _per_class(records: Sequence[Record]) -> list[float]:
    return [100 * r.metrics.mean_per_class for r in records if r.metrics and r.metrics.mean_per_class is not None]


def _each(records: Sequence[Record], name: str) -> str:
    """ "40", or "20 to 40" over the seeds."""
    values = [getattr(r.metrics.selected, name) for r in records if r.metrics]
    steps = sorted(value for value in values if value is not None)
    if not steps:
        return f.NOTHING
    return f"{steps[0]:,}" if steps[0] == steps[-1] else f"{steps[0]:,} to {steps[-1]:,}"


def _chosen(records: Sequence[Record]) -> str:
    """What every seed chose; of several choices how often each was."""
    counts: Counter[str] = Counter()
    for record in records:
        values = record.metrics.selected.chosen if record.metrics and record.metrics.selected else None
        if values:
            counts[", ".join(f"{name} {value:g}" for name, value in values.items())] += 1
    if len(counts) <= 1:
        return next(iter(counts), f.NOTHING)
    return "; ".join(f"{values} ({count})" for values, count in counts.most_common())


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def selected_intro(section: Section) -> str:
    """What counts, what it was chosen by, and what that took from the training; empty where nothing is selected."""
    rule = section.protocol.selection
    if rule is None:
        return ""
    said = [f"What counts is the accuracy {section.protocol.counts}."]
    if rule.reports == "best-on-test":
        said.append("It is chosen on the images that it is measured on, so it is an upper bound, and no test.")
    held = {r.metrics.selected.held_out_images for row in section.rows for setup in row.setups
            for r in setup.records.values() if r.metrics and r.metrics.selected}  # fmt: skip
    if images := max(held, default=0):
        left = "the last training has them too" if not rule.keeps_out else "nothing is trained on them"
        said.append(f"{f.number(images, 'training image')} are held out, by whose {_METRICS[rule.metric]} it is chosen;"
                    f" {left}. The test images are looked at afterwards.")  # fmt: skip
    if rule.grid:
        said.append(f"Hyper-parameters are chosen among {f.number(len(rule.grid.combinations), 'combination')}.")
    return " ".join(said)


_METRICS = {"accuracy": "accuracy", "mean_per_class": "mean per-class accuracy", "loss": "loss"}


def crops(section: Section) -> Table | None:
    """What three crops bring over the centre crop alone, of the same weights, and what they take. None: other views."""
    decimals = f.decimals(section.test_images)
    columns = ["model", "set-up", "three crops %", "centre crop %", "points", "three crops s", "centre crop s"]
    rows = []
    for row in section.rows:
        for setup in row.distinct:
            each = [r.metrics for r in setup.records.values() if r.metrics and r.metrics.centre_accuracy is not None]
            times = [r.timings.crops for r in setup.records.values() if r.timings and r.timings.crops]
            if not each:
                continue
            three = [100 * metrics.of_predictions for metrics in each]
            centre = [100 * (metrics.centre_accuracy or 0.0) for metrics in each]
            points = estimate([one - other for one, other in zip(three, centre, strict=True)])
            rows.append([
                f.name_in(section, row), setup.name,
                f.accuracy(estimate(three, within=PERCENT), decimals),
                f.accuracy(estimate(centre, within=PERCENT), decimals), f.accuracy(points, decimals),
                f.significant(_mean([sum(seconds) for seconds in times])),
                f.significant(_mean([seconds[len(seconds) // 2] for seconds in times])),
            ])  # fmt: skip
    return Table(columns, rows, left=2).filled() if rows else None
