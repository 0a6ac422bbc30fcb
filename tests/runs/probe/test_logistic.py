"""The classifier of the probe is scikit-learn's solution, found sooner, in whatever coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ortho_group
from sklearn.linear_model import LogisticRegression

from isotune.protocols import Probe
from isotune.runs import logistic, probe
from isotune.seeds import Seeds


def clouds(images: int, features: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of few shapes of falling size, as a network's: float32 [images, features] of both parts, and labels."""
    stream = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    shapes = stream.normal(size=(30, features)) * np.geomspace(1, 1e-2, 30)[:, np.newaxis]
    centres = stream.normal(size=(classes, 30))
    train, test = (
        np.maximum((centres[labels] + stream.normal(size=(images, 30))) @ shapes / 5, 0).astype(np.float32)
        for _ in range(2)
    )
    return train, test, labels


def exact(train: np.ndarray, test: np.ndarray, labels: np.ndarray, l2: float) -> np.ndarray:
    """Scores of scikit-learn, with a fine tolerance."""
    model = LogisticRegression(C=1 / (l2 * len(labels)), max_iter=100_000, tol=1e-9)
    scores = model.fit(train.astype(np.float64), labels).decision_function(test.astype(np.float64))
    return level(np.stack([-scores / 2, scores / 2], axis=1) if scores.ndim == 1 else scores)


def level(scores: np.ndarray) -> np.ndarray:
    """Scores of which only differences count."""
    return scores - scores.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("l2", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize(
    ("images", "features", "classes"), [(60, 200, 3), (200, 60, 5), (80, 80, 2), (60, 200, 2)], ids=str
)
def test_the_solution_is_scikit_learns(images: int, features: int, classes: int, l2: float) -> None:
    train, test, labels = clouds(images, features, classes)
    there = logistic.principal(train, test)
    solution = logistic.solve(there.train, labels, there.variances, l2, 1e-7, 1000)
    np.testing.assert_allclose(level(solution.scores(there.test)), exact(train, test, labels, l2), atol=2e-6 / l2)
    assert solution.iterations < 200


@pytest.mark.parametrize("standardise", [False, True])
@pytest.mark.parametrize("classes", [2, 4])
def test_the_probes_scores_are_within_its_tolerance(classes: int, standardise: bool) -> None:
    train, test, labels = clouds(120, 90, classes)
    fitted = probe.fit(Probe(l2=(1e-2,), standardise=standardise), train, labels, test, classes, Seeds.all(0))
    if standardise:
        mean, sd = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
        sd[sd == 0] = 1
        train, test = (train - mean) / sd, (test - mean) / sd
    np.testing.assert_allclose(level(fitted.logits), exact(train, test, labels, 1e-2), atol=5e-3)


def test_the_axes_do_not_matter() -> None:
    """Neither which they are, nor what is said of the variances along them."""
    train, test, labels = clouds(60, 40, 3)
    turn = ortho_group.rvs(40, random_state=np.random.default_rng(1))
    plain = logistic.solve(train.astype(np.float64), labels, np.ones(40), 1e-2, 1e-9, 2000)
    turned = logistic.solve(train @ turn, labels, np.geomspace(1, 10, 40), 1e-2, 1e-9, 2000)
    np.testing.assert_allclose(level(plain.scores(test)), level(turned.scores(test @ turn)), atol=1e-5)


@pytest.mark.parametrize(("images", "features"), [(50, 200), (200, 50)])
def test_products_of_images_stay_as_they_are(images: int, features: int) -> None:
    train, test, _ = clouds(images, features, 5)
    train[1] = train[0]  # an image twice
    there = logistic.principal(train, test)
    mean = train.mean(axis=0, dtype=np.float64)
    assert there.train.shape[1] <= min(images, features)
    for ours, other in ((there.train, train - mean), (there.test, test - mean)):
        np.testing.assert_allclose(ours @ there.train.T, other @ (train - mean).T, atol=1e-8)
    np.testing.assert_allclose(there.variances, there.train.var(axis=0), atol=1e-10)


def test_features_that_are_all_the_same_tell_nothing_and_do_no_harm() -> None:
    labels = np.array([0, 0, 0, 1])
    there = logistic.principal(np.ones((4, 9)), np.ones((2, 9)))
    solution = logistic.solve(there.train, labels, there.variances, 1e-2, 1e-8, 100)
    scores = solution.scores(there.test)
    np.testing.assert_allclose(scores[:, 0] - scores[:, 1], np.log(3), atol=1e-5)


def test_features_that_are_not_finite_are_said() -> None:
    train, test, labels = clouds(20, 8, 2)
    test[3, 3] = np.nan
    for standardise in (False, True):
        with pytest.raises(ValueError, match="features that are not finite"):
            probe.fit(Probe(l2=(0.1,), standardise=standardise), train, labels, test, 2, Seeds.all(0))
