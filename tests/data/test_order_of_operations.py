"""Techniques compose as in the sources of the recipes: each acts on what the one before gives."""

from __future__ import annotations

import numpy as np
import pytest

from isotune import data, protocols
from isotune.data import augmentation
from isotune.data.augmentation import Augmenter
from isotune.protocols import Augmentation
from isotune.seeds import Seeds

# As their sources have them: torchvision's references/classification/presets.py, the mixtures in train.py's collate_fn;
# timm's create_transform (below); big_transfer's input pipeline; the layers of Keras's example, one after another
RECIPES = {
    "torchvision-new-short": ["crop and flip", "trivial-augment", "erasing", "mixing"],
    "torchvision-mobilenetv3-short": ["crop and flip", "auto-augment", "erasing"],
    "timm-cosine-short": ["crop and flip", "color-jitter", "erasing"],
    "timm-ra-short": ["crop and flip", "noisy-rand-augment", "erasing"],
    "bit-hyperrule-short": ["crop and flip", "mixing"],
    "keras-dogs-short": ["random-rotation", "random-translation", "random-flip", "random-contrast"],
}
SEEDS, SAMPLES = Seeds.all(3), np.array([4, 0, 7, 2])


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.prepare("digits")


@pytest.mark.parametrize("name", RECIPES)
def test_each_technique_acts_on_what_the_one_before_gives(name, digits, monkeypatch):
    """Of every image: the crop with its flip, policies in their order, erasing; of the batch of these, the mixture."""
    recipe, seen = protocols.load(name), list[tuple[str, np.ndarray, np.ndarray]]()

    def watched(what: str):
        real = getattr(augmentation, what)

        def call(images, *rest):
            made = real(images, *rest)
            seen.append((what, images.copy(), made[0] if isinstance(made, tuple) else made))
            return made

        monkeypatch.setattr(augmentation, what, call)

    for what in ("applied", "erased", "mixed"):
        watched(what)
    batch, _ = _batch(digits, recipe, recipe.augmentation)
    applied, erased, mixed = ([each for each in seen if each[0] == what] for what in ("applied", "erased", "mixed"))
    moved = {"random_resized_crop", "random_crop", "horizontal_flip"}
    moves = Augmentation.model_validate(recipe.augmentation.model_dump(include=moved))
    images = np.stack(_batch(digits, recipe, moves)[0])
    steps = ["crop and flip"] if moves != Augmentation() else []
    np.testing.assert_array_equal([each[1] for each in applied], images)
    images, steps = np.stack([each[2] for each in applied]), steps + [p.name for p in recipe.augmentation.policy]
    if erased:
        np.testing.assert_array_equal([each[1] for each in erased], images)
        images, steps = np.stack([each[2] for each in erased]), [*steps, "erasing"]
    if mixed:
        np.testing.assert_array_equal(mixed[0][1], images)
        images, steps = mixed[0][2], [*steps, "mixing"]
    np.testing.assert_array_equal(batch, images)
    assert steps == RECIPES[name]


def test_policies_go_in_the_order_of_the_file(digits, monkeypatch):
    drawn, real = list[list[str]](), augmentation.applied

    def applied(image, operations):
        drawn.append([name for name, *_ in operations])
        return real(image, operations)

    monkeypatch.setattr(augmentation, "applied", applied)
    recipe = protocols.load("keras-dogs-short")
    turn, shift, _, contrast = recipe.augmentation.policy
    for policy in ((turn, shift, contrast), (contrast, shift, turn)):
        _batch(digits, recipe, Augmentation(policy=policy))
    there, back = drawn[: len(SAMPLES)], drawn[len(SAMPLES) :]
    assert len({*map(tuple, there)}) == 1
    assert back == [each[::-1] for each in there]
    assert "contrast" in there[0][-1].lower()


def test_timm_crops_flips_applies_its_policy_scales_and_erases():
    from timm.data import create_transform

    made = create_transform(32, is_training=True, auto_augment="rand-m9", re_prob=0.2, re_mode="pixel", hflip=0.5)
    names = [type(each).__name__ for each in made.transforms]
    order = ["RandomResizedCropAndInterpolation", "RandomHorizontalFlip", "RandAugment", "Normalize", "RandomErasing"]
    assert [name for name in names if name in order] == order


def _batch(digits: data.Dataset, recipe: protocols.Protocol, augmented: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    return Augmenter(digits, recipe.images, recipe.input, augmented).batch(1, SAMPLES, SEEDS)
