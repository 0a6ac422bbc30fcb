"""Multinomial logistic regression with an L2 penalty, fast enough to be fitted for every seed anew.

    mean cross-entropy (nats) + l2/2 * |W|^2, the intercept free

scikit-learn's L-BFGS solves the same; this one does it in a tenth of the time, since it walks in other coordinates.
The penalty does not change when features are rotated, so they are rotated into their principal axes, once for all
seeds and strengths: of N images no more than N axes are left, and the curvature along each is nearly known, c *
variance + l2. Steps are taken in units of its root, where the problem is nearly round, by SciPy's L-BFGS-B.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_RELIABLE = 1e-13  # of the largest variance; below it an axis is rounding


@dataclass(frozen=True)
class Coordinates:
    """Features along other axes, float64. train: [N, A]; test: [M, A]; variances: [A], of the training part."""

    train: np.ndarray
    test: np.ndarray
    variances: np.ndarray


def finite(*features: np.ndarray) -> None:
    """ValueError: one is not finite."""
    if not all(np.isfinite(each).all() for each in features):
        raise ValueError("the network gives features that are not finite")


def principal(train: np.ndarray, test: np.ndarray) -> Coordinates:
    """Features [N, D] and [M, D] in the principal axes of the first, centred on its mean: at most N axes and at most D.

    Of fewer images than features the axes come from the products of images: distances and angles between images are
    kept to 1e-15 of the largest, whatever becomes of the axes of least variance. ValueError: one is not finite.
    """
    from scipy.linalg import eigh

    finite(train, test)
    mean = train.mean(axis=0, dtype=np.float64)
    centred, tested = train.astype(np.float64) - mean, test.astype(np.float64) - mean
    images, features = centred.shape
    if images > features:
        values, axes = eigh(centred.T @ centred, driver="evd")
        return Coordinates(centred @ axes, tested @ axes, np.maximum(values, 0) / images)
    values, axes = eigh(centred @ centred.T, driver="evd")
    kept = values > _RELIABLE * max(values[-1], np.finfo(float).tiny)
    roots, axes = np.sqrt(values[kept]), axes[:, kept]
    return Coordinates(axes * roots, tested @ (centred.T @ (axes / roots)), roots**2 / images)


@dataclass(frozen=True)
class Solution:
    """kernel: [K, A] and bias: [K], of the classes that were there: int64 [K]. iterations: of L-BFGS."""

    kernel: np.ndarray
    bias: np.ndarray
    classes: np.ndarray
    iterations: int

    def scores(self, features: np.ndarray) -> np.ndarray:
        """[M, K]."""
        scores: np.ndarray = features @ self.kernel.T + self.bias
        return scores


def solve(
    features: np.ndarray, labels: np.ndarray, variances: np.ndarray, l2: float, tolerance: float, most: int,
    begin: Solution | None = None,
) -> Solution:  # fmt: skip
    """The classifier of features [N, A] that minimises the mean cross-entropy and l2/2 * |kernel|^2.

    variances: [A], roughly, which decide the way and not the end. tolerance: of the length of the gradient of each
    class's weights, and so of each of its components, in whatever axes. most: iterations; then it ends where it is.
    begin: of the same classes, where to start; the nearer, the better is what is known of the curvature.

    Two classes have one column, as scikit-learn has it: the kernels are each other's opposite, and the penalty is that
    of their difference.
    """
    from scipy.optimize import minimize

    classes, positions = np.unique(labels, return_inverse=True)
    count, axes, rows = len(classes), features.shape[1], np.arange(len(labels))
    penalty = 2 * l2 if count == 2 else l2
    kernel, bias = (begin.kernel, begin.bias) if begin else (np.zeros((count, axes)), np.zeros(count))
    curvature = _curvature(features @ kernel.T + bias)
    unit, unit_of_bias = 1 / np.sqrt(curvature * variances + penalty), 1 / np.sqrt(curvature)
    steepest = 0.0

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal steepest
        kernel = flat[:-count].reshape(count, axes) * unit
        shares = kernel @ features.T  # [K, N]: the product is faster that way
        shares += flat[-count:, np.newaxis] * unit_of_bias
        shares -= shares.max(axis=0)
        right = shares[positions, rows]
        np.exp(shares, out=shares)
        sums = shares.sum(axis=0)
        loss = float((np.log(sums) - right).mean() + penalty / 2 * np.vdot(kernel, kernel))
        shares /= sums
        shares[positions, rows] -= 1
        shares /= len(rows)
        slope, slope_of_bias = shares @ features, shares.sum(axis=1)
        slope += penalty * kernel
        steepest = max(float(np.sqrt((slope**2).sum(axis=1)).max()), float(np.abs(slope_of_bias).max()))
        return loss, np.concatenate([(slope * unit).ravel(), slope_of_bias * unit_of_bias])

    def arrived(_: np.ndarray) -> None:
        if steepest <= tolerance:
            raise StopIteration

    start = np.concatenate([(kernel / unit).ravel(), bias / unit_of_bias])
    way = {"maxiter": most, "maxfun": 10 * most, "gtol": 0.0, "ftol": 0.0}
    end = minimize(objective, start, jac=True, method="L-BFGS-B", callback=arrived, options=way)
    return Solution(end.x[:-count].reshape(count, axes) * unit, end.x[-count:] * unit_of_bias, classes, int(end.nit))


def _curvature(logits: np.ndarray) -> float:
    """Of the cross-entropy in a logit, on average: p (1 - p), and not nothing."""
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return max(float((shares * (1 - shares)).mean()), 1e-6)
