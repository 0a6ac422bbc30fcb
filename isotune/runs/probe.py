"""The linear probe: logistic regression on frozen features.

Features depend on the model, its checkpoint, its network axes and the images, and on no seed: they are
computed once, kept in the cache under a key of all that, and shared by all seeds and protocols. The
classifier is fitted in float64 (`logistic`), the same for every library. Its solution is unique, so
what differs between two runs comes from their features, or from the held-out part that the seed drew.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from isotune import cache, sealing
from isotune.progress import Progress
from isotune.protocols import Probe
from isotune.runs.logistic import Coordinates, Solution, finite, principal, solve
from isotune.runs.scores import cross_entropy
from isotune.runs.selection import holding_out
from isotune.seeds import Seeds
from isotune.workers.disturbance import Disturbance, Watch

if TYPE_CHECKING:
    from isotune.adapters.base import Model

# Of the gradient (`logistic.solve`). The final fit's is the finer one, so that features that differ in their last
# digits give the same classes.
SWEEP_TOLERANCE, FINAL_TOLERANCE = 1e-4, 1e-5
_NEAR = 1e-2  # likewise, on the way


@dataclass(frozen=True)
class Features:
    train: np.ndarray  # float32 or float64 [N, D]
    test: np.ndarray
    first_batch: float  # seconds, compilation included
    seconds: float  # of the batches after it
    images: int  # that went through those batches
    cached: bool
    disturbance: Disturbance | None  # what else the machine did meanwhile; None: unknown


def key(identity: dict[str, Any]) -> str:
    """Of features in the cache. identity: everything that they depend on, JSON."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]


def features(
    model: Model, train: np.ndarray, test: np.ndarray, batch_size: int, identity: dict[str, Any], progress: Progress,
    reset: Callable[[], object] = lambda: None,
) -> Features:  # fmt: skip
    """Features of both splits, from the cache when `identity` was computed before.

    train, test: uint8 [N, H, W, 3]. reset: has the model ready; called where there is something to compute.
    """
    now: list[Features] = []

    def build(folder: Path) -> None:
        reset()
        with Watch(model.device_clocks) as watch:
            now.append(replace(_extracted(model, train, test, batch_size, progress), disturbance=watch.look()))
        _write(now[0], folder)

    with sealing.made(cache.folder("features") / key(identity), build) as folder:
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


class Shared:
    """What the classifiers of one set of features have in common, whatever their seeds: the features along their
    principal axes, and by strength the classifier of all images. Each is made when it is first asked for.

    train: [N, D], labels: int64 [N], test: [M, D].
    """

    def __init__(self, train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> None:
        self.train, self.labels, self.test = train, labels, test
        self._whole: dict[tuple[float, int], Solution] = {}

    @property
    def bytes(self) -> int:
        """At most: of the features, and of them in float64."""
        return self.train.nbytes + self.test.nbytes + 8 * (self.train.size + self.test.size)

    @cached_property
    def axes(self) -> Coordinates:
        return principal(self.train, self.test)

    def whole(self, l2: float, most: int) -> Solution:
        """Under the strength l2, after at most so many iterations."""
        if (l2, most) not in self._whole:
            there = self.axes.train, self.labels, self.axes.variances, l2
            near = solve(*there, _NEAR, most)  # then more is known of the curvature
            self._whole[l2, most] = solve(*there, FINAL_TOLERANCE, most, near)
        return self._whole[l2, most]


def fit(
    probe: Probe, train: np.ndarray, labels: np.ndarray, test: np.ndarray, classes: int, seeds: Seeds,
    shared: Shared | None = None,
) -> Fitted:  # fmt: skip
    """Choose the L2 strength on a held-out part, by cross-entropy, and score the test features.

    train: [N, D], labels: int64 [N] in 0..classes-1, test: [M, D]. shared: of these, from an earlier seed; the result
    is the same without. A class that the training part lacks gets the score -inf. UsageError: every class has one
    image, so that nothing can be held out. ValueError: a feature is not finite.

    The strength is chosen by classifiers that have seen nothing of the held-out part. The final one of a part (`refit`
    is false) starts at that of all images and goes to its own solution, of which there is one.
    """
    with threadpool_limits(limits=1):  # one thread, so that the result does not depend on their number
        began = time.perf_counter()
        fitted_on, held_out = holding_out.split(labels, probe.held_out, seeds.order, "probe.held_out")
        final = np.arange(len(labels)) if probe.refit else fitted_on
        if probe.standardise:
            best, begin = _choose(probe, _standardised(train, test, fitted_on), labels, fitted_on, held_out)
            there = _standardised(train, test, final)
        else:
            shared = shared or Shared(train, labels, test)
            there = shared.axes
            best, _ = _choose(probe, there, labels, fitted_on, held_out)
            begin = shared.whole(best, probe.max_iterations)
        solution = begin
        if solution is None or probe.standardise or not probe.refit:
            solution = solve(
                there.train[final], labels[final], there.variances, best, FINAL_TOLERANCE, probe.max_iterations, begin
            )
        logits = np.full((len(test), classes), -np.inf)
        logits[:, solution.classes] = solution.scores(there.test)
        return Fitted(logits, best, time.perf_counter() - began, len(final))


def _standardised(train: np.ndarray, test: np.ndarray, rows: np.ndarray) -> Coordinates:
    """Features with mean 0 and variance 1 on some rows of the training part, constant ones 0."""
    finite(train, test)
    sd, mean = (getattr(train[rows], moment)(axis=0, dtype=np.float64) for moment in ("std", "mean"))
    factor = np.divide(1.0, sd, out=np.zeros_like(sd), where=sd > 1e-12)
    return Coordinates((train - mean) * factor, (test - mean) * factor, np.ones_like(sd))


def _choose(
    probe: Probe, there: Coordinates, labels: np.ndarray, fitted_on: np.ndarray, held_out: np.ndarray
) -> tuple[float, Solution | None]:
    """The L2 strength with the lowest held-out cross-entropy, and the classifier that it gave; None: it is the only
    one, and none was fitted.

    Not the highest accuracy: it ties, and then a rounding of the features decides. Strengths are tried from the
    strongest down, each fit starting where the one before it ended.
    """
    if len(set(probe.l2)) == 1:
        return probe.l2[0], None
    features, held = there.train[fitted_on], there.train[held_out]
    least, best = np.inf, max(probe.l2)
    solution = chosen = None
    for l2 in sorted(set(probe.l2), reverse=True):
        most = probe.max_iterations  # one that does not converge until then competes all the same
        solution = solve(features, labels[fitted_on], there.variances, l2, SWEEP_TOLERANCE, most, solution)
        loss = cross_entropy(solution.scores(held), np.searchsorted(solution.classes, labels[held_out]))
        if loss is not None and loss < least:
            least, best, chosen = loss, l2, solution
    return best, chosen
