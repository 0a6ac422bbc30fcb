"""Augmentation: torchvision's crops, drawn by seed, epoch and image alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotune import data
from isotune.data.augmentation import Augmenter, crop_box
from isotune.errors import UsageError
from isotune.protocols import Augmentation, Images, Input
from isotune.seeds import Seeds

BOTH = Augmentation(random_resized_crop=(0.08, 1), horizontal_flip=0.5)
FLIP = Augmentation(horizontal_flip=0.5)
ALL = Augmentation(
    random_resized_crop=(0.5, 1), horizontal_flip=0.5,
    policy=({"name": "color-jitter", "hue": 0.1}, {"name": "rand-augment"}), random_erasing={"probability": 0.5},
)  # fmt: skip


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def digits(cache: Path, monkeypatch: pytest.MonkeyPatch) -> data.Dataset:
    monkeypatch.setenv("ISOTUNE_CACHE", str(cache))
    return data.prepare("digits")


def augmenter(digits: data.Dataset, augmentation: Augmentation, n: int | None = 40) -> Augmenter:
    return Augmenter(digits, Images(train=n), Input(size=16), augmentation)


def batch(source: Augmenter, epoch: int, samples: np.ndarray, seed: int | Seeds) -> tuple[np.ndarray, np.ndarray]:
    return source.batch(epoch, samples, seed if isinstance(seed, Seeds) else Seeds.all(seed))


def images(source: Augmenter, *asked: Any) -> np.ndarray:
    return batch(source, *asked)[0]


@pytest.mark.parametrize("augmentation", [BOTH, FLIP, ALL, Augmentation()])
def test_an_image_does_not_depend_on_the_batch_it_is_in(digits: data.Dataset, augmentation: Augmentation) -> None:
    source = augmenter(digits, augmentation)
    whole = images(source, 3, np.arange(40), 7)
    assert whole.shape == (40, 16, 16, 3)
    assert whole.dtype == (np.float32 if augmentation.random_erasing else np.uint8)
    order = np.random.default_rng(0).permutation(40)
    assert np.array_equal(images(source, 3, order, 7), whole[order])
    assert np.array_equal(images(source, 3, order[:1], 7), whole[order[:1]])
    assert np.array_equal(images(augmenter(digits, augmentation), 3, np.arange(40), 7), whole)


def test_seed_epoch_and_image_all_matter(digits: data.Dataset) -> None:
    source = augmenter(digits, BOTH)
    base = images(source, 0, np.arange(40), 0)
    assert not np.array_equal(images(source, 1, np.arange(40), 0), base)
    assert not np.array_equal(images(source, 0, np.arange(40), 1), base)
    assert not np.array_equal(images(source, 1, np.arange(40), 0), images(source, 0, np.arange(40), 1))


def test_a_flip_mirrors_the_fixed_view_as_often_as_asked(digits: data.Dataset) -> None:
    view, labels = data.inputs(digits, "train", Images(), Input(size=16))
    for probability in (0.0, 0.25, 1.0):
        source = augmenter(digits, Augmentation(horizontal_flip=probability), None)
        assert np.array_equal(source.labels, labels)
        batch = images(source, 0, np.arange(1000), 5)
        same = np.array([np.array_equal(a, b) for a, b in zip(batch, view, strict=True)])
        mirrored = np.array([np.array_equal(a, b[:, ::-1]) for a, b in zip(batch, view, strict=True)])
        assert (same | mirrored).all()
        if probability in (0.0, 1.0):
            assert (mirrored if probability else same).all()
        else:
            assert abs((mirrored & ~same).mean() - probability) < 4 * math.sqrt(0.25 * 0.75 / 1000)


def test_a_crop_of_the_whole_image_is_the_fixed_view(digits: data.Dataset) -> None:
    """Scale 1 fits only at the image's own ratio, so the fallback takes all of a square."""
    view, _ = data.inputs(digits, "train", Images(train=40), Input(size=16))
    source = augmenter(digits, Augmentation(random_resized_crop=(1, 1)))
    batch = images(source, 0, np.arange(40), 0)
    assert np.mean([np.array_equal(a, b) for a, b in zip(batch, view, strict=True)]) > 0.5


@given(st.integers(1, 200), st.integers(1, 200), st.floats(0.01, 1), st.integers(0, 10**6))
@settings(deadline=None)
def test_a_box_lies_in_the_image(height: int, width: int, least: float, seed: int) -> None:
    top, left, h, w = crop_box(height, width, (least, 1.0), np.random.default_rng(seed).random(40))
    assert 0 <= top <= top + h <= height
    assert 0 <= left <= left + w <= width
    assert h > 0
    assert w > 0


