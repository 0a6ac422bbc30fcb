"""Of an evaluation of checkpoints' own classifiers: all scores, what each step costs, what was taken for what."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from isotune.report import wording as f
from isotune.report.analysis.evaluations import described
from isotune.report.analysis.judging import Finding
from isotune.report.analysis.prices import Price
from isotune.report.analysis.sections import Section
from isotune.report.wording import Table

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
                    f.row_name(row, with_checkpoint=len(section.checkpoints) > 1),
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
            f.row_name(price.row, with_checkpoint=len(section.checkpoints) > 1),
            f.code(price.what),
            outcome(price),
            f"{price.accuracy:.2f}",
            f.NOTHING if price.points is None else f"{price.points:+.2f}" if price.points else "0",
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
