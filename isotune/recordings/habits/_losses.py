"""How the loss is made of the logits: mean or sum, smoothing, an L2 part, and what several passes before one step add
up to.

Of cross-entropy with smoothing a over K classes, weighted by c: dloss/dlogits = c * (softmax - (1-a) * one_hot - a/K),
linear in c and c*a. Where the gradient was not seen, the loss itself is held against the formula, with the labels that
were told, of one class or of several. What the loss has beyond it in every step alike, as a multiple of the sum of all
squared kernels or weights, is L2 inside of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from isotune.recordings._format import Pass, TensorEntry
from isotune.recordings._reading import RecordedStep, Recording
from isotune.recordings.habits import _mixtures
from isotune.recordings.habits._mixtures import Mixture
from isotune.weights import HEAD

Array = np.ndarray
_FITS = 1e-3  # of the largest gradient, of a weight
_ROUNDING = 1e-5  # of a loss in float32, relative
_UNIT = 4 * 2.0**-23  # the same, of its sum alone
_SHARP = 2e-3  # of a smoothing, which people give in percent


class Weighed(NamedTuple):
    """One pass: the weight of each image's loss, times the images; None: not seen. And the smoothing."""

    weight: float | None
    smoothing: float | None
    words: str = ""
    beyond: float = 0.0  # of the loss that was told, over the cross-entropy
    mixture: Mixture | None = None  # of two classes an image, where its labels are no hard or smoothed ones


def habits(recording: Recording) -> Iterator[dict[str, Any]]:
    """Label smoothing, reduction, accumulation."""
    seen = {number: [_weighed(step, place, each) for place, each in enumerate(step.entry.passes)]
            for number, step in recording.steps.items()}  # fmt: skip
    seen = _as_mixtures(seen)
    known = {number: [each for each in passes if each] for number, passes in seen.items()}
    known = {number: passes for number, passes in known.items() if passes and len(passes) == len(seen[number])}
    if not known:
        return
    numbers = tuple(known)
    exact = all(entry.dtype in ("float32", "float64") for entry in recording.about.tensors)  # so is the loss
    if exact and (penalty := _penalty(recording, known)) is not None:
        yield penalty
        known = {number: [_without_penalty(each) for each in passes] for number, passes in known.items()}
    flat = [each for passes in known.values() for each in passes]
    if mixtures := [each.mixture for each in flat if each.mixture is not None]:
        yield from _mixtures.habits(mixtures, len(flat))
    if smoothings := [each.smoothing for each in flat if each.smoothing is not None]:
        value = round(float(np.median(smoothings)), 4) + 0.0
        words = f"labels are smoothed by {value:g}" if value else "labels are not smoothed"
        yield {"name": "label_smoothing", "value": value, "words": words, "steps": numbers}
    more = max((each.beyond for each in flat if each.weight is not None and abs(each.weight - 1) < _FITS), default=0.0)
    if exact and more and len(flat) == len(known):
        words = f"the loss is {more:.6g} more than cross-entropy: it has another part"
        yield {"name": "loss", "value": "other", "words": words, "steps": numbers}
    elif strange := next((each.words for each in flat if each.words), ""):
        yield {"name": "loss", "value": "other", "words": strange, "steps": numbers}
    if any(each.weight is None for each in flat):
        return
    count = max(len(passes) for passes in known.values())
    weights = [float(np.median([each.weight or 0.0 for each in passes])) for passes in known.values()]
    yield from _reduction(weights, count, recording, numbers)


def _as_mixtures(seen: Mapping[int, list[Weighed | None]]) -> dict[int, list[Weighed | None]]:
    """Passes that may be of mixtures as such, where one of them can be nothing else."""
    mixtures = [each.mixture for passes in seen.values() for each in passes if each and each.mixture]
    shows = any(mixture.shows for mixture in mixtures)

    def of(each: Weighed | None) -> Weighed | None:
        if each is None or each.mixture is None:
            return each
        mixture = each.mixture
        return Weighed(mixture.weight, mixture.smoothing, mixture=mixture) if shows else each._replace(mixture=None)

    return {number: [of(each) for each in passes] for number, passes in seen.items()}


def _penalty(recording: Recording, known: Mapping[int, list[Weighed]]) -> dict[str, Any] | None:
    """`regularization`: what a coupled weight decay would have to be. None: there is no such part, or a step has
    several passes, of which nobody knows which has it."""
    beyond = {number: passes[0].beyond for number, passes in known.items() if len(passes) == 1}
    if len(beyond) != len(known) or not all(part > 0 for part in beyond.values()):
        return None
    for what, entries in _PENALIZED.items():
        chosen = [entry.name for entry in recording.about.tensors if not entry.buffer and entries(entry)]
        squares = {number: _squares(recording.steps[number].tensors("before"), chosen) for number in beyond}
        if not all(squares.values()):
            continue
        factors = np.array([part / squares[number] for number, part in beyond.items()])
        digits = 3 if len(factors) > 2 else 2  # as somebody typed it, or half of that: of few steps anything fits
        typed = [float(f"{part * np.median(factors):.{digits}g}") / part for part in (1, 2)]
        if factor := next((each for each in typed if np.abs(factors - each).max() <= _FITS * each), 0.0):
            words = f"the loss has an L2 part, {factor:g} * sum(w^2) of {what} (a coupled decay of {2 * factor:g})"
            return {"name": "regularization", "value": 2 * factor, "words": words, "steps": tuple(known)}
    return None


_PENALIZED: Mapping[str, Callable[[TensorEntry], bool]] = {
    "kernels": lambda entry: entry.slot == "kernel", "all weights": lambda entry: True,
    "kernels, the classifier's left out": lambda entry: entry.slot == "kernel" and entry.layer != HEAD,
}  # fmt: skip


