"""What a model's logits are worth, against the classes that the images have: pure functions in NumPy.

logits are [N, classes], labels int64 [N]. Of equal logits the earlier counts as greater, as `argmax` has it.

| score | what |
|---|---|
| accuracy | share of the images whose class has the greatest logit |
| top-5 | share of those whose class is among the five greatest |
| mean per-class accuracy | mean over the classes of the share that is right of each: what Caltech-101, Flowers and Pets are published in |
| loss | mean cross-entropy, nats |
| calibration error | expected calibration error: |accuracy - mean confidence| of each of 15 bins of equal width, weighted by its images (Guo et al. 2017, equation 3) |
| confusion | images of each class that were given each class |
"""  # noqa: E501

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 15  # Guo et al. 2017, section 5


def scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """The fields of `records.Metrics` that logits and labels decide. A class without images counts in no mean."""
    predictions = logits.argmax(axis=1)
    return {
        "accuracy": float((predictions == labels).mean()),
        "mean_per_class": mean_per_class(predictions, labels),
        "loss": cross_entropy(logits, labels),
        "calibration_error": calibration_error(logits, labels),
        "test_images": len(labels),
    }


def top5(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Share (0..1) of images whose class is among the five greatest logits; None for five classes or fewer. NaN is
    greater than any, and never right."""
    if logits.shape[1] <= 5:
        return None
    own = np.take_along_axis(logits, labels[:, np.newaxis], axis=1)
    earlier = (logits == own) & (np.arange(logits.shape[1]) < labels[:, np.newaxis])
    return float(np.mean((~(own >= logits) | earlier).sum(axis=1) < 5))


def mean_per_class(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that have images of the share of their images that is right, 0..1: scikit-learn's
    `balanced_accuracy_score`."""
    images = np.bincount(labels)
    right = np.bincount(labels[predictions == labels], minlength=len(images))
    return float(np.mean(right[images > 0] / images[images > 0]))


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Mean cross-entropy in nats, in float64; None when it is not finite."""
    shifted = _shifted(logits)
    with np.errstate(invalid="ignore", over="ignore"):
        losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
        mean = float(losses.mean())
    return mean if np.isfinite(mean) else None


def calibration_error(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Expected calibration error, 0..1, of the softmax of the logits, in float64; None when it is not finite.

    The bins are ((b - 1) / 15, b / 15]; the confidence is that of the class predicted.
    """
    confidence = 1 / np.exp(_shifted(logits)).sum(axis=1)
    if not np.isfinite(confidence).all():
        return None
    right = logits.argmax(axis=1) == labels
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(labels))


def confusion(predictions: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """int64 [classes, classes]: how many images of the row's class were given the column's."""
    counts: np.ndarray = np.bincount(labels * classes + predictions, minlength=classes * classes)
    return counts.reshape(classes, classes)


def _shifted(logits: np.ndarray) -> np.ndarray:
    """float64, the greatest of each image 0."""
    values = logits.astype(np.float64)
    with np.errstate(invalid="ignore"):
        return values - values.max(axis=1, keepdims=True)  # type: ignore[no-any-return]
