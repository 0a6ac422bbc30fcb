"""Faults of what a trainer is given: which images, in which order, with which labels. They plant in any adapter."""

from __future__ import annotations

from typing import Any

import numpy as np

from isotune_planted.faults import ANY, USUAL, fault

Array = np.ndarray
KERAS = ("MobileNetV2", "EfficientNetB0")
EITHER, EVERY = (*USUAL, *KERAS), (*ANY, *KERAS)


@fault("one step", target="batch", models=EVERY)
def labels_of_the_neighbours(images: Array, labels: Array, memory: dict[str, Any]) -> tuple[Array, Array]:
    return images, np.roll(labels, 1)


@fault("one step", target="batch", models=EVERY)
def images_reversed_without_labels(images: Array, labels: Array, memory: dict[str, Any]) -> tuple[Array, Array]:
    return np.ascontiguousarray(images[::-1]), labels


@fault("BatchNorm buffers", target="batch", models=EITHER)
def last_image_left_out(images: Array, labels: Array, memory: dict[str, Any]) -> tuple[Array, Array]:
    return images[:-1], labels[:-1]


@fault("BatchNorm buffers", target="batch", models=EITHER)
def drawn_with_replacement(images: Array, labels: Array, memory: dict[str, Any]) -> tuple[Array, Array]:
    """One image comes twice, in another's place."""
    places = np.arange(len(images))
    places[-1] = 0
    return images[places], labels[places]


@fault("BatchNorm buffers", target="batch", models=EITHER)
def images_mirrored(images: Array, labels: Array, memory: dict[str, Any]) -> tuple[Array, Array]:
    return np.ascontiguousarray(images[:, :, ::-1]), labels


@fault("drift", target="batch", models=EVERY)
def previous_batch_again(images: Array, labels: Array, memory: dict[str, Any]) -> tuple[Array, Array]:
    """One step late: the first batch is trained on twice, the last never."""
    given = memory.get("last", (images, labels))
    memory["last"] = (images, labels)
    return given


@fault("drift", target="batch", models=EVERY)
def first_batch_for_ever(images: Array, labels: Array, memory: dict[str, Any]) -> tuple[Array, Array]:
    return memory.setdefault("first", (images, labels))


@fault("drift", target="batch", models=EVERY)
def labels_one_batch_late(images: Array, labels: Array, memory: dict[str, Any]) -> tuple[Array, Array]:
    given = memory.get("labels", labels)
    memory["labels"] = labels
    return images, given
