"""Mixtures and erased boxes: their formulas, their laws, and where nothing is done."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from isotune.conventions import affine
from isotune.data.erasing import erased, erased_box
from isotune.data.mixing import mixed
from isotune.errors import UsageError
from isotune.protocols import Augmentation, Mixing, RandomErasing

STREAM = np.random.default_rng(0)
IMAGES = STREAM.integers(0, 256, (6, 20, 24, 3), dtype=np.uint8)
LABELS = np.array([0, 1, 2, 3, 4, 0])
KINDS = st.sampled_from(["batch", "pair", "image"])
PARTNERS = {"reversed": np.arange(6)[::-1], "rolled": np.roll(np.arange(6), 1)}


@given(KINDS, st.sampled_from([*PARTNERS]), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_an_image_and_its_target_are_mixed_in_the_same_shares(per, partner, seed):
    partner = "reversed" if per == "pair" else partner
    images, targets = mixed(
        IMAGES, np.arange(6), 6, Mixing(mixup=0.8, per=per, partner=partner), np.random.default_rng(seed)
    )
    others = PARTNERS[partner]
    shares = targets[np.arange(6), np.arange(6)]
    np.testing.assert_allclose(targets.sum(1), 1, atol=1e-12)
    for number in range(6):
        share = shares[number]
        wanted = IMAGES[number] * share + IMAGES[others[number]].astype(float) * (1 - share)
        np.testing.assert_allclose(images[number], wanted, atol=1e-3)
    assert (len(set(np.round(shares, 9))) == 1) == (per == "batch")


@given(KINDS, st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_cutmix_takes_each_pixel_from_one_of_two_and_counts_them(per, seed):
    images, targets = mixed(IMAGES, np.arange(6), 6, Mixing(cutmix=1.0, per=per), np.random.default_rng(seed))
    assert images.dtype == np.uint8
    for number, (image, own, other) in enumerate(zip(images, IMAGES, IMAGES[::-1], strict=True)):
        kept, taken = (image == own).all(-1), (image == other).all(-1)
        assert (kept | taken).all()
        assert kept.mean() == pytest.approx(targets[number, number], abs=1e-9)
        rows, columns = np.nonzero(~kept)
        if len(rows):
            box = ~kept[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert box.all()


def test_shares_are_drawn_from_beta_and_as_often_as_asked():
    drawn = []
    for seed in range(600):
        mixing = Mixing(mixup=0.4, per="image", probability=0.7)
        _, targets = mixed(IMAGES[:, :4, :4], np.arange(6), 6, mixing, np.random.default_rng(seed))
        drawn += list(targets[np.arange(6), np.arange(6)])
    drawn = np.array(drawn)
    assert np.mean(drawn == 1) == pytest.approx(0.3, abs=0.03)
    assert stats.kstest(drawn[drawn < 1], stats.beta(0.4, 0.4).cdf).pvalue > 1e-3


def test_of_both_one_is_chosen_by_the_switch():
    cut = 0
    for seed in range(400):
        mixing = Mixing(mixup=0.8, cutmix=1.0, switch=0.25)
        images, _ = mixed(IMAGES, LABELS, 5, mixing, np.random.default_rng(seed))
        cut += bool(((images == IMAGES) | (images == IMAGES[::-1])).all())
    assert cut / 400 == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("values", [{}, {"mixup": 0.2, "switch": 0.1}, {"mixup": -1.0},
                                    {"mixup": 0.2, "per": "pair", "partner": "shuffled"}])  # fmt: skip
def test_a_mixing_that_cannot_be_is_refused(values):
    with pytest.raises(UsageError, match=r"mixing|Mixing"):
        Mixing(**values)


@pytest.mark.parametrize("scaling", ["mean-std", "minus-one-to-one", "caffe", "unit"])
@pytest.mark.parametrize("fill", ["mean", "noise", "colour"])
def test_what_is_erased_is_drawn_where_the_scaling_ends(scaling, fill):
    reverse, scale, offset = affine(scaling)
    erasing = RandomErasing(probability=1.0, area=(0.5, 0.6), ratio=(0.9, 1.1), fill=fill)
    image = np.full((80, 80, 3), 255, np.uint8)
    found = erased(image, erasing, scaling, np.random.default_rng(1))
    rows, columns, _ = np.nonzero(found != 255)
    box = found[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    scaled = (box[..., ::-1] if reverse else box) * scale + offset
    assert box.shape[0] * box.shape[1] / 6400 == pytest.approx(0.55, abs=0.07)
    if fill == "mean":
        np.testing.assert_allclose(scaled, 0, atol=1e-5)
    elif fill == "colour":
        np.testing.assert_allclose(scaled, scaled[:1, :1] + np.zeros_like(scaled), atol=1e-4)
    else:
        assert scaled.std() == pytest.approx(1, rel=0.05)
    assert (found == 255).all(-1).mean() == pytest.approx(1 - box.shape[0] * box.shape[1] / 6400, abs=1e-3)


@pytest.mark.parametrize("scaling", ["mean-std", "caffe"])
def test_clipped_noise_is_of_bytes_whatever_the_scaling(scaling):
    """Half of it black, what lies beyond one deviation white, as Keras's RandomErasing has it."""
    erasing = RandomErasing(probability=1.0, area=(0.5, 0.6), ratio=(0.9, 1.1), fill="clipped-noise")
    image = np.full((200, 200, 3), 100.5, np.float32)
    found = erased(image, erasing, scaling, np.random.default_rng(1))
    noise = found[found != 100.5]
    assert (noise.min(), noise.max()) == (0, 255)
    assert [(noise == 0).mean(), (noise == 255).mean()] == pytest.approx([0.5, 0.1587], abs=0.01)
    np.testing.assert_array_equal(found, erased(image, erasing, "unit", np.random.default_rng(1)))


def test_erasing_comes_as_often_and_as_large_as_asked():
    erasing = RandomErasing(probability=0.25)
    image = np.full((64, 64, 3), 7, np.uint8)
    erased_ones = [not np.array_equal(erased(image, erasing, "mean-std", STREAM), image) for _ in range(1200)]
    assert np.mean(erased_ones) == pytest.approx(0.25, abs=0.05)
    boxes = [box for _ in range(500) if (box := erased_box(64, 64, erasing, STREAM))]
    for top, left, height, width in boxes:
        assert 0 <= top <= 64 - height
        assert 0 <= left <= 64 - width
    assert np.median([height * width / 4096 for *_, height, width in boxes]) == pytest.approx(0.177, abs=0.03)
    assert erased_box(4, 400, RandomErasing(area=(0.9, 1.0), ratio=(1.0, 1.0)), STREAM) is None


def test_what_is_not_asked_for_leaves_no_trace_in_a_protocols_key():
    assert Augmentation(horizontal_flip=0.5).model_dump() == {"random_resized_crop": None, "horizontal_flip": 0.5}
