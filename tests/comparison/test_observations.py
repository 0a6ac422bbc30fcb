"""Arrays in a folder come back as they were, whatever wrote it; what is not whole is refused in one line."""

from __future__ import annotations

import json

import numpy as np
import pytest

from isotune.comparison import observations
from isotune.comparison.observations import Observations
from isotune.errors import UsageError

DRAWN = np.random.default_rng(0).normal(size=(2, 3, 4))
SEEN = {
    "step/000.conv.kernel": DRAWN, "step/a view": np.moveaxis(DRAWN, 1, -1), "buffers/none": np.zeros((0, 3)),
    "loss": np.array(0.1, np.float32), "count": np.arange(5), "flags": np.array([True, False]),
}  # fmt: skip


def same(seen, wanted):
    assert list(seen) == list(wanted)
    for name, array in wanted.items():
        assert name in seen
        assert seen[name].dtype == array.dtype
        assert np.array_equal(seen[name], array)
        assert seen[name].shape == array.shape


def test_arrays_come_back_to_the_bit_and_in_their_order(tmp_path):
    observations.write(tmp_path / "a", SEEN.items())
    observations.copy(tmp_path / "a", tmp_path / "b")
    same(Observations(tmp_path / "b"), SEEN)
    stepped = Observations(tmp_path / "a", "step/")
    same(stepped.without("a view"), {"000.conv.kernel": DRAWN})
    assert "loss" not in stepped
    assert len(list((tmp_path / "a").iterdir())) == 2


def test_they_cannot_be_written_to(tmp_path):
    observations.write(tmp_path / "a", SEEN.items())
    with pytest.raises(ValueError, match="read-only"):
        Observations(tmp_path / "a")["count"][0] = 7


def test_a_folder_of_before_with_a_file_for_each_is_read_as_ever(tmp_path):
    (tmp_path / "a").mkdir()
    for number, array in enumerate(SEEN.values()):
        np.save(tmp_path / f"a/{number}.npy", array)
    (tmp_path / "a/index.json").write_text(json.dumps({name: number for number, name in enumerate(SEEN)}))
    observations.copy(tmp_path / "a", tmp_path / "b")
    same(Observations(tmp_path / "b"), SEEN)


def test_of_nothing_there_is_nothing(tmp_path):
    observations.write(tmp_path / "a", ())
    observations.copy(tmp_path / "a", tmp_path / "b")
    assert dict(Observations(tmp_path / "b")) == {}


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ([0, "<f8", [99]], "ends at byte 792, and there are 64"),
        ([-8, "<f8", [1]], "no place, type and shape"),
        ([0, "|O", [1]], "no place, type and shape"),
        ([0, "<f8", 3], "no place, type and shape"),
        ([0, "<f8", [True]], "no place, type and shape"),
        ([0, "<f3", [1]], "not a whole array of NumPy"),
        ([0, "<f8"], "no list of arrays by name"),
        (-1, "no list of arrays by name"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path, entry, why):
    observations.write(tmp_path / "a", [("x", np.arange(3.0))])
    (tmp_path / "a/index.json").write_text(json.dumps({"x": entry}))
    with pytest.raises(UsageError, match=why):
        Observations(tmp_path / "a")["x"]


@pytest.mark.parametrize("missing", ["index.json", "arrays.bin"])
def test_a_folder_that_is_not_whole_is_refused(tmp_path, missing):
    observations.write(tmp_path / "a", [("x", np.arange(3.0))])
    (tmp_path / "a" / missing).unlink()
    with pytest.raises(UsageError, match=str(missing)):
        observations.copy(tmp_path / "a", tmp_path / "b")