@pytest.mark.parametrize("size", [(50, 60), (30, 200), (224, 224), (7, 5), (100, 20)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.9, 1.0)])
def test_boxes_are_torchvisions_for_the_same_draws(
    size: tuple[int, int], scale: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its random numbers are replaced by ours; what it makes of them must be the same box."""
    import torch
    from torchvision.transforms import RandomResizedCrop

    for seed in range(30):
        draws = np.random.default_rng(seed).random(40)
        stream = iter(draws)

        class Uniform:
            def uniform_(self, low: float, high: float) -> torch.Tensor:
                return torch.tensor(float(low) + next(stream) * (float(high) - float(low)), dtype=torch.float64)  # noqa: B023

        def randint(low: int, high: int, size: object) -> torch.Tensor:
            return torch.tensor(low + int(next(stream) * (high - low)))  # noqa: B023

        boxes = []
        for attempt in draws.reshape(10, 4):  # torchvision draws no position for a box that does not fit
            stream = iter(attempt)
            monkeypatch.setattr(torch, "empty", lambda *size, **options: Uniform())
            monkeypatch.setattr(torch, "randint", randint)
            image = torch.zeros(3, *size)
            try:
                boxes.append(RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3]))
                break
            except StopIteration:
                continue
        monkeypatch.undo()
        ours = crop_box(*size, scale, draws)
        if boxes:
            assert ours == tuple(boxes[0])
        else:
            assert ours == fallback(*size)


def fallback(height: int, width: int) -> tuple[int, int, int, int]:
    import torch
    from torchvision.transforms import RandomResizedCrop

    return tuple(
        RandomResizedCrop.get_params(torch.zeros(3, height, width), [4.0, 4.0], [3 / 4, 4 / 3])
    )  # nothing fits


def test_batches_come_in_order(digits: data.Dataset) -> None:
    source = augmenter(digits, BOTH)
    order = [(epoch, np.arange(start, start + 7) % 40) for epoch in range(2) for start in range(0, 40, 7)]
    batches = list(source.batches(iter(order), Seeds.all(3)))
    assert len(batches) == len(order)
    for (epoch, samples), (batch, labels) in zip(order, batches, strict=True):
        assert np.array_equal(batch, images(source, epoch, samples, 3))
        assert np.array_equal(labels, source.labels[samples])
    assert list(source.batches([], Seeds.all(3))) == []


def test_an_error_in_the_background_surfaces(digits: data.Dataset) -> None:
    source = augmenter(digits, BOTH)
    batches = source.batches([(0, np.arange(3)), (0, np.array([99])), (0, np.arange(3))], Seeds.all(0))
    assert next(batches)[0].shape == (3, 16, 16, 3)
    with pytest.raises(IndexError):
        next(batches)


def test_batches_may_be_left_before_their_end(digits: data.Dataset) -> None:
    import threading

    before = threading.active_count()
    batches = augmenter(digits, BOTH).batches(((0, np.arange(4)) for _ in range(1000)), Seeds.all(0))
    next(batches)
    batches.close()
    assert threading.active_count() == before


def test_the_images_are_those_of_the_protocol(digits: data.Dataset) -> None:
    for augmentation in (BOTH, FLIP):
        source = augmenter(digits, augmentation, 30)
        assert len(source) == 30
        assert np.array_equal(source.labels, digits.train.labels[data.subset(digits.train.labels, 30)])
    with pytest.raises(UsageError, match=r"images\.train = 3"):
        augmenter(digits, BOTH, 3)


def test_a_mixture_is_its_batchs_and_gives_targets(digits: data.Dataset) -> None:
    source = augmenter(digits, Augmentation(horizontal_flip=0.5, mixing={"mixup": 0.8, "cutmix": 1.0}))
    plain, labels = batch(augmenter(digits, FLIP), 2, np.arange(8), 3)
    mixtures, targets = batch(source, 2, np.arange(8), 3)
    again, others = images(source, 2, np.arange(8), 3), images(source, 2, np.arange(1, 9), 3)
    assert mixtures.dtype == np.float32
    assert np.array_equal(mixtures, again)
    assert not np.array_equal(mixtures[1:], others[:-1])
    assert targets.shape == (8, 10)
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-12)
    assert (targets[np.arange(8), labels] > 0).any()
    assert plain.dtype == np.uint8
    assert images(augmenter(digits, Augmentation(mixing={"cutmix": 1.0})), 2, np.arange(8), 3).dtype == np.uint8


def test_a_random_crop_cuts_every_place_of_a_larger_view_as_often(digits: data.Dataset) -> None:
    view, _ = data.inputs(digits, "train", Images(train=40), Input(size=20))
    source = augmenter(digits, Augmentation(random_crop=20))
    places = set()
    for epoch in range(12):
        for number, image in enumerate(images(source, epoch, np.arange(40), 0)):
            fits = [
                (top, left)
                for top in range(5) for left in range(5)
                if np.array_equal(view[number][top : top + 16, left : left + 16], image)
            ]  # fmt: skip
            assert fits
            places.update(fits)
    assert len(places) == 25
    with pytest.raises(UsageError, match="either"):
        Augmentation(random_crop=20, random_resized_crop=(0.5, 1.0))
