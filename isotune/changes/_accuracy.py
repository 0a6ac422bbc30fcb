"""Which accuracies fell or rose: paired by seed and by image, corrected for how many were looked at.

As in a leaderboard (`isotune.report.analysis.differences`): the runs of the seeds decide a training, by t, or where t
has no answer by permutation; McNemar's exact test of the images decides where nothing that is drawn at random reaches
the predictions. All that is compared is one table, and Holm's correction is of all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from typing import Literal

from isotune.changes._sides import Named, Run, Side, Subject
from isotune.report.analysis.answers import Answers, Changed, Predictions
from isotune.report.analysis.sections import SetUp, Streams
from isotune.statistics import (
    PERCENT,
    POINTS,
    Estimate,
    McNemar,
    Pair,
    compare_all,
    estimate,
    holm,
    paired_difference,
)

ALPHA = 0.05
Outcome = Literal["fell", "fails", "rose", "same predictions", "not distinguishable", "not tested"]


@dataclass(frozen=True)
class AccuracyChange:
    """One subject on both sides, over the seeds that both have. Accuracies are percent, gap is after - before, points.

    seeds: that both have done; unpaired: that only one side ran. failing: seeds that were done and fail now, each with
    its error. changed: predictions, percent; None: not known. by_images: exact McNemar test by seed, as far as
    predictions are kept. p: after Holm's correction; None: `reason` says why.
    """

    subject: Subject
    named: Named
    before: Estimate
    after: Estimate
    gap: Estimate
    seeds: int
    unpaired: int
    failing: Mapping[Streams, str]
    changed: Changed | None
    by_images: Mapping[Streams, McNemar]
    decided_by: Literal["seeds", "images"]
    p: float | None
    reason: str

    @property
    def outcome(self) -> Outcome:
        if self.failing:
            return "fails"
        if self.p is None:
            return "not tested"
        if self.p < ALPHA and self.gap.mean:
            return "fell" if self.gap.mean < 0 else "rose"
        if self.changed is not None and self.changed.share == 0 and not self.changed.at_least:
            return "same predictions"
        return "not distinguishable"

    @property
    def fell(self) -> bool:
        """Lower, at 5 % remembering how many were looked at; or what was done before fails now."""
        return self.outcome in ("fell", "fails")


def accuracy_changes(before: Side, after: Side, subjects: Sequence[Subject]) -> tuple[AccuracyChange, ...]:
    """Of all subjects that both sides have: what fell first, then by the size of the change."""
    answers = Answers(_either(before, after))
    pairs = _compared(before, after, subjects)
    judged = [_judged(subject, pair, before, after, answers) for subject, pair in zip(subjects, pairs, strict=True)]
    corrected = holm([each.p for each in judged])
    changes = [replace(each, p=p) for each, p in zip(judged, corrected, strict=True)]
    return tuple(sorted(changes, key=_order))


def _order(change: AccuracyChange) -> tuple[object, ...]:
    mean = change.gap.mean
    ranks: tuple[Outcome, ...] = ("fails", "fell", "rose")
    rank = ranks.index(change.outcome) if change.outcome in ranks else len(ranks)
    return rank, 0.0 if isnan(mean) else -abs(mean), change.subject


def _either(before: Side, after: Side) -> Predictions | None:
    """Predictions of a record, from the side that it is of; None: one side holds none."""
    if before.predictions is None or after.predictions is None:
        return None
    first = {id(run.record) for runs in before.runs.values() for run in runs.values()}
    of_first, of_second = before.predictions, after.predictions
    return lambda record: (of_first if id(record) in first else of_second)(record)


def _compared(before: Side, after: Side, subjects: Sequence[Subject]) -> tuple[Pair, ...]:
    """The runs of the seeds, uncorrected and corrected; failed ones are NaN, since they are no random part."""
    runs: dict[str, dict[Streams, float]] = {}
    for number, subject in enumerate(subjects):
        for name, side in (("before", before), ("after", after)):
            runs[f"{name} {number}"] = {seed: run.accuracy for seed, run in side.runs[subject].items()}
    return compare_all(runs, [(f"before {number}", f"after {number}") for number in range(len(subjects))])


def _judged(subject: Subject, pair: Pair, before: Side, after: Side, answers: Answers) -> AccuracyChange:
    """With p not yet corrected."""
    first, second = before.runs[subject], after.runs[subject]
    common = [seed for seed in first if seed in second]
    done = [seed for seed in common if not isnan(first[seed].accuracy) and not isnan(second[seed].accuracy)]
    one = {seed: first[seed].accuracy for seed in done}
    two = {seed: second[seed].accuracy for seed in done}
    by_images = _by_images(first, second, done, answers)
    changed = _changed(first, second, done, answers)
    own_classifier = before.named[subject].protocol.own_classifier is not None
    images = own_classifier or (_nothing_drawn(first) and _nothing_drawn(second))
    p, reason = _decided(pair, images, by_images, changed)
    return AccuracyChange(
        subject=subject,
        named=after.named[subject],
        before=estimate(list(one.values()), within=PERCENT),
        after=estimate(list(two.values()), within=PERCENT),
        gap=paired_difference(one, two, within=POINTS),
        seeds=len(done),
        unpaired=pair.unpaired,
        failing=dict(_failing(first, second, common)),
        changed=changed,
        by_images=by_images,
        decided_by="images" if images else "seeds",
        p=p,
        reason=reason,
    )


def _decided(
    pair: Pair, images: bool, by_images: Mapping[Streams, McNemar], changed: Changed | None
) -> tuple[float | None, str]:
    """p before correction, or None and why."""
    if changed is not None and changed.share == 0 and not changed.at_least and "failed" not in pair.reason:
        return 1.0, ""  # not one image is classified otherwise, at any seed
    if images:
        if by_images:
            return next(iter(by_images.values())).p, ""  # the same at every seed
        return None, "predictions or labels are not at hand, and nothing that is drawn at random reaches them"
    if pair.p_t is None and pair.p_permutation is None:
        return None, f"{pair.reason}; {_what_would_test(pair)}"
    return (pair.p_permutation if pair.p_t is None else pair.p_t), ""


def _what_would_test(pair: Pair) -> str:
    """What runs of the seeds, too few or failed, lack for a test; in words."""
    if "failed" in pair.reason:
        return "run what failed again, isotune run --retry-failed"
    return "run the same seeds, two or more, on both sides (isotune run --seeds 5)"


def _nothing_drawn(runs: Mapping[Streams, Run]) -> bool:
    """Whether every seed gave the same predictions: more runs tell nothing more then."""
    digests = {run.predictions for run in runs.values()}
    return len(runs) > 1 and len(digests) == 1 and None not in digests


def _failing(
    first: Mapping[Streams, Run], second: Mapping[Streams, Run], common: Sequence[Streams]
) -> Iterator[tuple[Streams, str]]:
    for seed in common:
        if isnan(second[seed].accuracy) and not isnan(first[seed].accuracy):
            yield seed, second[seed].error or "it failed"


def _by_images(
    first: Mapping[Streams, Run], second: Mapping[Streams, Run], done: Sequence[Streams], answers: Answers
) -> Mapping[Streams, McNemar]:
    setups = _setups(first, second, done)
    return answers.right_by_one(*setups) if setups else {}


def _changed(
    first: Mapping[Streams, Run], second: Mapping[Streams, Run], done: Sequence[Streams], answers: Answers
) -> Changed | None:
    if done and all(first[seed].predictions and first[seed].predictions == second[seed].predictions for seed in done):
        return Changed(0.0, False)
    setups = _setups(first, second, done)
    return answers.changed(*setups) if setups else None


def _setups(
    first: Mapping[Streams, Run], second: Mapping[Streams, Run], done: Sequence[Streams]
) -> tuple[SetUp, SetUp] | None:
    """The runs of both sides as a report's; None: of one there are no records."""
    sides = []
    for runs in (first, second):
        records = {seed: record for seed in done if (record := runs[seed].record) is not None}
        if not records or len(records) < len(done):
            return None
        sides.append(SetUp("identical", records, ()))
    return sides[0], sides[1]
