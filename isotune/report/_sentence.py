"""The one sentence a reader wants, made from a section's figures."""

from __future__ import annotations

from isotune.report import wording as f
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.sections import Row, Section
from isotune.statistics import POINTS, Estimate, paired_difference


def sentence(section: Section, answers: Answers) -> str:
    """What the section shows, in markdown: do the libraries agree, and what do their defaults cost?"""
    agreeing = [[row for row in group if row.identical and row.plain] for group in section.twins().values()]
    several = [group for group in agreeing if len(_libraries(group)) > 1]
    if several:
        # the architecture that most libraries share; of equals the most accurate, which comes first
        return _agreement(section, max(several, key=lambda group: len(_libraries(group))), answers)
    return _best(section)


def _agreement(section: Section, group: list[Row], answers: Answers) -> str:
    decimals = f.decimals(section.test_images)
    libraries = _libraries(group)
    where = f"all {f.word(len(libraries))} libraries" if len(libraries) > 2 else "both libraries"
    if len(group) > len(libraries):
        where = f"all {f.word(len(group))} set-ups of {f.word(len(libraries))} libraries"
    means = [row.identical.accuracy.mean for row in group if row.identical]
    low, high = (f"{value:.{decimals}f}" for value in (min(means), max(means)))
    reached = f"{high} %" if low == high else f"{low} to {high} %"
    start = (
        f"Under the checkpoint's conventions {f.code(group[0].architecture)} reaches {reached} on"
        f" {f.text(section.dataset)} in {where}{_agree(group, answers, decimals)}"
    )
    natives = _defaults(group, decimals)
    return f"{start}; {natives}." if natives else f"{start}."


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


def _defaults(group: list[Row], decimals: int) -> str:
    """What the libraries' own defaults change; empty when that was not run."""
    measured = [(row, row.native, cost) for row in group if row.native and (cost := _cost(row))]
    if not measured:
        return ""
    moved = [(row, native, cost) for row, native, cost in measured if _matters(cost, decimals)]
    start = "with each library's own defaults "
    if not moved:
        same = all(cost.mean == 0 and not cost.margin > 0 for _, _, cost in measured)
        return start + ("nothing changes" if same else "no accuracy changes by more than it does between seeds")
    if len(moved) > 3:
        means = [native.accuracy.mean for _, native, _ in measured]
        return start + f"the accuracies spread from {min(means):.{decimals}f} to {max(means):.{decimals}f} %"
    parts = [
        f"{_called(row, group)} {'falls' if cost.mean < 0 else 'rises'} to {native.accuracy.mean:.{decimals}f} %"
        for row, native, cost in moved
    ]
    return start + f.listing(parts)


def _cost(row: Row) -> Estimate | None:
    """Native less identical, points, paired by seed; None without common seeds."""
    if row.identical is None or row.native is None:
        return None
    gap = paired_difference(row.identical.by_seed, row.native.by_seed, within=POINTS)
    return gap if gap.n else None


def _matters(gap: Estimate, decimals: int) -> bool:
    """Large enough to be printed, and beyond what the seeds do where several say so."""
    certain = gap.n < 2 or not gap.low <= 0 <= gap.high
    return certain and round(abs(gap.mean), decimals) > 0


def _best(section: Section) -> str:
    decimals = f.decimals(section.test_images)
    if not section.rows:
        return f"No run on {f.text(section.dataset)} finished."
    row = section.rows[0]
    where = f"on {f.text(section.dataset)}"
    name = f.row_name(row, with_checkpoint=False)
    reached = f"{f.accuracy(row.setups[0].accuracy, decimals)} %"
    how = "" if row.identical else " with its library's own defaults"
    others = len({other.model for other in section.rows})
    best = f", the best of {f.word(others)} models" if others > 1 else ""
    natives = _defaults([row], decimals)
    natives = natives.replace("each library's", "its library's")
    return f"{name} reaches {reached} {where}{how}{best}{'; ' + natives if natives else ''}."


def _libraries(group: list[Row]) -> set[str]:
    """Adapters, whatever engine computes."""
    return {row.library.partition("@")[0] for row in group}


def _called(row: Row, group: list[Row]) -> str:
    """The library's name where that says which row is meant, otherwise the model's."""
    same = [other for other in group if other.library == row.library]
    return f.text(f.library(row.library)) if len(same) == 1 else f.code(row.model)
