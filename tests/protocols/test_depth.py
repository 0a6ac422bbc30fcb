"""Stochastic depth: the rates of the branches, and the masks that are drawn of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.errors import UsageError
from isotune.protocols import SGD, Schedule, Stage, StochasticDepth
from isotune.protocols.depth import branch_masks, drop_rates
from isotune.seeds import Seeds
from isotune.weights import Layer

# a stem, a block without a branch, three with one, two of which have two, and a last convolution
BLOCKS = ((0, 1), (1, 2), (2, 4), (3, 3), (4, 3), (5, 1))
LAYERS = [Layer(f"{block}.{place}", "conv", block, "") for block, kernels in BLOCKS for place in range(kernels)]
LAYERS += [Layer("4.norm", "norm", 4, ""), Layer("head", "dense", -1, "")]
BRANCHES = ("2.1", "2.3", "3.2", "4.norm")


@pytest.mark.parametrize(
    ("law", "shares"),
    [
        ("linear", [0, 0, 1 / 2, 1]),
        ("linear-from-first", [1 / 3, 1 / 3, 2 / 3, 1]),
        ("linear-over-all", [1 / 4, 1 / 4, 2 / 4, 3 / 4]),
        ("constant", [1, 1, 1, 1]),
    ],
)
def test_rates_grow_from_block_to_block(law, shares):
    rates = drop_rates(StochasticDepth(rate=0.2, law=law), LAYERS, BRANCHES)
    np.testing.assert_allclose(rates, 0.2 * np.array(shares), rtol=1e-15)


def test_the_one_branch_of_a_network_is_the_first_and_the_last():
    rates = {
        law: drop_rates(StochasticDepth(rate=0.2, law=law), LAYERS, BRANCHES[:1]) for law in ("linear", "constant")
    }
    assert rates == {"linear": [0.0], "constant": [0.2]}


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("per", ["image", "batch"])
def test_masks_have_the_moments_of_their_law(per, scaled):
    """Of 64 thousand draws each: the mean is 1 (unscaled 1-p), the variance p/(1-p) (unscaled p(1-p)), branches and,
    where each has its own draw, images are independent."""
    depth, rates = StochasticDepth(rate=0.3, per=per, scaled=scaled), np.array([0.0, 0.15, 0.3])
    draws = 64 if per == "image" else 2
    masks = [branch_masks(depth, rates, Seeds.all(0), 0, step, 64, 2) for step in range(64_000 // draws)]
    sample = np.concatenate([each[:: 64 // draws] for each in masks]).astype(np.float64)
    error = 5 * np.sqrt(1 / len(sample))
    expected = np.ones(3) if scaled else 1 - rates
    spread = rates / (1 - rates) if scaled else rates * (1 - rates)
    np.testing.assert_allclose(sample.mean(0), expected, atol=error)
    np.testing.assert_allclose(sample.var(0), spread, atol=2 * error)
    assert abs(np.corrcoef(sample[:, 1:].T)[0, 1]) < error
    assert abs(np.corrcoef(sample[:-1, 2], sample[1:, 2])[0, 1]) < error
    assert set(np.unique(sample[:, 0])) == {1.0}


@given(
    images=st.integers(1, 6), parts=st.integers(1, 3), step=st.integers(0, 10**6), stage=st.integers(0, 3),
    seed=st.integers(0, 2**32), per=st.sampled_from(["image", "batch"]),
)  # fmt: skip
def test_masks_depend_on_their_seed_the_stage_and_the_step_alone(images, parts, step, stage, seed, per):
    depth, rates, count = StochasticDepth(rate=0.5, per=per), np.full(40, 0.5), images * parts
    mask = branch_masks(depth, rates, Seeds.all(seed), stage, step, count, parts)
    assert mask.shape == (count, 40)
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) <= {0, 2}
    again = branch_masks(depth, rates, Seeds(head=1, order=3, augmentation=2, depth=seed), stage, step, count, parts)
    np.testing.assert_array_equal(mask, again)
    for other in ((seed + 1, stage, step), (seed, stage + 1, step), (seed, stage, step + 1)):
        assert (branch_masks(depth, rates, Seeds.all(other[0]), *other[1:], count, parts) != mask).any()
    shared = len(np.unique(mask, axis=0))
    assert shared <= parts if per == "batch" else shared == count
    if per == "batch":
        for part in np.split(mask, parts):
            assert len(np.unique(part, axis=0)) == 1


def test_a_stage_without_it_has_the_key_that_it_had():
    stage = {"epochs": 1, "batch_size": 4, "optimizer": SGD(), "schedule": Schedule(learning_rate=0.1)}
    assert "stochastic_depth" not in Stage(**stage).model_dump()
    dumped = Stage(**stage, stochastic_depth={"rate": 0.1}).model_dump()["stochastic_depth"]
    assert dumped == {"rate": 0.1, "law": "linear", "per": "image", "scaled": True}


@pytest.mark.parametrize(
    ("wrong", "said"), [({"rate": 1.0}, "rate"), ({"rate": 0.1, "law": "lineer"}, "law"), ({"rate": 0.0}, "rate")]
)
def test_a_wrong_field_is_named(wrong, said):
    with pytest.raises(UsageError, match=said):
        StochasticDepth(**wrong)
