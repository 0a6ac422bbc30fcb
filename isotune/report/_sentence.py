"""The one sentence a reader wants, made from a section's figures."""

from __future__ import annotations

from isotune.report import _format as f
from isotune.report._sections import Comparison, Row, Section
from isotune.statistics import Estimate


def sentence(section: Section) -> str:
    """What the section shows, in markdown: do the libraries agree, and what do their defaults cost?"""
    groups = section.twins()
    agreeing = {key: [c for c in group if c.row.identical and c.row.plain] for key, group in groups.items()}
    several = {key: group for key, group in agreeing.items() if len(_libraries(group)) > 1}
    if several:
        # the architecture that most libraries share; of equals the most accurate, which comes first
        return _agreement(section, max(several.values(), key=lambda group: len(_libraries(group))))
    return _best(section)


def _agreement(section: Section, group: list[Comparison]) -> str:
    decimals = f.decimals(section.test_images)
    libraries = _libraries(group)
    where = f"all {f.word(len(libraries))} libraries" if len(libraries) > 2 else "both libraries"
    if len(group) > len(libraries):
        where = f"all {f.word(len(group))} set-ups of {f.word(len(libraries))} libraries"
    means = [c.row.identical.accuracy.mean for c in group if c.row.identical]
    low, high = (f"{value:.{decimals}f}" for value in (min(means), max(means)))
    reached = f"{high} %" if low == high else f"{low} to {high} %"
    start = (
        f"Under the checkpoint's conventions {f.code(group[0].row.architecture)} reaches {reached} on"
        f" {f.text(section.dataset)} in {where}{_agree(group, decimals)}"
    )
    natives = _defaults(group, decimals)
    return f"{start}; {natives}." if natives else f"{start}."


def _agree(group: list[Comparison], decimals: int) -> str:
    """Do the predictions agree? Only what the records prove."""
    shares = [c.identical_changed for c in group if c.reference is not None]
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


def _defaults(group: list[Comparison], decimals: int) -> str:
    """What the libraries' own defaults change; empty when that was not run."""
    measured = [c for c in group if c.defaults is not None and c.row.native is not None]
    if not measured:
        return ""
    moved = [c for c in measured if c.defaults and _matters(c.defaults, decimals)]
    start = "with each library's own defaults "
    if not moved:
        same = all(c.defaults and c.defaults.mean == 0 and not c.defaults.margin > 0 for c in measured)
        return start + ("nothing changes" if same else "no accuracy moves by more than the seeds do")
    if len(moved) > 3:
        means = [c.row.native.accuracy.mean for c in measured if c.row.native]
        return start + f"the accuracies spread from {min(means):.{decimals}f} to {max(means):.{decimals}f} %"
    parts = []
    for c in moved:
        if c.defaults and c.row.native:
            verb = "falls" if c.defaults.mean < 0 else "rises"
            parts.append(f"{_called(c.row, group)} {verb} to {c.row.native.accuracy.mean:.{decimals}f} %")
    return start + f.listing(parts)


def _matters(gap: Estimate, decimals: int) -> bool:
    """Large enough to be printed, and beyond what the seeds do where several say so."""
    certain = gap.n < 2 or not gap.low <= 0 <= gap.high
    return certain and round(abs(gap.mean), decimals) > 0


def _best(section: Section) -> str:
    decimals = f.decimals(section.test_images)
    if not section.rows:
        return f"No run on {f.text(section.dataset)} finished."
    row = section.rows[0]
    _, setup = row.setups[0]
    where = f"on {f.text(section.dataset)}"
    name = f.row_name(row, with_checkpoint=False)
    reached = f"{f.accuracy(setup.accuracy, decimals)} %"
    how = "" if row.identical else " with its library's own defaults"
    others = len({other.model for other in section.rows})
    best = f", the best of {f.word(others)} models" if others > 1 else ""
    natives = _defaults([c for c in section.comparisons if c.row is row], decimals) if row.identical else ""
    natives = natives.replace("each library's", "its library's")
    return f"{name} reaches {reached} {where}{how}{best}{'; ' + natives if natives else ''}."


def _libraries(group: list[Comparison]) -> set[str]:
    """Adapters, whatever engine computes."""
    return {c.row.library.partition("@")[0] for c in group}


def _called(row: Row, group: list[Comparison]) -> str:
    """The library's name where that says which row is meant, otherwise the model's."""
    same = [c for c in group if c.row.library == row.library]
    return f.text(f.library(row.library)) if len(same) == 1 else f.code(row.model)
