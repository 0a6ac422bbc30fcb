"""How much of the spread over seeds is training, and how much the finite test set."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from isotune.statistics._estimates import too_few


@dataclass(frozen=True)
class VarianceSplit:
    """Variances of the accuracy (0..1) over seeds: observed = test_set + training. None: `reason` says why."""

    seeds: int
    images: int
    observed: float | None  # k - 1 in the denominator
    test_set: float | None
    training: float | None  # unbiased, so that it can fall below zero; that means: none was found
    reason: str

    @property
    def training_sd(self) -> float | None:
        """Standard deviation of the accuracy that an endless test set would show; 0 where none was found."""
        return None if self.training is None else sqrt(max(self.training, 0.0))


def split_variance(correct: np.ndarray) -> VarianceSplit:
    """Jordan's split of the variance over seeds (arXiv 2304.01910, ICLR 2024), from which images each run got right.

    With q_i the share of the k runs that get image i of n right, runs whose errors on different images are independent
    would have an accuracy of variance

        test_set = 1/n^2 * sum_i q_i (1 - q_i) * k/(k-1)        (k/(k-1): q_i comes from the same k runs)

    and training = observed - test_set is the rest: runs that are better or worse as a whole. It equals the mean
    covariance between images, so that it estimates the variance that an endless test set would show (times 1 - 1/n).

    This is about spread over seeds. How far the accuracy is from that on other images is `wilson`'s question.

    correct: [seeds, images], 0 or 1, or bool; a row with NaN is a run that failed. Variances are of accuracies in 0..1.
    Errors: ValueError for another shape, or other values.
    """
    hits = np.asarray(correct, dtype=np.float64)
    if hits.ndim != 2:
        raise ValueError(f"correct must be [seeds, images], not {hits.shape}")
    seeds, images = hits.shape
    reason = too_few(hits.mean(axis=1)) if images else "no images"
    if reason:
        return VarianceSplit(seeds, images, None, None, None, reason)
    if not np.isin(hits, (0, 1)).all():
        raise ValueError("correct must hold 0 (wrong) and 1 (right) only")
    observed = float(hits.mean(axis=1).var(ddof=1))
    test_set = float(hits.var(axis=0, ddof=1).sum()) / images**2  # q (1 - q) k/(k-1) is the sample variance of 0 and 1
    return VarianceSplit(seeds, images, observed, test_set, observed - test_set, "")
