"""Noise excuses what float64's rounding can be, and nothing more."""

from __future__ import annotations

import numpy as np
import pytest

from isotune.comparison.batch import Batch
from isotune.comparison.bounds import BOUND, NOISE_CAP, judge
from isotune.comparison.errors import Error, depends, noises, worst

ROWS = np.random.default_rng(0).normal(size=(4, 3, 2))


def judged(error, noise):
    return judge([Error(name="layer", relative=error)], noise=lambda: noise)


@pytest.mark.parametrize(
    ("error", "noise", "holds", "doubtful"),
    [
        (BOUND, 1.0, True, False),
        (9e-9, 1e-9, True, False),
        (1.1e-8, 1e-9, False, False),  # more than noise explains
        (NOISE_CAP, 1.0, True, False),
        (2e-5, 6.0, False, True),  # a batch's order moves it by 600 %: no proof of anything
        (70.0, 6.0, False, False),
        (float("inf"), 6.0, False, False),
    ],
)
def test_noise_excuses_up_to_its_cap_and_beyond_it_nothing_is_said(error, noise, holds, doubtful):
    found = judged(error, noise)
    assert (found.holds, found.doubtful) == (holds, doubtful)


def batches():
    images = np.zeros((4, 1, 1, 3), np.uint8)
    return (Batch.of(images, np.arange(4), **{how: True}) for how in ("permuted", "apart"))


@pytest.mark.parametrize("rows", [1, 5])
def test_rows_follow_their_images(rows):
    """One row for each image, or several: the windows of a Swin."""
    reverse, apart = batches()
    array = np.arange(4 * rows).reshape(4 * rows, 1)
    images = array // rows
    assert (reverse.back(reverse.arranged(array)) == array).all()
    assert (reverse.arranged(images)[:, 0] == np.repeat([3, 2, 1, 0], rows)).all()
    assert (apart.arranged(images)[:, 0] == np.repeat([3, 2, 1], rows)).all()


def test_what_is_of_no_image_stays():
    reverse, apart = batches()
    for table in (np.arange(3), np.array(1.0), np.zeros((0, 2))):
        assert reverse.arranged(table).shape == apart.arranged(table).shape == table.shape
    assert (apart.arranged(np.arange(3)) == np.arange(3)).all()


def test_a_table_that_was_put_back_as_if_it_had_rows_of_images_is_no_noise():
    reverse, _ = batches()
    table = np.arange(8.0).reshape(8, 1)  # two rows for each of four images, were they of images
    again = {"rows": ROWS, "table": reverse.back(table)}
    found = noises({"rows": ROWS, "table": table}, again, reverse.arranged)
    assert worst(found).relative == 0
    assert worst(noises({"table": table}, {"table": reverse.back(table)})).relative > 0.1


def test_a_layer_depends_on_the_others_where_it_shows_something_else_without_them():
    _, apart = batches()
    whole = {"own": ROWS, "of the batch": ROWS - ROWS.mean(0), "first": ROWS - ROWS[0], "table": np.arange(5.0)}
    some = apart.arranged(ROWS)
    alone = {"own": some, "of the batch": some - some.mean(0), "first": some - some[0], "table": np.arange(5.0)}
    found = {error.name: error.relative for error in depends(alone, whole, apart.arranged)}
    assert found["own"] == found["table"] == 0
    assert min(found["of the batch"], found["first"]) > 0.1
