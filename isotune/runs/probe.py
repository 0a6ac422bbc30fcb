"""The linear probe: logistic regression on frozen features.

Features depend on the model, its checkpoint, its network axes and the images, and on no seed: they are
computed once, kept in the cache under a key of all that, and shared by all seeds and protocols. The
classifier is scikit-learn's L-BFGS in float64, the same for every library. Its solution is unique, so
what differs between two runs comes from their features, or from the held-out part that the seed drew.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from isotune import cache, sealing
from isotune.errors import UsageError
from isotune.progress import Progress
from isotune.protocols import Probe
from isotune.runs.records import Seeds
from isotune.workers.disturbance import Disturbance, Watch

if TYPE_CHECKING:
    from isotune.adapters.base import Model

# Greatest component of L-BFGS's gradient (scikit-learn's `tol`). The final fit's is the finer one, so that features
# that differ in their last digits give the same classes.
SWEEP_TOLERANCE, FINAL_TOLERANCE = 1e-4, 1e-5


@dataclass(frozen=True)
class Features:
    train: np.ndarray  # float32 or float64 [N, D]
    test: np.ndarray
    first_batch: float  # seconds, compilation included
    seconds: float  # of the batches after it
    images: int  # that went through those batches
    cached: bool
    disturbance: Disturbance | None  # what else the machine did meanwhile; None: unknown


def features(
    model: Model, train: np.ndarray, test: np.ndarray, batch_size: int, identity: dict[str, Any], progress: Progress
) -> Features:
    """Features of both splits, from the cache when `identity` was computed before.

    train, test: uint8 [N, H, W, 3]. identity: everything that the features depend on, JSON.
    """
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    now: list[Features] = []

    def build(folder: Path) -> None:
        with Watch(model.device_clocks) as watch:
            now.append(replace(_extracted(model, train, test, batch_size, progress), disturbance=watch.seen))
        _write(now[0], folder)

    folder = sealing.made(cache.folder("features") / key, build)
    return now[0] if now else _read(folder)


def _write(features: Features, folder: Path) -> None:
    np.save(folder / "train.npy", features.train, allow_pickle=False)
    np.save(folder / "test.npy", features.test, allow_pickle=False)
    assert features.disturbance is not None
    about = {name: getattr(features, name) for name in ("first_batch", "seconds", "images")}
    about["disturbance"] = features.disturbance.model_dump(mode="json")
    (folder / "about.json").write_text(json.dumps(about), encoding="utf-8")


def _read(folder: Path) -> Features:
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    return Features(
        np.load(folder / "train.npy", allow_pickle=False),
        np.load(folder / "test.npy", allow_pickle=False),
        **about | {"disturbance": Disturbance.model_validate(about["disturbance"]), "cached": True},
    )


def _extracted(model: Model, train: np.ndarray, test: np.ndarray, batch_size: int, progress: Progress) -> Features:
    total, done, first, images = len(train) + len(test), 0, 0.0, 0
    parts: dict[str, list[np.ndarray]] = {"train": [], "test": []}
    began = time.perf_counter()
    for split, source in (("train", train), ("test", test)):
        for start in range(0, len(source), batch_size):
            batch = np.ascontiguousarray(source[start : start + batch_size])
            parts[split].append(model.features(batch))
            if not done:
                first = time.perf_counter() - began
                began = time.perf_counter()
            else:
                images += len(batch)
            done += len(batch)
            progress("features", done, total)
    seconds = time.perf_counter() - began
    return Features(np.concatenate(parts["train"]), np.concatenate(parts["test"]), first, seconds, images, False, None)


@dataclass(frozen=True)
class Fitted:
    logits: np.ndarray  # float64 [test images, classes]
    l2: float  # the strength chosen
    seconds: float
    train_images: int  # that the final classifier saw


def fit(probe: Probe, train: np.ndarray, labels: np.ndarray, test: np.ndarray, classes: int, seeds: Seeds) -> Fitted:
    """Choose the L2 strength on a held-out part, by cross-entropy, and score the test features.

    train: [N, D], labels: int64 [N] in 0..classes-1, test: [M, D]. A class that the training part lacks
    gets the score -inf. UsageError: every
    class has one image, so that nothing can be held out.
    """
    # one thread, so that the result does not depend on their number
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # a strength that does not converge within max_iterations competes all the same
        warnings.filterwarnings("ignore", "lbfgs failed to converge")
        return _fit(probe, train, labels, test, classes, seeds)


def _fit(probe: Probe, train: np.ndarray, labels: np.ndarray, test: np.ndarray, classes: int, seeds: Seeds) -> Fitted:
    began = time.perf_counter()
    fitted_on, held_out = _split(labels, probe.held_out, seeds.order)
    final = np.arange(len(labels)) if probe.refit else fitted_on
    best, begin = _choose(probe, train[fitted_on], labels[fitted_on], train[held_out], labels[held_out])
    scale = _Standard(train[final], probe.standardise)
    model = _logistic(probe, best, len(final), FINAL_TOLERANCE, begin).fit(scale(train[final]), labels[final])
    scores = model.decision_function(scale(test))
    if scores.ndim == 1:  # two classes: scikit-learn gives one score
        scores = np.stack([-scores / 2, scores / 2], axis=1)
    logits = np.full((len(test), classes), -np.inf)
    logits[:, model.classes_] = scores
    return Fitted(logits, best, time.perf_counter() - began, len(final))


class _Standard:
    """Features in float64 with mean 0 on the training part, and variance 1 when asked (constant ones to 0).

    Centring alone changes no solution, since the intercept is not penalised; it spares L-BFGS iterations.
    """

    def __init__(self, train: np.ndarray, standardise: bool) -> None:
        sd = train.std(axis=0, dtype=np.float64)
        self._mean = train.mean(axis=0, dtype=np.float64)
        self._factor = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 1e-12) if standardise else 1.0

    def __call__(self, features: np.ndarray) -> np.ndarray:
        scaled: np.ndarray = (features.astype(np.float64) - self._mean) * self._factor
        return scaled


def _choose(
    probe: Probe, train: np.ndarray, labels: np.ndarray, held_out: np.ndarray, truth: np.ndarray
) -> tuple[float, Any]:
    """The L2 strength with the lowest held-out cross-entropy, and the classifier that it gave.

    Not the highest accuracy: it ties, and then a rounding of the features decides. Strengths are tried from the
    strongest down, each fit starting where the one before it ended.
    """
    from sklearn.metrics import log_loss

    scale = _Standard(train, probe.standardise)
    train, held_out = scale(train), scale(held_out)
    least, best = np.inf, max(probe.l2)
    model = chosen = None
    for l2 in sorted(probe.l2, reverse=True):
        model = _logistic(probe, l2, len(labels), SWEEP_TOLERANCE, model).fit(train, labels)
        loss = log_loss(truth, model.predict_proba(held_out), labels=model.classes_)
        if loss < least:
            least, best, chosen = loss, l2, model
    return best, chosen


def _split(labels: np.ndarray, held_out: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(fitted, held-out) indices, stratified; a class of one image stays in the fitted part."""
    stream = np.random.default_rng([seed, 0x9806E])
    held: list[np.ndarray] = []
    for label in np.unique(labels):
        members = stream.permutation(np.flatnonzero(labels == label))
        held.append(members[: min(len(members) - 1, max(1, round(held_out * len(members))))])
    chosen = np.sort(np.concatenate(held)).astype(np.int64)
    if not len(chosen):
        raise UsageError("probe.held_out: no class has two training images, so none can be held out; give more")
    return np.setdiff1d(np.arange(len(labels)), chosen), chosen


def _logistic(probe: Probe, l2: float, images: int, tolerance: float, begin: Any) -> Any:
    """An unfitted classifier that starts from another's solution."""
    from sklearn.linear_model import LogisticRegression

    # scikit-learn minimises sum(loss) + |W|^2/(2C); ours is mean(loss) + l2/2*|W|^2, hence C = 1/(l2*N).
    model = LogisticRegression(C=1 / (l2 * images), max_iter=probe.max_iterations, tol=tolerance, warm_start=True)
    if begin is not None:
        model.coef_, model.intercept_, model.classes_ = begin.coef_.copy(), begin.intercept_.copy(), begin.classes_
    return model
