"""Scores are those of their definitions, and of scikit-learn where it has them."""

from __future__ import annotations

import numpy as np
import pytest

from isotune.runs import scores

STREAM = np.random.default_rng(0)
LOGITS, LABELS = STREAM.normal(size=(300, 7)) * 3, STREAM.integers(0, 6, 300)  # the last class has no image


def test_means_and_table_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    predictions = LOGITS.argmax(axis=1)
    given = scores.scores(LOGITS, LABELS)
    assert given["accuracy"] == pytest.approx(metrics.accuracy_score(LABELS, predictions))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        assert given["mean_per_class"] == pytest.approx(metrics.balanced_accuracy_score(LABELS, predictions))
    assert given["loss"] == pytest.approx(metrics.log_loss(LABELS, softmax(LOGITS), labels=range(7)))
    table = metrics.confusion_matrix(LABELS, predictions, labels=range(7))
    assert scores.confusion(predictions, LABELS, 7).tolist() == table.tolist()


def test_the_calibration_error_is_that_of_fifteen_bins_counted_one_by_one() -> None:
    probability = softmax(LOGITS)
    confidence, right = probability.max(axis=1), LOGITS.argmax(axis=1) == LABELS
    error = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert scores.calibration_error(LOGITS, LABELS) == pytest.approx(error, rel=1e-12)
    sure = np.array([[1e4, 0.0], [0.0, 1e4]])
    assert scores.calibration_error(sure, np.array([0, 1])) == 0
    assert scores.calibration_error(sure, np.array([0, 0])) == 0.5
    assert scores.calibration_error(np.array([[np.nan, 0.0]]), np.array([0])) is None


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)
