"""Errors of tensors against a reference, and when two sides count as the same."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isotune.comparison import observations
from isotune.comparison.batch import Batch
from isotune.comparison.bounds import BOUND, NOISE_FACTOR, REFEREE_FACTOR, judge
from isotune.comparison.errors import Error, errors, largest, relative_error, root_mean_square, worst
from isotune.comparison.observations import Observations
from isotune.errors import UsageError


def array(*values: float) -> np.ndarray:
    return np.array(values)


def test_an_error_is_relative_to_the_tensor_and_what_cancels_to_the_rung():
    assert relative_error(array(1.0, 100.0), array(1.0, 101.0), 0.0) == (0.01, "")
    assert relative_error(array(1e-20), array(2e-20), 1e-3) == (pytest.approx(1e-17), "")
    assert relative_error(array(0.0), array(0.0), 0.0) == (0.0, "")
    assert relative_error(array(0.0), array(1.0), 0.0) == (1.0, "")
    assert relative_error(array(1.0), array(float("nan")), 0.0)[1] == "not finite"
    assert relative_error(array(1.0), array(1.0, 2.0), 0.0)[1] == "(1,) and (2,)"
    twice = relative_error(array(3.0, 4.0), array(6.0, 8.0), 0.0, root_mean_square)
    assert twice == (pytest.approx(1.0), "")


@pytest.mark.parametrize("values", [[1.0, float("nan")], [float("nan"), 1.0]])
def test_nan_is_never_an_agreement(values):
    for size in (largest, root_mean_square):
        assert math.isnan(size(array(*values)))
        assert relative_error(array(*values), array(1.0, 1.0), 0.0, size) == (math.inf, "not finite")


def test_all_tensors_of_a_rung_are_compared_and_the_worst_is_named():
    ours = {"a": array(1.0), "b": array(1e-12)}
    theirs = {"a": array(1.0), "b": array(2e-12)}
    assert [error.relative for error in errors(ours, theirs)] == [0.0, pytest.approx(1.0)]
    floored = errors(ours, theirs, floored=True)
    assert floored[1].relative == pytest.approx(1e-9), "b cancels to nothing beside a"
    assert worst(floored).name == "b"
    assert worst([]) == Error(name="", relative=0.0)


def test_a_tensor_that_one_side_lacks_is_an_error_unless_only_shared_ones_count():
    ours, theirs = {"z": array(1.0), "b": array(1.0)}, {"z": array(2.0), "a": array(1.0)}
    listed = errors(ours, theirs)
    assert [(error.name, error.lacking) for error in listed] == [("z", False), ("b", True), ("a", True)]
    assert (worst(listed).name, worst(listed).relative) == ("a", math.inf)
    assert [error.name for error in errors(ours, theirs, every=False)] == ["z"]


def listed(*relative: float) -> list[Error]:
    return [Error(name=str(number), relative=each) for number, each in enumerate(relative)]


def test_noise_is_measured_only_where_the_bound_does_not_hold():
    def noise() -> float:
        raise AssertionError("nobody needs it")

    assert judge(listed(0.0, BOUND), noise=noise).holds
    above = judge(listed(5e-8, 0.0), noise=lambda: 1e-8)
    assert (above.holds, above.bound.allowed, above.bound.measured) == (True, NOISE_FACTOR * 1e-8, 1e-8)
    assert not judge(listed(5e-7), noise=lambda: 1e-8).holds
    assert judge(listed(2 * BOUND), noise=lambda: 0.0).bound.allowed == BOUND
    without = judge(listed(5e-8))
    assert ([error.name for error in without.failing], without.bound.measured) == (["0"], None)


def test_below_float64_the_references_own_error_is_the_measure():
    judged = judge(listed(4e-6, 1e-9), own=listed(0.0, 1e-6))
    assert (judged.holds, judged.bound.allowed, judged.bound.why) == (True, REFEREE_FACTOR * 1e-6, "referee")
    assert not judge(listed(math.inf), own=listed(1e-6)).holds


def test_a_folder_gives_the_part_under_a_prefix(tmp_path):
    arrays = {"loss": array(1.0), "gradients/a": array(2.0), "gradients/b": array(3.0)}
    observations.write(tmp_path, arrays.items())
    assert {name: value.tolist() for name, value in Observations(tmp_path, "gradients/").items()} == {
        "a": [2.0], "b": [3.0]
    }  # fmt: skip
    assert list(Observations(tmp_path).without("loss")) == ["gradients/a", "gradients/b"]
    assert Observations(tmp_path, "gradients/").get("loss") is None
    with pytest.raises(UsageError, match="no whole folder"):
        Observations(tmp_path / "elsewhere")


def test_a_batch_in_reverse_finds_its_own_order_again():
    images, labels = np.arange(12).reshape(4, 3), np.arange(4)
    batch = Batch.of(images, labels, permuted=True)
    assert batch.labels.tolist() == [3, 2, 1, 0]
    assert (batch.images[batch.places] == images).all()
    assert Batch.of(images, labels, permuted=False).order.tolist() == [0, 1, 2, 3]
