"""What a finding says in words, plain text."""

from __future__ import annotations

from collections.abc import Sequence

from isotune.report import wording as f
from isotune.statistics import Component
from isotune.variance._judging import Finding, Floor


def source(part: Component) -> str:
    """ "head", "head x order", "the same seeds again"."""
    return " x ".join(part.streams) if part.streams else "the same seeds again"


def decimals(finding: Finding) -> int:
    """Of points: one more than an accuracy has, as standard deviations are small and averaged."""
    return f.decimals(finding.test_images) + 1


def sentence(finding: Finding) -> str:
    """Where the variance of a model comes from, and what the same seeds give again: one sentence."""
    return f"{_sources(finding)}; {_floor(finding.floor, decimals(finding))}."


def _sources(finding: Finding) -> str:
    sources, model, runs = finding.sources, finding.model, len(finding.accuracies)
    if sources.reason:
        return f"There are no components for {model}: {sources.reason}"
    if not any(part.sd for part in sources.components) and len(set(finding.accuracies)) == 1:
        reached = f"{finding.accuracies[0]:.{f.decimals(finding.test_images)}f} %"
        return f"{model} reaches {reached} in all {runs} runs, whatever the seeds"
    if sources.total is None:
        (part,) = sources.components
        what = finding.design.drawn[part.streams[0]]
        return f"{model} has a standard deviation of {_points(part.sd, finding)} over {runs} draws of {what}"
    sd = max(sources.total, 0.0) ** 0.5
    start = f"Of the variance of {model} (standard deviation {_points(sd, finding)})"
    return f"{start}, {f.listing(_shares(finding))}{_unsure(finding)}"


def _shares(finding: Finding) -> list[str]:
    """ "70 % is the order of the images", largest first; then the interactions as one."""
    mains = [(finding.design.drawn[part.streams[0]], part.share or 0.0) for part in _mains(finding)]
    together = sum(part.share or 0.0 for part in finding.sources.components if len(part.streams) > 1)
    them = "the two" if len(mains) == 2 else "the streams"
    ranked = [*sorted(mains, key=lambda main: -main[1]), (f"what {them} do together", together)]
    return [f"{_percent(share)}{'' if place else ' is'} {what}" for place, (what, share) in enumerate(ranked)]


def _percent(share: float) -> str:
    return "less than 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def _unsure(finding: Finding) -> str:
    """Streams whose interval begins at nothing."""
    unsure = [finding.design.drawn[part.streams[0]] for part in _mains(finding) if part.interval.low <= 0]
    if not unsure:
        return ""
    return f", though {len(finding.accuracies)} runs do not prove that {_either(unsure)} matters by itself"


def _either(parts: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _mains(finding: Finding) -> list[Component]:
    return [part for part in finding.sources.components if len(part.streams) == 1]


def _floor(floor: Floor, places: int) -> str:
    if floor.reason:
        return f"how much repeats of the same seeds differ is not known: {floor.reason}"
    if floor.same == floor.repeats:
        again = " again" if floor.repeats == 1 else f", run {f.word(floor.repeats)} times more,"
        return f"the same seeds{again} gave the same predictions"
    what = "other predictions" if floor.changed is None else f"another class to {floor.changed:.{places - 1}f} %"
    images = "" if floor.changed is None else " of the test images"
    return f"the same seeds again gave {what}{images}, with accuracies up to {floor.moved:.{places - 1}f} points apart"


def _points(value: float, finding: Finding) -> str:
    return f"{value:.{decimals(finding)}f} points"
