"""What a study's records say: the sources of each model's variance, and the noise floor of the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path

import numpy as np

from isotune.errors import UsageError
from isotune.runs.records import Record
from isotune.seeds import apart
from isotune.statistics import PERCENT, Run, VarianceBySource, predictions_changed, variance_by_source
from isotune.variance._design import Design, Study
from isotune.variance._study import records, store


@dataclass(frozen=True)
class Floor:
    """The first seeds again, in fresh worker processes, against their first run."""

    repeats: int
    same: int  # repeats with the same class for every test image
    changed: float | None  # test images with another class, of the repeat with most, percent; None: not kept
    moved: float | None  # between the lowest and the highest accuracy, points; None: `reason` says why
    reason: str


@dataclass(frozen=True)
class Finding:
    """What the runs of one model say. Accuracies are percentages, so that variances are points squared."""

    model: str
    design: Design
    records: tuple[Record, ...]  # of all runs that there are
    missing: int  # crossed runs without a record
    accuracies: tuple[float, ...]  # of the crossed runs that did not fail
    sources: VarianceBySource
    floor: Floor

    @property
    def failed(self) -> list[tuple[Record, str]]:
        """Runs that count as failed, and why."""
        return [(record, why) for record in self.records if (why := failure(record))]

    @property
    def test_images(self) -> int:
        return max((record.metrics.test_images for record in self.records if record.metrics), default=0)


def failure(record: Record) -> str:
    """Why a run says nothing about accuracy, or empty. A training that diverged ends with classes too, all alike."""
    if record.status == "failed" or record.metrics is None:
        return record.error or "no metrics"
    diverged = record.metrics.loss is None and record.cell.protocol.probe is None  # a probe may know too few classes
    return "diverged: the test loss is not finite" if diverged else ""


def judge(study: Study, folder: Path) -> list[Finding]:
    """A finding of each model of the study, from the records in its folder; missing and failed runs are said."""
    by_model: dict[str, list[tuple[int, Record]]] = {cell.model: [] for cell in study.firsts}
    for repeat, record in records(study, folder):
        by_model[record.cell.model].append((repeat, record))
    return [_finding(model, study.design, runs, folder) for model, runs in by_model.items()]


def _finding(model: str, design: Design, runs: Sequence[tuple[int, Record]], folder: Path) -> Finding:
    missing = len(design.seeds) - sum(repeat == 0 for repeat, _ in runs)
    known = [_accuracy(record) for repeat, record in runs if repeat == 0]
    if missing:  # what is left may look like a smaller design
        sources = VarianceBySource(
            "none", len(runs), (), None, f"{missing} of {len(design.seeds)} crossed runs are missing"
        )
    else:
        sources = variance_by_source(
            (
                Run(seeds, repeat, _accuracy(record))
                for seeds, (repeat, record) in zip(apart(record.cell.seeds for _, record in runs), runs, strict=True)
            ),
            within=PERCENT,
        )
    return Finding(
        model=model,
        design=design,
        records=tuple(record for _, record in runs),
        missing=missing,
        accuracies=tuple(accuracy for accuracy in known if not isnan(accuracy)),
        sources=sources,
        floor=_floor(design, runs, folder),
    )


def _accuracy(record: Record) -> float:
    """Percent; NaN of a run that failed."""
    return nan if record.metrics is None or failure(record) else 100 * record.metrics.accuracy


def _floor(design: Design, runs: Sequence[tuple[int, Record]], folder: Path) -> Floor:
    again = [(repeat, record) for repeat, record in runs if record.cell.seeds == design.seeds[0]]
    reason = ""
    if any(failure(record) for _, record in again):
        reason = "a run of these seeds failed"
    elif len(again) < 2 or again[0][0] != 0:
        reason = "no seeds were run twice"
    if reason:
        return Floor(max(len(again) - 1, 0), 0, None, None, reason)
    (_, first), *others = again
    same = sum(record.predictions_digest == first.predictions_digest for _, record in others)
    accuracies = [_accuracy(record) for _, record in again]
    changed = [_changed((0, first), other, folder) for other in others]
    known = [share for share in changed if share is not None]
    most = max(known) if len(known) == len(changed) else None
    return Floor(len(others), same, most, max(accuracies) - min(accuracies), "")


def _changed(first: tuple[int, Record], other: tuple[int, Record], folder: Path) -> float | None:
    """Percent of the test images; None: predictions are gone, or those of another run."""
    if first[1].predictions_digest == other[1].predictions_digest:
        return 0.0
    arrays: list[np.ndarray] = []
    for repeat, record in (first, other):
        try:
            array = store(folder, repeat).predictions(record)
        except UsageError:
            return None
        arrays.append(array)
    return 100 * predictions_changed(*arrays)
