"""A published number that was handed in, in one line: what would be compared, and what became of it: what was claimed,
measured and concluded."""

from __future__ import annotations

from collections.abc import Iterable

from isotune.printable import one_line
from isotune.protocols import METRICS
from isotune.reference_results import handed_in
from isotune.report import wording as f
from isotune.report.analysis.answers import Answers, Predictions
from isotune.report.analysis.handed_in import HandedIn
from isotune.report.analysis.published import Judged, drawn_of, judge_handed_in, margin_of, number_of, of_step
from isotune.report.analysis.sections import sections
from isotune.runs.records import Cell, Record, latest
from isotune.statistics import Draw, Verdict


def judged(
    records: Iterable[Record], handed: Iterable[HandedIn], predictions: Predictions | None = None
) -> list[Judged]:
    """Numbers that were handed in, each judged on the runs of these records that it is about, a set-up at a time.
    predictions: as of `Leaderboard`. UsageError: a number came with results image by image that are not of these."""
    numbers, answers = list(handed), Answers(predictions)
    if not numbers:
        return []
    return [each for part in sections(latest(records)) for each in judge_handed_in(part, answers, numbers)]


def line(each: Judged) -> str:
    """Plain text. "claimed 85.0 % (URL), measured 85.1 % on the same 1,000 images: reproduced, within 0.15 points"."""
    verdict, expected = each.verdict, each.reference.expected
    assert expected is not None
    metric = "" if expected.metric == "accuracy" else f"{METRICS[expected.metric]} "
    ours = "nothing measured" if verdict.effect is None else f"measured {_measured(each)} on {_images(verdict)}"
    step = of_step(expected, each.setup.first.cell.protocol)
    return f"claimed {metric}{expected}{step}{_of_runs(each)} ({one_line(expected.source)}), {ours}: {_concluded(each)}"


def foreseen(number: HandedIn, cells: Iterable[Cell], test_images: int) -> str:
    """What would be compared with what, before anything runs; plain text, one line. cells: those that the number is
    about, of one row in its seeds. test_images: of their data set."""
    runs = list(cells)
    first, expected = runs[0], number.expected
    reference, limit = handed_in(expected, first), first.protocol.images.test
    images = test_images if limit is None else min(test_images, limit)
    draw, trained = drawn_of(expected, images, limit), first.protocol.own_classifier is None
    seeds = len({cell.seeds for cell in runs})
    metric = METRICS[expected.metric]
    ours = f"the mean {metric} of {f.number(seeds, 'seed')}" if trained else f"the {metric}, nothing trained,"
    row = " ".join((first.model, first.dataset, first.protocol.name, " and ".join(dict.fromkeys(
        cell.conventions for cell in runs))))  # fmt: skip
    margin = margin_of(reference, first.protocol)
    if margin is None:
        margin = number_of(reference).margin_of(exact=not trained and draw is None, images=images)
    within = "as a bound" if expected.at_least else f"margin {margin:.3g} points"
    said = "" if expected.metric == "accuracy" else f"{metric} "
    source = one_line(expected.source)
    step = of_step(expected, first.protocol)
    return f"claimed {said}{expected}{step} ({source}) against {ours} of {row} on {_of_images(draw, images)}; {within}"


def _measured(each: Judged) -> str:
    assert each.verdict.effect is not None
    accuracy = each.reference.value + each.verdict.effect
    sd = "" if each.verdict.sd is None else f", sd {each.verdict.sd:.2g}"
    seeds = f" (mean of {f.number(each.verdict.n, 'seed')}{sd})" if each.verdict.trained else ""
    return f"{accuracy:.{f.decimals(each.verdict.images or 1)}f} %{seeds}"


def _of_runs(each: Judged) -> str:
    runs, sd = each.reference.runs, each.reference.sd
    parts = ([] if sd is None else [f"sd {sd:g}"]) + ([] if runs is None else [f.number(runs, "seed")])
    return f" [{', '.join(parts)}]" if parts else ""


def _images(verdict: Verdict) -> str:
    return _of_images(verdict.draw, verdict.images or 0)


def _of_images(draw: Draw | None, images: int) -> str:
    count = f.number(images, "test image")
    if draw is None:
        return f"the same {count}"
    if draw.theirs is None:
        return f"{count} of theirs"
    return f"{count}, theirs are {draw.theirs:,} others"


def _concluded(each: Judged) -> str:
    verdict = each.verdict
    effect, interval = verdict.effect, verdict.interval90
    if effect is None or interval is None:
        return f"inconclusive, {verdict.reason}"
    decimals = max(f.decimals(verdict.images or 1), 2)
    parts = [_reason(verdict, decimals)]
    if interval.low != interval.high:
        wide = verdict.interval95 if verdict.outcome == "different" else interval
        assert wide is not None
        share = 95 if verdict.outcome == "different" else 90
        parts.append(f"{share} % interval {wide.low:+z.{decimals}f} to {wide.high:+z.{decimals}f}")
    if each.paired is not None:
        split = each.paired.tested
        only = f"{split.only_first:,} images only theirs has right, {split.only_second:,} only ours"
        parts.append(f"{only} (McNemar p = {f.probability(split.p)})")
    if verdict.outcome == "inconclusive":
        parts.append(needed(each))
    return f"{verdict.outcome}, {'; '.join(parts)}"


def _reason(verdict: Verdict, decimals: int) -> str:
    apart = f"ours minus claimed {verdict.effect:+z.{decimals}f} points"
    if verdict.published.at_least:
        return f"{apart}, {verdict.reason.partition(';')[0]}"
    inside = {"reproduced": "within", "different": "beyond", "inconclusive": "not decided against"}[verdict.outcome]
    return f"{apart}, {inside} the margin of {verdict.margin:.3g}"


def needed(each: Judged) -> str:
    """How much more would decide what is inconclusive, as far as the data set has it."""
    verdict, there = each.verdict, each.available
    seeds, images = verdict.seeds_needed, verdict.images_needed
    lacking = images is not None and there is not None and images > there
    ways = [f"about {f.number(seeds, 'more seed')}"] if seeds else []
    beside = " and more seeds" if verdict.trained and not seeds else ""
    if lacking and _all_are_theirs(each):
        ways.append(f"all {there:,} test images{beside}")
    elif images and not lacking:
        ways.append(f"about {images:,} test images in all{beside}")
    if ways:
        return f"{' or '.join(ways)} for 90 % power"
    if lacking:
        return (
            f"it cannot be decided on these data: 90 % power takes about {images:,} test images{beside}, and there are"
            f" {there:,}"
        )
    if verdict.trained and verdict.draw:
        return "it takes more seeds and more test images; how many cannot be estimated"
    if verdict.trained:
        return "the number of seeds still needed cannot be estimated"
    return "no number of our images would decide it"


def _all_are_theirs(each: Judged) -> bool:
    """Whether ours were drawn from theirs, and theirs are all that the data set has, of which none is drawn."""
    draw, expected = each.verdict.draw, each.reference.expected
    if draw is None or draw.theirs is not None or each.available == draw.images:
        return False
    return expected is None or (expected.test is None and expected.images in (None, each.available))
