"""What each default of a library costs a training by itself, in markdown."""

from __future__ import annotations

from isotune.conventions import AXES
from isotune.report import wording as f
from isotune.report.analysis.defaults import DefaultCost
from isotune.report.analysis.differences import ALPHA
from isotune.report.analysis.judging import Finding
from isotune.report.wording import Table


def defaults(finding: Finding) -> Table | None:
    """None: no such runs were asked for."""
    section = finding.section
    decimals = f.decimals(section.test_images)
    columns = ["model", "its default", "which is", "the accuracy", "accuracy %", "points", "p, corrected", "% changed"]
    rows = [
        [
            f.row_name(each.row, with_checkpoint=len(section.checkpoints) > 1),
            f.code(each.default.what),
            f.text(_meaning(each)),
            outcome(each),
            f.accuracy(each.default.setup.accuracy, decimals),
            f.gap(each.difference.gap, decimals),
            f.probability(None if each.changes_nothing else each.difference.p),
            f.changed(each.difference.changed, decimals),
        ]
        for each in finding.defaults
    ]
    return Table(columns, rows, left=4).filled() if rows else None


def defaults_intro(finding: Finding) -> str:
    """What the table compares, and what all of them do together; empty without one."""
    if not finding.defaults:
        return ""
    return (
        "What each of a library's own defaults costs by itself: runs that are identical but for it, against the"
        f" identical runs, points, paired by seed. One holds when p < {ALPHA:g}, corrected by Holm for the defaults of"
        f" a model. Their points need not add up, since one can hide or undo another;{_together(finding)}."
    )


def outcome(each: DefaultCost) -> str:
    """In words: is it another?"""
    difference = each.difference
    if each.changes_nothing:
        return "no prediction changes"
    if difference.holds:
        return "**falls**" if difference.gap.mean < 0 else "**rises**"
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
            name = f.row_name(row, with_checkpoint=len(finding.section.checkpoints) > 1)
            parts.append(f"{name} {sum(costs):+.{decimals}f} and {native.gap.mean:+.{decimals}f}")
    return f" added up and all at once (native): {', '.join(parts)}" if parts else " native has all of them at once"
