"""How the loss is made of the logits: mean or sum, smoothing, and what several passes before one step add up to.

Of cross-entropy with smoothing a over K classes, weighted by c: dloss/dlogits = c * (softmax - (1-a) * one_hot - a/K),
linear in c and c*a. Where the gradient was not seen, the loss itself is held against the formula.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from isotune.recordings._format import Pass
from isotune.recordings._reading import RecordedStep, Recording

Array = np.ndarray
_FITS = 1e-3  # of the largest gradient, of a weight


class Weighed(NamedTuple):
    """One pass: the weight of each image's loss, times the images; None: not seen. And the smoothing."""

    weight: float | None
    smoothing: float | None
    words: str = ""


def habits(recording: Recording) -> Iterator[dict[str, Any]]:
    """Label smoothing, reduction, accumulation."""
    seen = {number: [_weighed(step, place, each) for place, each in enumerate(step.entry.passes)]
            for number, step in recording.steps.items()}  # fmt: skip
    known = {number: [each for each in passes if each] for number, passes in seen.items()}
    known = {number: passes for number, passes in known.items() if passes and len(passes) == len(seen[number])}
    if not known:
        return
    numbers = tuple(known)
    flat = [each for passes in known.values() for each in passes]
    if smoothings := [each.smoothing for each in flat if each.smoothing is not None]:
        value = round(float(np.median(smoothings)), 4) + 0.0
        words = f"labels are smoothed by {value:g}" if value else "labels are not smoothed"
        yield {"name": "label_smoothing", "value": value, "words": words, "steps": numbers}
    if strange := next((each.words for each in flat if each.words), ""):
        yield {"name": "loss", "value": "other", "words": strange, "steps": numbers}
    if any(each.weight is None for each in flat):
        return
    count = max(len(passes) for passes in known.values())
    weights = [float(np.median([each.weight or 0.0 for each in passes])) for passes in known.values()]
    yield from _reduction(weights, count, recording, numbers)


def _reduction(
    weights: list[float], count: int, recording: Recording, numbers: tuple[int, ...]
) -> Iterator[dict[str, Any]]:
    weight = float(np.median(weights))
    images = {each.batch.shape[0] for step in recording.steps.values() for each in step.entry.passes if each.batch}
    divided = count > 1 and abs(weight * count - 1) < _FITS
    whole = abs(weight - 1) < _FITS
    if divided:
        words = f"{count} passes make a step, and each loss is divided by {count}: the mean over all images"
        yield {"name": "accumulation", "value": "divided", "words": words, "steps": numbers}
    elif count > 1 and whole:
        words = (
            f"{count} passes make a step, and their losses are not divided: the gradient is {count} times the mean's"
        )
        yield {"name": "accumulation", "value": "summed", "words": words, "steps": numbers}
    value: Any = round(weight, 6)
    words = f"the loss is {weight:.6g} times the mean over a pass's images"
    if divided or whole:
        value, words = "mean", "the loss is the mean over a pass's images"
    elif len(images) == 1 and abs(weight - next(iter(images))) < _FITS * weight:
        value, words = "sum", "the loss is the sum over a pass's images"
    yield {"name": "loss_reduction", "value": value, "words": words, "steps": numbers}


def _weighed(step: RecordedStep, place: int, each: Pass) -> Weighed | None:
    outputs = step.tensors("outputs")
    logits = _of(outputs, place, "logits")
    if logits is None or logits.ndim != 2 or logits.shape[1] < 2:
        return None
    gradient = _of(outputs, place, "gradient")
    labels = None if each.labels is None or len(each.labels) != len(logits) else np.array(each.labels)
    if gradient is not None and np.abs(gradient).max() > 0:
        return _from_gradient(logits, gradient, labels)
    if labels is not None and each.loss is not None and labels.max() < logits.shape[1]:
        return _from_loss(logits, labels, each.loss)
    return None


def _of(outputs: Mapping[str, Array], place: int, what: str) -> Array | None:
    name = f"{place}/{what}"
    return np.asarray(outputs[name], np.float64) if name in outputs else None


def _from_gradient(logits: Array, gradient: Array, labels: Array | None) -> Weighed:
    classes = logits.shape[1]
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    labels = gradient.argmin(1) if labels is None or labels.max() >= classes else labels
    hot = np.eye(classes)[labels]
    columns = np.stack([(shares - hot).reshape(-1), (hot - 1 / classes).reshape(-1)], 1)
    (weight, smoothed), *_ = np.linalg.lstsq(columns, gradient.reshape(-1), rcond=None)
    left = np.abs(columns @ (weight, smoothed) - gradient.reshape(-1)).max()
    if left > _FITS * np.abs(gradient).max():
        return Weighed(None, None, "the loss is not cross-entropy of hard or smoothed labels, each image alike"
                       f" (its gradient is off by {left / np.abs(gradient).max():.1%})")  # fmt: skip
    smoothing = smoothed / weight if weight else 0.0
    return Weighed(weight * len(logits), smoothing if abs(smoothing) > 1e-4 else 0.0)


def _from_loss(logits: Array, labels: Array, loss: float) -> Weighed | None:
    shares = logits - logits.max(1, keepdims=True)
    if (logits >= 0).all() and np.allclose(logits.sum(1), 1, atol=1e-3):  # probabilities already
        logarithms = np.log(np.clip(logits, 1e-30, None))
    else:
        logarithms = shares - np.log(np.exp(shares).sum(1, keepdims=True))
    hard = -float(logarithms[np.arange(len(labels)), labels].mean())
    even = -float(logarithms.mean())
    if abs(loss - hard) <= 1e-5 * max(abs(hard), 1e-3):
        return Weighed(None, 0.0)
    smoothing = (loss - hard) / (even - hard) if even != hard else np.nan
    in_percent = 100 * smoothing
    if np.isfinite(smoothing) and 0 < smoothing < 1 and abs(in_percent - round(in_percent)) < 1e-2:
        return Weighed(None, round(float(smoothing), 2))
    words = f"the loss is {loss:.6g} where cross-entropy is {hard:.6g}: it has another part, or weights"
    return Weighed(None, None, words)
