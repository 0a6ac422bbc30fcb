"""Policies and their operations: torchvision's, to the byte, and the laws of what is drawn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isotune.data import policies
from isotune.data.operations import OPERATIONS, applied
from isotune.errors import UsageError
from isotune.protocols import (
    AutoAugment,
    ColorJitter,
    NoisyRandAugment,
    RandAugment,
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    TrivialAugment,
)

autoaugment = pytest.importorskip("torchvision.transforms.autoaugment", reason="needs the extra torch")
from timm.data import auto_augment as timms  # noqa: E402
from torchvision.transforms import functional as F  # noqa: E402, N812

STREAM = np.random.default_rng(0)
IMAGE = (STREAM.integers(0, 200, (41, 53, 3)) + np.arange(53)[:, None]).astype(np.uint8)
THEIRS = {
    "identity": "Identity", "shear-x": "ShearX", "shear-y": "ShearY", "translate-x": "TranslateX",
    "translate-y": "TranslateY", "rotate": "Rotate", "brightness": "Brightness", "color": "Color",
    "contrast": "Contrast", "sharpness": "Sharpness", "posterize": "Posterize", "solarize": "Solarize",
    "auto-contrast": "AutoContrast", "equalize": "Equalize", "invert": "Invert",
}  # fmt: skip


def theirs(name: str, magnitude: float) -> np.ndarray:
    image = Image.fromarray(IMAGE)
    if name == "hue":
        return np.asarray(F.adjust_hue(image, magnitude))
    return np.asarray(
        autoaugment._apply_op(image, THEIRS[name], magnitude, interpolation=F.InterpolationMode.NEAREST, fill=None)
    )


OF_TIMM = {
    "solarize-add": "SolarizeAdd", "fine-rotate": "Rotate", "fine-shear-x": "ShearX", "fine-shear-y": "ShearY",
    "fine-translate-x": "TranslateX", "fine-translate-y": "TranslateY",
}  # fmt: skip
GRAY = {"img_mean": (124, 116, 104)}  # as timm's loader has it of ImageNet's mean
OF_KERAS = {"turn", "shift", "mirror", "flip", "half-turn", "channel-contrast"}  # tests/adapters/_keras holds these


def test_every_operation_has_a_counterpart():
    assert {*OPERATIONS} == {*THEIRS, "hue", *OF_TIMM, *OF_KERAS}


@pytest.mark.parametrize("name", [*THEIRS, "hue"])
@pytest.mark.parametrize("share", [-1.0, -0.41, 0.0, 0.13, 1.0])
def test_an_operation_gives_torchvisions_bytes(name, share):
    most = {"translate-x": 25, "translate-y": 20, "rotate": 135, "hue": 0.5}.get(name, 0.99)
    magnitude = {"posterize": 5 + round(3 * share), "solarize": 127.5 * (1 + share)}.get(name, most * share)
    np.testing.assert_array_equal(applied(IMAGE, [(name, magnitude)]), theirs(name, magnitude))


@pytest.mark.parametrize("name", policies._FIFTEEN)
@pytest.mark.parametrize("level", [0.0, 0.4, 5.3, 9.0, 10.0])
def test_an_operation_of_timms_rand_augment_gives_its_bytes_at_each_level(name, level, monkeypatch):
    """Of both directions and interpolations, as drawn here and forced there."""
    relative = {"fine-translate-x": "TranslateXRel", "fine-translate-y": "TranslateYRel"}
    theirs = relative.get(name) or OF_TIMM.get(name) or THEIRS[name]
    for number in range(8):
        drawn = policies._strength(name, level / 10, *IMAGE.shape[:2], np.random.default_rng(number))
        backwards, cubic = drawn[0] < 0, bool(drawn[1:] and drawn[1])
        monkeypatch.setattr(timms.random, "random", lambda backwards=backwards: float(backwards))
        resampling = Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR
        operation = timms.AugmentOp(theirs, 1.0, level, GRAY | {"interpolation": resampling})
        black = name == "posterize" and level < 2.5  # of no bits, which timm asks for and Pillow refuses by now
        wanted = np.zeros_like(IMAGE) if black else np.asarray(operation(Image.fromarray(IMAGE)))
        np.testing.assert_array_equal(applied(IMAGE, [(name, *drawn)]), wanted, err_msg=str(drawn))


def test_timms_rand_augment_draws_what_timms_does():
    """Its operations, each as often, the share that takes place, and magnitudes whose normal is cut off at 10."""
    policy = NoisyRandAugment(noise=0.5)
    made = timms.rand_augment_transform("rand-m9-mstd0.5", dict(GRAY))
    assert made.num_layers == policy.operations
    assert {each.prob for each in made.ops} == {policy.probability}
    assert {each.magnitude for each in made.ops} == {policy.magnitude}
    relative = {"TranslateX": "TranslateXRel", "TranslateY": "TranslateYRel"}
    named = [OF_TIMM.get(name) or THEIRS[name] for name in policies._FIFTEEN]
    assert [relative.get(name, name) for name in named] == [each.name for each in made.ops]
    drawn = [policies.drawn(policy, 100, 200, STREAM) for _ in range(8000)]
    assert Counter(map(len, drawn))[1] == pytest.approx(4000, abs=150)
    counts = Counter(name for each in drawn for name, *_ in each)
    expected = 8000 / 15
    assert len(counts) == 15
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 36.1  # chi square, 14, 0.1 %
    ways = np.array([given for each in drawn for name, *given in each if name.startswith("fine-")])
    assert np.mean(ways > 0, axis=0) == pytest.approx(0.5, abs=0.04)
    levels = np.abs([given[0] / 3 for each in drawn for name, *given in each if name == "fine-rotate"])
    assert np.mean(levels == 10) == pytest.approx(0.0228, abs=0.02)  # two standard deviations above
    assert (np.mean(levels), np.std(levels)) == pytest.approx((9, 0.49), abs=0.08)


@pytest.mark.parametrize("size", [(41, 53), (224, 224)])
def test_magnitudes_are_torchvisions(size):
    for ours, wanted in (
        (policies._space(*size, 31), autoaugment.RandAugment()._augmentation_space(31, size)),
        (policies._space(*size, 10), autoaugment.AutoAugment()._augmentation_space(10, size)),
        (policies._wide_space(), autoaugment.TrivialAugmentWide()._augmentation_space(31)),
    ):
        for name, (magnitudes, signed) in ours.items():
            if name == "invert" and "Invert" not in wanted:
                continue
            bins, sign = wanted[THEIRS[name]]
            assert signed == sign
            np.testing.assert_allclose(magnitudes, np.atleast_1d(bins.numpy()), rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("table", policies.TABLES)
def test_tables_are_torchvisions(table):
    wanted = autoaugment.AutoAugment(autoaugment.AutoAugmentPolicy(table)).policies
    found = [tuple((THEIRS[name], p, bin) for name, p, bin in pair) for pair in policies.TABLES[table]]
    assert found == [tuple((name, p, bin or 0) for name, p, bin in pair) for pair in wanted]


def test_rand_augment_draws_each_of_fourteen_as_often_and_both_signs():
    drawn = [each for _ in range(4000) for each in policies.drawn(RandAugment(), 100, 100, STREAM)]
    counts = Counter(name for name, _ in drawn)
    assert len(drawn) == 8000
    assert len(counts) == 14
    assert "invert" not in counts
    expected = 8000 / 14
    assert sum((count - expected) ** 2 / expected for count in counts.values()) < 34.5  # chi square, 13, 0.1 %
    angles = [magnitude for name, magnitude in drawn if name == "rotate"]
    assert {round(abs(angle), 6) for angle in angles} == {9.0}
    assert 0.4 < np.mean(np.array(angles) > 0) < 0.6


def test_trivial_augment_draws_one_operation_of_any_magnitude():
    drawn = [policies.drawn(TrivialAugment(), 100, 100, STREAM) for _ in range(4000)]
    assert {len(each) for each in drawn} == {1}
    counts = Counter(name for ((name, _),) in drawn)
    assert len(counts) == 14
    angles = {abs(magnitude) for ((name, magnitude),) in drawn if name == "rotate"}
    assert len(angles) == 31
    assert max(angles) == 135


def test_auto_augment_applies_a_pair_as_often_as_its_probabilities_say():
    drawn = [policies.drawn(AutoAugment(), 100, 100, STREAM) for _ in range(8000)]
    expected = np.mean([probability for pair in policies.TABLES["imagenet"] for _, probability, _ in pair]) * 2
    assert np.mean([len(each) for each in drawn]) == pytest.approx(expected, rel=0.03)


@given(st.floats(0, 1.5), st.floats(0, 0.5), st.integers(0, 2**32))
@settings(max_examples=50)
def test_color_jitter_stays_within_its_strengths(strength, hue, seed):
    if not strength + hue:
        return
    policy = ColorJitter(brightness=strength, contrast=strength, saturation=strength, hue=hue)
    for name, magnitude in policies.drawn(policy, 8, 8, np.random.default_rng(seed)):
        assert (-hue if name == "hue" else max(-1, -strength)) <= magnitude <= (hue if name == "hue" else strength)


def test_color_jitter_draws_every_order_and_a_uniform_factor():
    policy = ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)
    drawn = [policies.drawn(policy, 8, 8, STREAM) for _ in range(3000)]
    assert len(Counter(tuple(name for name, _ in each) for each in drawn)) == 24
    factors = np.array([dict(each)["brightness"] for each in drawn])
    assert factors.std() == pytest.approx(0.8 / 12**0.5, rel=0.05)
    assert abs(factors.mean()) < 0.02


def test_a_whole_shift_takes_pixels_as_they_are_and_mirrors_what_is_beyond_the_border():
    right = applied(IMAGE, [("shift", 3.0, 0.0)])
    np.testing.assert_array_equal(right[:, 3:], IMAGE[:, :-3])
    np.testing.assert_array_equal(right[:, :3], IMAGE[:, 2::-1])
    down = applied(IMAGE, [("shift", 0.0, 2.0)])
    np.testing.assert_array_equal(down[2:], IMAGE[:-2])


def test_a_quarter_turn_of_a_square_is_numpys_and_a_flip_is_of_its_axis():
    square = np.ascontiguousarray(IMAGE[:, :41])
    np.testing.assert_array_equal(applied(square, [("turn", 90.0)]), np.rot90(square))
    np.testing.assert_array_equal(applied(IMAGE, [("mirror", 1.0)]), IMAGE[:, ::-1])
    np.testing.assert_array_equal(applied(IMAGE, [("flip", 1.0)]), IMAGE[::-1])
    flips = [policies.drawn(RandomFlip(axes="vertical", probability=0.2), 8, 8, STREAM) for _ in range(2000)]
    assert np.mean([bool(each) for each in flips]) == pytest.approx(0.2, abs=0.04)
    assert {each[0][0] for each in flips if each} == {"flip"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RandAugment(magnitude=31), "magnitude"),
        (lambda: RandAugment(operations=0), "operations"),
        (lambda: AutoAugment(table="imagenet21k"), "table"),
        (lambda: NoisyRandAugment(magnitude=10.5), "magnitude"),
        (lambda: NoisyRandAugment(noise=-1), "noise"),
        (lambda: NoisyRandAugment(probability=0), "probability"),
        (ColorJitter, "changes nothing"),
        (lambda: ColorJitter(hue=0.6), "hue"),
        (lambda: RandomRotation(turn=1.5), "turn"),
        (lambda: RandomRotation(turn=0), "turn"),
        (RandomTranslation, "moves nothing"),
        (lambda: RandomTranslation(height=2), "height"),
        (lambda: RandomFlip(axes="diagonal"), "axes"),
        (lambda: RandomFlip(probability=0), "probability"),
        (lambda: RandomContrast(factor=(1.2, 1.0)), r"least, greatest"),
        (lambda: RandomContrast(factor=(1.0, 1.0)), r"least, greatest"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(make, said):
    with pytest.raises(UsageError, match=said):
        make()
