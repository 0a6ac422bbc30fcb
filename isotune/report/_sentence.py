"""The one sentence a reader wants, made from a section's figures: it claims no change that the tables do not."""

from __future__ import annotations

from collections.abc import Sequence

from isotune.report import wording as f
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.differences import Differences
from isotune.report.analysis.prices import Price
from isotune.report.analysis.sections import Row, Section
from isotune.statistics import POINTS, Estimate, paired_difference


def sentence(section: Section, answers: Answers, tested: Differences, priced: Sequence[Price]) -> str:
    """What the section shows, in markdown: do the libraries agree, and what do their defaults cost? Of an evaluation a
    second one says which step costs most."""
    agreeing = [[row for row in group if row.identical and row.plain] for group in section.twins()]
    several = [group for group in agreeing if len(_libraries(group)) > 1]
    # the architecture that most libraries share; of equals the most accurate, which comes first
    group = max(several, key=lambda group: len(_libraries(group))) if several else list(section.rows[:1])
    said = _agreement(section, group, answers) if several else _best(section)
    changes = _defaults(group, f.decimals(section.test_images), answers, tested, priced)
    if group and not several:
        changes = changes.replace("each library's", "its library's")
    return f"{said}; {changes}.{_dearest(group, priced)}" if changes else f"{said}.{_dearest(group, priced)}"


def _agreement(section: Section, group: list[Row], answers: Answers) -> str:
    decimals = f.decimals(section.test_images)
    libraries = _libraries(group)
    where = f"all {f.word(len(libraries))} libraries" if len(libraries) > 2 else "both libraries"
    if len(group) > len(libraries):
        where = f"all {f.word(len(group))} set-ups of {f.word(len(libraries))} libraries"
    means = [row.identical.accuracy.mean for row in group if row.identical]
    low, high = (f"{value:.{decimals}f}" for value in (min(means), max(means)))
    reached = f"{high} %" if low == high else f"{low} to {high} %"
    return (
        f"Under the checkpoint's conventions {f.code(group[0].architecture)} reaches {reached} on"
        f" {f.text(section.dataset)} in {where}{_agree(group, answers, decimals)}"
    )


def _agree(group: list[Row], answers: Answers, decimals: int) -> str:
    """Do the predictions agree with those of the most accurate? Only what the records prove."""
    first = group[0].identical
    shares = [answers.changed(first, row.identical) for row in group[1:] if first and row.identical]
    known = [share for share in shares if share is not None]
    if not known or len(known) < len(shares):
        return ""
    if all(share.share == 0 and not share.at_least for share in known):
        return ", which agree on every test image"
    if any(share.at_least for share in known):
        return ", which do not agree on every test image"
    most = max(share.share for share in known)
    shown = f"{most:.{decimals}f}" if round(most, decimals) else f"less than {10**-decimals:.{decimals}f}"
    return f", which differ on {'at most ' if len(known) > 1 else ''}{shown} % of the test images"


def _defaults(group: list[Row], decimals: int, answers: Answers, tested: Differences, priced: Sequence[Price]) -> str:
    """What the libraries' own defaults change; empty when that was not run. A change is one that holds in the table."""
    measured = [(row, row.native, cost) for row in group if row.native and (cost := _cost(row))]
    if not measured:
        return ""
    start = "with each library's own defaults "
    moved = [(row, native, cost) for row, native, cost in measured
             if _holds(row, tested, priced) and round(abs(cost.mean), decimals) > 0]  # fmt: skip
    if not moved:
        return start + _unmoved([(row, cost) for row, _, cost in measured], decimals, answers)
    if len(moved) > 3:
        means = [native.accuracy.mean for _, native, _ in measured]
        return start + f"the accuracies spread from {min(means):.{decimals}f} to {max(means):.{decimals}f} %"
    parts = [
        f"{_called(row, group)} {'falls' if cost.mean < 0 else 'rises'} to {native.accuracy.mean:.{decimals}f} %"
        for row, native, cost in moved
    ]
    return start + f.listing(parts)


def _unmoved(measured: Sequence[tuple[Row, Estimate]], decimals: int, answers: Answers) -> str:
    """Where no change holds: what is certain."""
    if all(cost.mean == 0 and not cost.margin > 0 for _, cost in measured):
        alike = [answers.changed(row.identical, row.native) for row, _ in measured if row.identical and row.native]
        known = all(each is not None and each.share == 0 and not each.at_least for each in alike)
        return "nothing changes" if known else "no accuracy changes"
    means = [row.native.accuracy.mean for row, _ in measured if row.native]
    low, high = (f"{value:.{decimals}f}" for value in (min(means), max(means)))
    return f"no change is distinguishable ({high if low == high else f'{low} to {high}'} %)"


def _holds(row: Row, tested: Differences, priced: Sequence[Price]) -> bool:
    """Whether what the row's native set-up changes holds in the table that has it."""
    return any(each.holds for each in tested.compared if each.of_one_row and each.first is row) or any(
        price.holds for price in priced if price.row is row and price.what == "native"
    )


def _dearest(group: Sequence[Row], priced: Sequence[Price]) -> str:
    """Which step of the first row's evaluation costs most; empty where there is none."""
    of_first = [price for price in priced if group and price.row is group[0]]
    steps = [price for price in of_first if price.what != "native" and not price.same]
    if not steps:
        return ""
    dear = [price for price in steps if price.holds and (price.points or 0) < 0]
    among = f" Of {f.number(len(steps), 'step')} in which {f.code(group[0].model)} is evaluated otherwise"
    if not dear:
        return f"{among} none costs distinguishably."
    return f"{among} {f.code(dear[0].what)} costs most, {-(dear[0].points or 0):.2f} points."


def _cost(row: Row) -> Estimate | None:
    """Native less identical, points, paired by seed; None without common seeds."""
    if row.identical is None or row.native is None:
        return None
    gap = paired_difference(row.identical.by_seed, row.native.by_seed, within=POINTS)
    return gap if gap.n else None


def _best(section: Section) -> str:
    decimals = f.decimals(section.test_images)
    if not section.rows:
        return f"No run on {f.text(section.dataset)} finished"
    row = section.rows[0]
    where = f"on {f.text(section.dataset)}"
    name = f.row_name(row, with_checkpoint=False)
    reached = f"{f.accuracy(row.setups[0].accuracy, decimals)} %"
    how = "" if row.identical else " with its library's own defaults"
    others = len({other.model for other in section.rows})
    best = f", the highest of {f.word(others)} models" if others > 1 else ""
    return f"{name} reaches {reached} {where}{how}{best}"


def _libraries(group: list[Row]) -> set[str]:
    """Adapters, whatever engine computes."""
    return {row.library.partition("@")[0] for row in group}


def _called(row: Row, group: list[Row]) -> str:
    """The library's name where that says which row is meant, otherwise the model's."""
    same = [other for other in group if other.library == row.library]
    return f.text(f.library(row.library)) if len(same) == 1 else f.code(row.model)
