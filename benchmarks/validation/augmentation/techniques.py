"""The techniques that are measured, each as isotune, torchvision's v2 transforms and Keras's layers have it.

All begin with a crop of 224 from 256 pixels at a drawn place, and a flip. Where a library has no such operation, it is
left out; one that is not the same, but what its users take, says so in NOT_THE_SAME.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

SIDE, SIZE, BATCH, CLASSES = 256, 224, 32, 10
PLAIN = "crops and flips"
PROTOCOL: Mapping[str, Mapping[str, Any]] = {
    PLAIN: {},
    "RandAugment": {"policy": [{"name": "rand-augment"}]},
    "TrivialAugment": {"policy": [{"name": "trivial-augment"}]},
    "AutoAugment": {"policy": [{"name": "auto-augment"}]},
    "colour jitter": {
        "policy": [{"name": "color-jitter", "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}]
    },
    "random erasing": {"random_erasing": {"probability": 0.25}},
    "mixup": {"mixing": {"mixup": 0.8, "partner": "rolled"}},
    "CutMix": {"mixing": {"cutmix": 1.0, "partner": "rolled"}},
    "all of a recipe": {
        "policy": [{"name": "rand-augment"}], "random_erasing": {"probability": 0.25},
        "mixing": {"mixup": 0.8, "cutmix": 1.0, "partner": "rolled"},
    },
}  # fmt: skip
NOT_THE_SAME = {
    ("RandAugment", "keras"): "other operations, on floats",
    ("mixup", "keras"): "a share for each image",
    ("CutMix", "keras"): "a box for each image",
}
Make = Callable[[np.ndarray, np.ndarray, int], Iterator[Any]]  # of images, labels and batches: the batches


def isotune(technique: str) -> Make:
    """As a run has it: `Augmenter.batches`, a thread a core ahead."""

    def make(images: np.ndarray, labels: np.ndarray, batches: int) -> Iterator[Any]:
        return augmenter(technique, images, labels, SIZE).batches(order(len(images), batches), Seeds.all(0))

    from isotune.seeds import Seeds

    return make


def augmenter(technique: str, images: np.ndarray, labels: np.ndarray, size: int) -> Any:
    """Of images that are squashed to 8/7 of `size` once, before anything is timed."""
    from isotune import data
    from isotune.data.augmentation import Augmenter
    from isotune.protocols import Augmentation, Images, Input

    arrays = {"x_train": images, "y_train": labels, "x_test": images[:8], "y_test": labels[:8]}
    said = {"random_crop": size * SIDE // SIZE, "horizontal_flip": 0.5, **PROTOCOL[technique]}
    return Augmenter(data.prepare(arrays), Images(), Input(size=size), Augmentation(**said))


def order(images: int, batches: int, batch: int = BATCH) -> list[tuple[int, np.ndarray]]:
    """(epoch, numbers) of so many batches."""
    numbers = np.random.default_rng(0).permutation(images)
    return [
        (step, np.take(numbers, np.arange(step * batch, (step + 1) * batch), mode="wrap")) for step in range(batches)
    ]


def torchvision(technique: str) -> Make | None:
    """`transforms.v2` on PIL images in a DataLoader with a worker a core; mixtures in its collate function."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset, default_collate
    from torchvision.transforms import v2

    from isotune.workers import threads

    changes = {
        "RandAugment": [v2.RandAugment()], "TrivialAugment": [v2.TrivialAugmentWide()],
        "AutoAugment": [v2.AutoAugment()], "colour jitter": [v2.ColorJitter(0.4, 0.4, 0.4, 0.1)],
        "all of a recipe": [v2.RandAugment()],
    }.get(technique, [])  # fmt: skip
    end = [v2.PILToTensor()]
    if technique in ("random erasing", "all of a recipe"):
        end += [v2.ToDtype(torch.float32, scale=True), v2.RandomErasing(0.25)]
    one = v2.Compose([v2.RandomCrop(SIZE), v2.RandomHorizontalFlip(), *changes, *end])
    mixtures = {
        "mixup": v2.MixUp(alpha=0.8, num_classes=CLASSES), "CutMix": v2.CutMix(alpha=1.0, num_classes=CLASSES)
    }  # fmt: skip
    several = mixtures.get(technique)
    if technique == "all of a recipe":
        several = v2.RandomChoice(list(mixtures.values()))

    class Pictures(Dataset[Any]):
        def __init__(self, images: np.ndarray, labels: np.ndarray, count: int) -> None:
            self._images, self._labels, self._count = images, labels, count

        def __len__(self) -> int:
            return self._count

        def __getitem__(self, number: int) -> Any:
            place = number % len(self._images)
            return one(Image.fromarray(self._images[place])), int(self._labels[place])

    def collated(samples: Any) -> Any:
        images, labels = default_collate(samples)
        if technique == "mixup" or (several is not None and not images.is_floating_point()):
            images = images.float()
        return several(images, labels) if several is not None else (images, labels)

    def make(images: np.ndarray, labels: np.ndarray, batches: int) -> Iterator[Any]:
        pictures = Pictures(images, labels, batches * BATCH)
        return iter(DataLoader(pictures, BATCH, num_workers=threads.cores(), collate_fn=collated))

    return make


def keras(technique: str) -> Make | None:
    """Preprocessing layers in `tf.data`, as Keras's guide has it; on batches, as they are fastest."""
    import keras as library
    import tensorflow as tf

    layers = {
        PLAIN: [], "RandAugment": [library.layers.RandAugment(value_range=(0, 255))],
        "colour jitter": [library.layers.RandomColorJitter(
            (0, 255), brightness_factor=0.4, contrast_factor=0.4, saturation_factor=(0.3, 0.7), hue_factor=0.1)],
        "random erasing": [library.layers.RandomErasing(0.25)],
        "mixup": [library.layers.MixUp(0.8)], "CutMix": [library.layers.CutMix(1.0)],
    }.get(technique)  # fmt: skip
    if layers is None:
        return None
    chain = [library.layers.RandomCrop(SIZE, SIZE), library.layers.RandomFlip("horizontal"), *layers]
    pairs = technique in ("mixup", "CutMix")

    def changed(images: Any, labels: Any) -> Any:
        given = {"images": images, "labels": tf.one_hot(labels, CLASSES)} if pairs else images
        for layer in chain:
            given = layer(given, training=True)
        return given

    built: list[Any] = []  # once: tracing takes as long as many batches

    def make(images: np.ndarray, labels: np.ndarray, batches: int) -> Iterator[Any]:
        if not built:
            data = tf.data.Dataset.from_tensor_slices((images, labels)).repeat().batch(BATCH, drop_remainder=True)
            built.append(data.map(changed, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE))
        return iter(built[0].take(batches))

    return make


LIBRARIES: Mapping[str, Callable[[str], Make | None]] = {
    "isotune": isotune, "torchvision": torchvision, "keras": keras
}  # fmt: skip
