"""What a loop does to BatchNorm: whose statistics are used and moved, by which momentum, with which variance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from isotune.recordings._reading import Recording
from isotune.recordings.habits._forms import UNITS
from isotune.recordings.habits._updates import share

Array = np.ndarray


def habits(recording: Recording) -> Iterator[dict[str, Any]]:
    """`batchnorm` of trained layers, `frozen_batchnorm`, momentum, epsilon, running variance."""
    moves: dict[bool, dict[str, bool]] = {True: {}, False: {}}  # frozen? -> layer -> whether its statistics moved
    training: dict[bool, set[bool]] = {True: set(), False: set()}
    momenta: list[float] = []
    variances: list[str] = []
    epsilons: list[float] = []
    for step in recording.steps.values():
        before, after = step.tensors("batchnorm-before"), step.tensors("after")
        batches = step.tensors("batchnorm-batches")
        for layer, norm in step.entry.norms.items():
            if f"{layer}.mean" not in before or f"{layer}.mean" not in after:
                continue
            slots = (f"{layer}.mean", f"{layer}.variance")
            went = any(not np.array_equal(before[slot], after[slot]) for slot in slots)
            moves[norm.frozen][layer] = moves[norm.frozen].get(layer, False) or went
            training[norm.frozen].add(norm.training)
            epsilons.append(norm.epsilon)
            if went and layer in batches:
                momentum, variance = _law(layer, before, after, batches[layer], norm.momentum)
                momenta += [] if momentum is None else [momentum]
                variances += [variance] if variance else []
    numbers = tuple(recording.steps)
    yield from _movement(moves, training, numbers)
    if momenta:
        yield _several("batchnorm_momentum", momenta, "BatchNorm's momentum", numbers)
    if epsilons:
        yield _several("batchnorm_epsilon", epsilons, "BatchNorm's epsilon", numbers)
    if variances:
        most, count = Counter(variances).most_common(1)[0]
        value = most if count >= 0.9 * len(variances) else None
        words = f"the running variance is {value or 'biased in some layers, in others not'}"
        yield {"name": "batchnorm_running_variance", "value": value, "words": words, "steps": numbers}


def _movement(
    moves: dict[bool, dict[str, bool]], training: dict[bool, set[bool]], numbers: tuple[int, ...]
) -> Iterator[dict[str, Any]]:
    if frozen := moves[True]:
        moved = [layer for layer, went in frozen.items() if went]
        value = "updates" if moved else "inference"
        words = "frozen BatchNorms stand still, in inference mode"
        if moved:
            words = f"{len(moved)} of {len(frozen)} frozen BatchNorms update their statistics, first {moved[0]}"
        yield {"name": "frozen_batchnorm", "value": value, "words": words, "steps": numbers}
    if free := moves[False]:
        moved = [layer for layer, went in free.items() if went]
        value = "training" if moved else "inference"
        words = ("trained BatchNorms use the batch's statistics" if moved else
                 "trained BatchNorms are in inference mode: their statistics stand still")  # fmt: skip
        if moved and len(moved) < len(free):
            still = next(layer for layer in free if layer not in moved)
            value = "some"
            words = f"{len(free) - len(moved)} of {len(free)} trained BatchNorms stand still, first {still}"
        yield {"name": "batchnorm", "value": value, "words": words, "steps": numbers}


def _law(
    layer: str, before: Mapping[str, Array], after: Mapping[str, Array], batches: Array, declared: float | None
) -> tuple[float | None, str]:
    """The momentum that moved the mean, and which variance moved the other; empty: it cannot be told.

    batches: [passes, 3, C], mean, biased variance and number of values of each pass.
    """
    if len(batches) != 1:
        return declared, ""
    ((mean, variance, count),) = np.asarray(batches, np.float64)
    old, new = (np.asarray(side[f"{layer}.mean"], np.float64) for side in (before, after))
    way = mean - old
    if not (length := float(way @ way)):
        return declared, ""
    momentum = float((new - old) @ way) / length
    if declared is not None and abs(momentum - declared) <= 1e-3 * abs(declared):
        momentum = declared
    old, new = (np.asarray(side[f"{layer}.variance"], np.float64) for side in (before, after))
    n = float(count[0])
    if n < 2:
        return momentum, ""
    unit = UNITS["float32"] * 4 * (np.abs(old) + np.abs(new)) + 1e-6 * momentum * variance
    left = [(new - ((1 - momentum) * old + momentum * variance * factor)) / unit for factor in (1.0, n / (n - 1))]
    told = share([left[0]], [left[1]]).decided
    return momentum, "" if told is None else ("biased", "unbiased")[told]


def _several(name: str, values: list[float], what: str, numbers: tuple[int, ...]) -> dict[str, Any]:
    counts = Counter(float(f"{value:.4g}") for value in values)
    distinct = sorted(counts)
    value: Any = distinct[0] if len(distinct) == 1 else distinct
    words = f"{what} is {', '.join(f'{each:g}' for each in distinct)}"
    return {"name": name, "value": value, "words": words, "steps": numbers}