def _squares(tensors: Mapping[str, Array], names: list[str]) -> float:
    """Sum of all squared values; 0 where one is not there."""
    if not names or any(name not in tensors for name in names):
        return 0.0
    return float(sum(np.square(np.asarray(tensors[name], np.float64)).sum() for name in names))


def _without_penalty(each: Weighed) -> Weighed:
    return Weighed(each.weight, each.smoothing if each.weight is not None else 0.0)


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
        weighed = _from_gradient(logits, gradient, labels, each.loss)
        mixture = _mixture(logits, gradient, each, len(step.entry.passes)) if weighed.weight is None else None
        return weighed._replace(mixture=mixture)
    if each.loss is None:
        return None
    targets = _of(outputs, place, "targets")
    if targets is not None and targets.shape == logits.shape and _are_shares(targets):
        return _from_targets(logits, targets, each)
    if labels is not None and labels.max() < logits.shape[1]:
        return _from_loss(logits, np.eye(logits.shape[1])[labels], each.loss)
    return None


def _of(outputs: Mapping[str, Array], place: int, what: str) -> Array | None:
    name = f"{place}/{what}"
    return np.asarray(outputs[name], np.float64) if name in outputs else None


def _from_gradient(logits: Array, gradient: Array, labels: Array | None, loss: float | None) -> Weighed:
    classes = logits.shape[1]
    shares = _softmax(logits)
    known = labels is not None and labels.max() < classes
    labels = gradient.argmin(1) if labels is None or not known else labels
    hot = np.eye(classes)[labels]
    columns = np.stack([(shares - hot).reshape(-1), (hot - 1 / classes).reshape(-1)], 1)
    (weight, smoothed), *_ = np.linalg.lstsq(columns, gradient.reshape(-1), rcond=None)
    left = np.abs(columns @ (weight, smoothed) - gradient.reshape(-1)).max()
    if left > _FITS * np.abs(gradient).max():
        return Weighed(None, None, "the loss is not cross-entropy of hard or smoothed labels, each image alike"
                       f" (its gradient is off by {left / np.abs(gradient).max():.1%})")  # fmt: skip
    smoothing = smoothed / weight if weight else 0.0
    smoothing = smoothing if abs(smoothing) > 1e-4 else 0.0
    if not 0 <= smoothing < 1:  # near zero, logits that are divided by a number look like this
        return Weighed(None, None, "the loss is not cross-entropy of the logits as they are")
    beyond = 0.0
    if known and loss is not None:
        logarithms = np.log(np.maximum(shares, 1e-300))
        target = (1 - smoothing) * hot + smoothing / classes
        plain = -weight * float((target * logarithms).sum())
        beyond = loss - plain if abs(loss - plain) > _ROUNDING * max(abs(plain), 1e-3) else 0.0
    return Weighed(weight * len(logits), smoothing, beyond=beyond)


def _mixture(logits: Array, gradient: Array, each: Pass, passes: int) -> Mixture | None:
    return _with_images(_mixtures.of_gradient(_softmax(logits), gradient, passes), each)


def _with_images(mixture: Mixture | None, each: Pass) -> Mixture | None:
    if mixture is None or each.batch is None:
        return mixture
    whole = _mixtures.whole_bytes(each.batch)
    return replace(mixture, pixels=math.prod(each.batch.shape[1:3]) if len(whole) else 0, whole=whole)


def _softmax(logits: Array) -> Array:
    shares: Array = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    return shares


def _are_shares(rows: Array, atol: float = 1e-3) -> bool:
    return bool((rows >= -atol).all() and np.allclose(rows.sum(1), 1, atol=atol))


def _from_targets(logits: Array, targets: Array, each: Pass) -> Weighed | None:
    """Of labels that are shares of classes [N, K], smoothed further in the loss, perhaps."""
    assert each.loss is not None
    weighed = _from_loss(logits, targets, each.loss)
    if weighed.smoothing is None:
        return weighed
    smoothed = (1 - weighed.smoothing) * targets + weighed.smoothing / targets.shape[1]
    mixture = _with_images(_mixtures.of_targets(smoothed), each)
    if mixture is None:
        return Weighed(None, None, "" if targets.shape[1] < _mixtures.FEWEST else
                       "the labels are neither of one class nor mixtures of two")  # fmt: skip
    return Weighed(None, mixture.smoothing, mixture=mixture if mixture.mixed.any() else None)


def _from_loss(logits: Array, targets: Array, loss: float) -> Weighed:
    """targets: float64 [N, K], rows that sum to 1."""
    if (logits >= 0).all() and _are_shares(logits):  # probabilities already
        logarithms = np.log(np.clip(logits, 1e-30, None))
    else:
        shares = logits - logits.max(1, keepdims=True)
        logarithms = shares - np.log(np.exp(shares).sum(1, keepdims=True))
    hard = -float((targets * logarithms).sum(1).mean())
    even = -float(logarithms.mean())
    if abs(loss - hard) <= _ROUNDING * max(abs(hard), 1e-3):
        return Weighed(None, 0.0)
    if even == hard:
        return Weighed(None, None)
    smoothing, error = (loss - hard) / (even - hard), _UNIT * max(abs(hard), abs(even)) / abs(even - hard)
    if error > _SHARP and -error < smoothing < 1 + error:  # labels that are nearly even: rounding hides the smoothing
        return Weighed(None, None)
    in_percent = 100 * smoothing
    if 0 < smoothing < 1 and abs(in_percent - round(in_percent)) < max(1e-2, 100 * error):
        return Weighed(None, round(float(smoothing), 2))
    words = f"the loss is {loss:.6g} where cross-entropy is {hard:.6g}: it has another part, or weights"
    return Weighed(None, None, words, loss - hard)
