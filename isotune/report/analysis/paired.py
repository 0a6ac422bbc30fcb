"""A set-up's answers against those that were published image by image: which images only one of them gets right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isotune import reading
from isotune.errors import UsageError
from isotune.protocols import Expected
from isotune.report.analysis.answers import Answers
from isotune.report.analysis.sections import SetUp
from isotune.statistics import McNemar, mcnemar


@dataclass(frozen=True)
class Paired:
    """On the same images. images: [N]; tested: those that exactly one gets right, theirs first."""

    images: int
    tested: McNemar


def paired(setup: SetUp, expected: Expected, answers: Answers) -> Paired | None:
    """None: nothing is published image by image, or our answers are not at hand.

    Of several seeds the first is compared. UsageError: the file is not of these images, or gives another accuracy than
    the number that it belongs to.
    """
    if expected.predictions is None or expected.metric != "accuracy":
        return None
    selection = setup.first.cell.protocol.selection
    kept = "last" if selection is None or selection.reports == "mean-of-last" else selection.reports
    if (expected.at or "last") != kept:  # our predictions are of another step
        return None
    where = f"predictions {expected.predictions}"
    theirs = reading.arrays.array(Path(expected.predictions).expanduser(), where)
    ours = answers.right(setup)
    if ours is None:
        return None
    count = ours.shape[1]
    if theirs.shape != (count,) or theirs.dtype.kind not in "bui":
        raise UsageError(
            f"{where}: holds {theirs.dtype.name} {list(theirs.shape)}; right are {count} classes, or whether each is"
            f" right, in the order of the test images"
        )
    labels = answers.labels(setup.first.cell)
    right = theirs if theirs.dtype.kind == "b" else theirs == labels
    share = 100 * float(np.mean(right))
    if not expected.at_least and abs(share - expected.value) > expected.rounding:
        raise UsageError(
            f"{where}: {share:.2f} % of them are right, and {expected} is claimed; they are of another result, or in"
            " another order"
        )
    return Paired(count, mcnemar(right.astype(int), ours[0].astype(int), np.ones(count, int)))
