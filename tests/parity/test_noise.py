"""What a proof may excuse by noise, and that what depends on the batch is none."""

from __future__ import annotations

import numpy as np
import pytest

from isotune.comparison import observations
from isotune.comparison.batch import Batch
from isotune.parity import Rung
from isotune.parity._judging import alone, rungs
from isotune.parity._proof_inputs import ALONE

IMAGES, LABELS = np.zeros((4, 1, 1, 3), np.uint8), np.arange(4)
ROWS = np.random.default_rng(0).normal(size=(4, 5))


def centred(rows):
    return rows - rows.mean(0)


def without_the_first(rows):
    return rows - rows[:1]


def written(folder, **arrays):
    observations.write(folder, arrays.items())
    return folder


@pytest.mark.parametrize("changed", [centred, without_the_first])
def test_a_layer_that_depends_on_the_other_images_is_a_rung_that_fails(tmp_path, changed):
    batch = Batch.of(IMAGES, LABELS, apart=True)
    some = batch.arranged(ROWS)
    whole = written(tmp_path / "whole", **{"layers/000.conv": ROWS, "layers/001.norm": changed(ROWS)})
    apart = written(tmp_path / "apart", **{"000.conv": some, "001.norm": changed(some)})
    found = alone(ALONE[1], whole, apart, batch)
    assert (found.name, found.holds, found.doubtful, found.where) == ("alone, right", False, False, "001.norm")
    assert "depends on the other images" in found.why
    same = written(tmp_path / "same", **{"000.conv": some, "001.norm": batch.arranged(changed(ROWS))})
    assert alone(ALONE[0], whole, same, batch).holds


@pytest.mark.parametrize(
    ("off", "moved", "holds", "doubtful"), [(1e-10, 1, True, False), (1e-3, 1e-3, False, True), (1e-3, 0, False, False)]
)
def test_noise_beyond_five_digits_leaves_a_rung_undecided(tmp_path, off, moved, holds, doubtful):
    ours, theirs, again = (
        written(tmp_path / name, **{"sgd slots/000.conv.kernel/velocity": ROWS * (1 + by)})
        for name, by in (("ours", 0), ("theirs", off), ("again", moved))
    )
    batch = Batch.of(IMAGES, LABELS, permuted=True)
    (rung,) = [each for each in rungs("sgd", ours, theirs, "float64", lambda: again, batch) if each.name == "sgd slots"]
    assert (rung.holds, rung.doubtful) == (holds, doubtful)


def test_a_rung_of_before_holds_as_it_did():
    assert Rung(name="sgd slots", error=2.8e-2, where="", tensors=1, bound=6e-2, noise=6e-3).holds
