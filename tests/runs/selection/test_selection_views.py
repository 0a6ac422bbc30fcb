"""Three crops of an image: where they are cut, and how what they give is averaged."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from isotune.data.resizing import crop, fixed_view
from isotune.protocols import Input
from isotune.runs.scores import cross_entropy
from isotune.runs.selection.views import averaged


@given(st.integers(1, 6), st.integers(2, 8), st.integers(1, 4), st.integers(0, 99))
def test_probabilities_are_averaged(images: int, classes: int, crops: int, seed: int) -> None:
    stream = np.random.default_rng(seed)
    logits = [5 * stream.normal(size=(images, classes)).astype(np.float32) for _ in range(crops)]
    mean = np.mean([softmax(each.astype(np.float64), axis=1) for each in logits], axis=0)
    ours = averaged(logits)
    np.testing.assert_allclose(np.exp(ours), mean, rtol=1e-9, atol=1e-12)
    labels = stream.integers(0, classes, images)
    wanted = -np.log(mean[np.arange(images), labels]).mean()
    assert abs(cross_entropy(ours, labels) - wanted) < 1e-9


def test_of_one_crop_it_is_the_softmax_and_great_logits_do_not_overflow() -> None:
    logits = np.array([[1e4, -1e4, 0.0]])
    np.testing.assert_allclose(averaged([logits]), log_softmax(logits, axis=1))
    assert np.isfinite(averaged([logits, -logits])).all()


@given(st.integers(8, 20), st.integers(8, 20), st.integers(2, 8))
def test_crops_are_at_both_ends_of_the_longer_side_and_in_its_middle(height: int, width: int, size: int) -> None:
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns], axis=-1)
    corners = [tuple(crop(image, size, place)[0, 0]) for place in ("start", "centre", "end")]
    middle = (round((height - size) / 2), round((width - size) / 2))
    if height > width:
        assert corners == [(0, middle[1]), middle, (height - size, middle[1])]
    else:
        assert corners == [(middle[0], 0), middle, (middle[0], width - size)]
    assert all(crop(image, size, place).shape == (size, size, 2) for place in ("start", "centre", "end"))


def test_together_they_show_all_of_an_image_that_is_thrice_as_long() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 90, 3), dtype=np.uint8)
    settings = Input(size=30, resize=30)
    parts = [fixed_view(image, settings, "antialias", place) for place in ("start", "centre", "end")]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), image)
