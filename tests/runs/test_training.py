"""The one training loop: what is drawn, in which order, and how steps are counted."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotune.errors import UsageError
from isotune.protocols import SGD, Schedule, Stage
from isotune.runs.scores import cross_entropy
from isotune.runs.training import dropout_mask, layer_rates, sample_order, steps_of
from isotune.seeds import Seeds
from isotune.weights import Layer


def stage(**values) -> Stage:
    optimizer, schedule = SGD(name="sgd"), Schedule(learning_rate=0.1)
    return Stage(**{"epochs": 1, "batch_size": 4, "optimizer": optimizer, "schedule": schedule} | values)


@given(images=st.integers(1, 60), batch=st.integers(1, 20), drop=st.booleans(), seed=st.integers(0, 99))
def test_every_epoch_sees_every_image_once(images, batch, drop, seed):
    if drop and batch > images:
        return
    an_epoch = steps_of(stage(batch_size=batch, drop_last=drop), images)[1]
    batches = list(islice(sample_order(images, batch, drop, Seeds.all(seed), 0), 2 * an_epoch))
    for epoch in (0, 1):
        seen = np.concatenate([chosen for number, chosen in batches if number == epoch])
        assert len(set(seen)) == len(seen) == (images // batch * batch if drop else images)
    assert all(len(chosen) == batch for _, chosen in batches) or not drop


def test_the_order_depends_on_the_order_seed_the_stage_and_the_epoch_alone():
    def first(seeds, number=0):
        return next(iter(sample_order(100, 100, False, seeds, number)))[1].tolist()

    same = Seeds(head=5, order=1, augmentation=9)
    assert first(Seeds.all(1)) == first(same)
    assert first(Seeds.all(1)) != first(Seeds.all(2))
    assert first(Seeds.all(1)) != first(Seeds.all(1), 1)
    one, two = islice(sample_order(100, 100, False, same, 0), 2)
    assert one[1].tolist() != two[1].tolist()


def test_steps_are_given_or_come_from_epochs():
    assert steps_of(stage(epochs=3), 10) == (9, 3)
    assert steps_of(stage(epochs=3, drop_last=True), 10) == (6, 2)
    assert steps_of(stage(epochs=None, steps=5), 10) == (5, 3)
    with pytest.raises(UsageError, match="leaves no batch of 3 training images"):
        steps_of(stage(drop_last=True), 3)


def test_dropout_masks_keep_the_mean_and_are_the_same_for_every_library():
    mask = dropout_mask(Seeds.all(0), 0, 7, (400, 500), 0.2)
    assert set(np.unique(mask)) == {np.float32(0), np.float32(1.25)}
    assert mask.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_array_equal(mask, dropout_mask(Seeds(head=3, order=0, augmentation=4), 0, 7, (400, 500), 0.2))
    assert (mask != dropout_mask(Seeds.all(0), 0, 8, (400, 500), 0.2)).any()
    assert dropout_mask(Seeds.all(0), 0, 7, (4, 5), 0.0) is None


def test_cross_entropy_is_that_of_the_definition_and_stable():
    logits, labels = np.random.default_rng(0).normal(size=(20, 5)), np.arange(20) % 5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.log(probabilities[np.arange(20), labels]).mean()
    assert cross_entropy(logits, labels) == pytest.approx(expected, rel=1e-12)
    assert cross_entropy(logits + 1e4, labels) == pytest.approx(expected, rel=1e-9)
    assert cross_entropy(np.full((2, 3), np.nan), np.zeros(2, int)) is None
    assert cross_entropy(np.array([[0.0, -np.inf]]), np.array([1])) is None


def test_rates_fall_from_block_to_block_and_the_head_has_all():
    layers = [Layer(str(block), "conv", block, "") for block in (0, 1, 1, 3)] + [Layer("head", "dense", -1, "")]
    assert layer_rates(layers, stage(layer_decay=0.5)) == {"0": 1 / 16, "1": 1 / 8, "3": 1 / 2, "head": 1}
    assert layer_rates(layers, stage(body_rate=0.1)) == {"0": 0.1, "1": 0.1, "3": 0.1, "head": 1}
    assert set(layer_rates(layers, stage()).values()) == {1}
    for wrong, said in (
        ({"trained": "head", "layer_decay": 0.5}, "trains none"),
        ({"accumulate": 2}, "drop_last"),
        ({"accumulate": 3, "drop_last": True}, "a multiple of it"),
    ):
        with pytest.raises(UsageError, match=said):
            stage(**wrong)


RECIPE = """
name = "mixed"
title = "Mixed"
source = "this test"
images = { train = 20, test = 10 }
input = { size = 8 }
augmentation = { mixing = { mixup = 0.2 } }

[[stage]]
trained = "head"
epochs = 1
batch_size = 10
optimizer = { name = "sgd" }
schedule = { learning_rate = 0.1 }
"""


def test_a_technique_that_an_adapter_lacks_is_refused_and_not_left_out(here, house):
    (house / "mixed.toml").write_text(RECIPE)
    status, _, err = here(
        "run",
        "--models",
        "example:random-features",
        "--checkpoint",
        "random:0",
        "--protocols",
        "./mixed.toml",
        "--seeds",
        "1",
    )
    assert status == 2
    assert "trains without mixed targets" in err
