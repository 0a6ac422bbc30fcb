"""A training that is killed and gone on from, beside one that is not disturbed: what the adapters' tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np

from isotune import protocols
from isotune.adapters.base import Model
from isotune.data.augmentation import Batch
from isotune.protocols import Optimizer, Schedule, Stage
from isotune.runs import drafts
from isotune.runs.drafts import Draft
from isotune.runs.records import Cell
from isotune.runs.training import Training, train
from isotune.seeds import Seeds
from isotune.weights import random_weights

IMAGES, CLASSES = 14, 5
SEEDS = Seeds(head=1, order=2, augmentation=3)
CELL = Cell(
    model="example:any", checkpoint="random:0", dataset="digits", dataset_digest="0" * 64,
    protocol=protocols.load("quick-fine-tune"), seeds=SEEDS,
)  # fmt: skip


class Killed(Exception):
    pass


class Pictures:
    """Images that are others in every epoch, as augmented ones are."""

    mixes = False

    def __init__(self, size: tuple[int, int]) -> None:
        stream = np.random.default_rng(0)
        self.images = stream.integers(0, 256, (IMAGES, *size, 3), dtype=np.uint8)
        self.labels = stream.integers(0, CLASSES, IMAGES)

    def batches(self, order: Iterable[tuple[int, np.ndarray]], seeds: Seeds) -> Iterator[Batch]:
        for epoch, samples in order:
            yield self.images[samples] ^ np.uint8((37 * epoch + seeds.augmentation) % 256), self.labels[samples]


def stages(*optimizers: Optimizer, trained: Sequence[str] = ("all",), **changes) -> tuple[Stage, ...]:
    """A stage an optimizer, of two epochs whose last batch is short; the rate changes in every step."""
    return tuple(
        Stage(
            **{
                "trained": trained[number % len(trained)], "epochs": 2, "batch_size": 4, "optimizer": optimizer,
                "head_dropout": 0.2, "schedule": Schedule(name="cosine", learning_rate=2.0**-6, warmup_steps=2),
            }
            | changes
        )
        for number, optimizer in enumerate(optimizers)
    )  # fmt: skip


def drawn(model: Model, seed: int) -> Model:
    """The model with all its tensors drawn from a seed."""
    model.load(random_weights({name: array.shape for name, array in model.weights().items()}, seed))
    return model


def differences(
    make: Callable[[int], Model],
    recipe: tuple[Stage, ...],
    folder: Path,
    *,
    size: tuple[int, int] = (17, 14),
    kills: Sequence[int] = (1, 6, 11),
) -> list[str]:
    """What differs at the end of a training that was killed after these steps, and of one that was not; as it should
    be, nothing. make: a model with other tensors for every number, of which all must come from the draft."""
    pictures = Pictures(size)
    kills = [step for step in kills if step < sum(stage.epochs * 4 for stage in recipe) - 1]
    whole = _end(model := make(0), _trained(model, recipe, pictures), pictures)
    for number, step in enumerate(kills):
        assert not _killed(make(number), recipe, pictures, folder, step), f"not killed after step {step}"
    parts = _trained(model := make(len(kills)), recipe, pictures, folder)
    assert parts.resumed == tuple(kills)
    return [name for name, array in _end(model, parts, pictures).items() if whole[name].tobytes() != array.tobytes()]


def _killed(model: Model, recipe: tuple[Stage, ...], pictures: Pictures, folder: Path, last: int) -> bool:
    """Whether a training that is killed when the step after `last` is taken came to its end."""

    def kill(_what: str, done: int, _total: int) -> None:
        if done > last:
            raise Killed

    try:
        _trained(model, recipe, pictures, folder, kill)
    except Killed:
        return False
    return True


def _trained(
    model: Model,
    recipe: tuple[Stage, ...],
    pictures: Pictures,
    folder: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> Training:
    with mock.patch.dict(os.environ, {drafts.VARIABLE: "1e-9"}):  # a draft after every step
        draft = None if folder is None else Draft(folder, CELL)
    return train(model, recipe, pictures, pictures.labels, SEEDS, progress, draft)  # type: ignore[arg-type]


def _end(model: Model, result: Training, pictures: Pictures) -> dict[str, np.ndarray]:
    said = {"losses": result.losses, "scale": result.loss_scale or 0, "skipped": result.skipped_steps or 0}
    kept = {name: np.array(value) for name, value in said.items()}
    return {**kept, **model.weights(), "logits": model.logits(pictures.images)}
