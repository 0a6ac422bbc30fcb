"""Training by a protocol's stages: the one loop that every library goes through.

All that is random is drawn here, in NumPy, from the seeds of the cell: the order of the images from
(order, stage, epoch), dropout masks from (order, stage, step). The learning rates of all steps are one
array. A trainer only ever receives finished batches.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, SupportsFloat

import numpy as np

from isotune.data.augmentation import Augmenter
from isotune.errors import UsageError
from isotune.progress import Progress
from isotune.protocols import Stage
from isotune.protocols.schedules import learning_rates
from isotune.runs.records import Seeds
from isotune.weights import HEAD, select_trained
from isotune.workers.disturbance import Disturbance, Watch

if TYPE_CHECKING:
    from isotune.adapters.base import Model

DROPOUT = 0xD409  # separates the masks' streams from the order's


@dataclass
class Training:
    """What the stages gave, seconds by the worker's clock."""

    first_step: float = 0.0  # compilation included; of several stages the sum
    seconds: float = 0.0
    images: int = 0
    losses: list[float] = field(default_factory=list)  # mean of every epoch, nats
    loss_scale: float | None = None  # at the end; None: the loss was not scaled
    skipped_steps: int | None = None  # of all stages
    disturbance: Disturbance | None = None


def sample_order(
    images: int, batch_size: int, drop_last: bool, seeds: Seeds, stage: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Batches of sample indices with their epoch, without end; every epoch is a new permutation."""
    epoch = 0
    while True:
        order = np.random.default_rng([seeds.order, stage, epoch]).permutation(images)
        last = images - batch_size + 1 if drop_last else images
        for start in range(0, last, batch_size):
            yield epoch, order[start : start + batch_size]
        epoch += 1


def dropout_mask(seeds: Seeds, stage: int, step: int, shape: tuple[int, int], rate: float) -> np.ndarray | None:
    """Inverted dropout's mask, float32: 0 with probability `rate`, else 1/(1-rate). None at rate 0."""
    if not rate:
        return None
    kept = np.random.default_rng([seeds.order, stage, step, DROPOUT]).random(shape) >= rate
    return (kept / (1 - rate)).astype(np.float32)


def steps_of(stage: Stage, images: int) -> tuple[int, int]:
    """(steps in all, steps an epoch) of a stage on this many images. UsageError when there is no step."""
    an_epoch = images // stage.batch_size if stage.drop_last else -(-images // stage.batch_size)
    if not an_epoch:
        raise UsageError(
            f"batch_size = {stage.batch_size} with drop_last = true leaves no batch of {images} training images"
        )
    return (stage.steps if stage.steps is not None else stage.epochs * an_epoch), an_epoch  # type: ignore[operator]


def train(
    model: Model, stages: tuple[Stage, ...], augmenter: Augmenter, labels: np.ndarray, seeds: Seeds, progress: Progress
) -> Training:
    """Run all stages on the model. labels: int64 [N], in the order of the augmenter's images."""
    with Watch(model.device_clocks) as watch:
        result = _train(model, stages, augmenter, labels, seeds, progress)
    result.disturbance = watch.seen
    return result


def _train(
    model: Model, stages: tuple[Stage, ...], augmenter: Augmenter, labels: np.ndarray, seeds: Seeds, progress: Progress
) -> Training:
    from isotune.adapters.base import Recipe

    result = Training()
    features = model.weights()[f"{HEAD}.kernel"].shape[0]
    total = sum(steps_of(stage, len(labels))[0] for stage in stages)
    done = epochs = 0
    for number, stage in enumerate(stages):
        steps, an_epoch = steps_of(stage, len(labels))
        rates = learning_rates(stage.schedule, steps, an_epoch)
        trained = frozenset(select_trained(model.layers(), stage.trained))
        trainer = model.trainer(Recipe(stage.optimizer, trained, stage.label_smoothing, stage.batchnorm))
        order = list(islice(sample_order(len(labels), stage.batch_size, stage.drop_last, seeds, number), steps))
        # An epoch's number for the augmentation counts on through the stages: no draw comes twice.
        batches = augmenter.batches([(epochs + epoch, chosen) for epoch, chosen in order], seeds.augmentation)
        epochs += order[-1][0] + 1
        pending: list[SupportsFloat] = []
        began = time.perf_counter()
        for step, ((epoch, chosen), images) in enumerate(zip(order, batches, strict=True)):
            mask = dropout_mask(seeds, number, step, (len(chosen), features), stage.head_dropout)
            pending.append(trainer.step(images, labels[chosen], float(rates[step]), mask))
            if step == 0:
                model.synchronize()
                result.first_step += time.perf_counter() - began
                began = time.perf_counter()
            else:
                result.images += len(chosen)
            if step + 1 == steps or order[step + 1][0] != epoch:
                result.losses.append(float(np.mean([float(loss) for loss in pending])))
                pending.clear()
            done += 1
            progress("training", done, total)
        model.synchronize()
        result.seconds += time.perf_counter() - began
        if (scaling := trainer.loss_scaling()) is not None:
            result.loss_scale = scaling.scale
            result.skipped_steps = (result.skipped_steps or 0) + scaling.skipped
    return result


def logits_in_batches(model: Model, images: np.ndarray, batch_size: int, progress: Progress) -> np.ndarray:
    """[N, classes] in inference mode."""
    parts = []
    for start in range(0, len(images), batch_size):
        parts.append(model.logits(np.ascontiguousarray(images[start : start + batch_size])))
        progress("evaluating", min(start + batch_size, len(images)), len(images))
    return np.concatenate(parts)


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Mean cross-entropy in nats, in float64; None when it is not finite."""
    scores = logits.astype(np.float64)
    scores = scores - scores.max(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", over="ignore"):
        losses = np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(labels)), labels]
        mean = float(losses.mean())
    return mean if np.isfinite(mean) else None
