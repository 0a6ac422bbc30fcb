"""The linear probe minimises what its docstring says, and picks what does best on the held-out part."""

from __future__ import annotations

import multiprocessing
import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits

from isotune import cache
from isotune.errors import UsageError
from isotune.protocols import Probe
from isotune.runs import probe
from isotune.runs.scores import cross_entropy
from isotune.runs.selection.holding_out import split
from isotune.seeds import Seeds
from isotune.workers.disturbance import Watch


def clouds(images: int, classes: int, features: int = 12, seed: int = 0):
    stream = np.random.default_rng(seed)
    labels = np.arange(images) % classes
    centres = stream.normal(size=(classes, features))
    return centres[labels] + 0.8 * stream.normal(size=(images, features)) + 3, labels


def test_the_fit_minimises_mean_cross_entropy_plus_half_l2():
    train, labels = clouds(60, 3, 4)
    l2 = 0.05
    fitted = probe.fit(Probe(l2=(l2,)), train, labels, train, 3, Seeds.all(0))

    def objective(flat):
        kernel, bias = flat[:12].reshape(4, 3), flat[12:]
        logits = train @ kernel + bias
        loss = (logsumexp(logits, axis=1) - logits[np.arange(60), labels]).mean()
        return loss + l2 / 2 * (kernel**2).sum()

    best = minimize(objective, np.zeros(15), tol=1e-10).x
    expected = train @ best[:12].reshape(4, 3) + best[12:]
    ours, theirs = (a - a.mean(axis=1, keepdims=True) for a in (fitted.logits, expected))
    np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_the_strength_is_the_one_with_the_lowest_held_out_cross_entropy():
    train, labels = clouds(200, 4)
    _, held_out = split(labels, 0.2, 0, "held_out")
    losses = {}
    for l2 in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        recipe = Probe(l2=(l2,), refit=False)
        logits = probe.fit(recipe, train, labels, train[held_out], 4, Seeds.all(0)).logits
        losses[l2] = cross_entropy(logits, labels[held_out])
    best = min(losses, key=losses.get)
    assert min(losses) < best < max(losses), "else the order of the strengths could decide"
    for order in (tuple(losses), tuple(reversed(losses))):
        assert probe.fit(Probe(l2=order), train, labels, train, 4, Seeds.all(0)).l2 == best


def test_roundings_of_the_features_do_not_choose_another_strength_or_class():
    train, labels = clouds(400, 4, 64)
    noise = 1e-5 * np.random.default_rng(1).normal(size=train.shape)
    for seed in range(5):
        recipe = Probe(l2=(1e-3, 1e-2, 1e-1), refit=False)
        one, two = (probe.fit(recipe, x, labels, x, 4, Seeds.all(seed)) for x in (train, train + noise))
        assert one.l2 == two.l2
        np.testing.assert_array_equal(one.logits.argmax(axis=1), two.logits.argmax(axis=1))


def test_without_refit_the_held_out_part_stays_unused():
    train, labels = clouds(100, 4)
    assert probe.fit(Probe(l2=(0.1,), refit=False), train, labels, train, 4, Seeds.all(0)).train_images == 80
    assert probe.fit(Probe(l2=(0.1,)), train, labels, train, 4, Seeds.all(0)).train_images == 100


def test_two_classes_and_a_class_without_training_images_are_handled():
    train, labels = clouds(80, 2)
    two = probe.fit(Probe(l2=(0.01,)), train, labels, train, 2, Seeds.all(0))
    assert (two.logits.argmax(axis=1) == labels).mean() > 0.9
    three = probe.fit(Probe(l2=(0.01,)), train, labels, train, 3, Seeds.all(0))
    assert np.isneginf(three.logits[:, 2]).all()
    np.testing.assert_array_equal(three.logits.argmax(axis=1), two.logits.argmax(axis=1))


def test_constant_features_do_no_harm():
    train, labels = clouds(80, 4)
    train[:, 3] = 7.0
    fitted = probe.fit(Probe(l2=(0.01,), standardise=True), train, labels, train, 4, Seeds.all(0))
    assert np.isfinite(fitted.logits).all()


def test_the_number_of_threads_does_not_change_the_result():
    train, labels = clouds(300, 5, 64)
    with threadpool_limits(1):
        one = probe.fit(Probe(l2=(0.01, 0.1)), train, labels, train, 5, Seeds.all(0)).logits
    two = probe.fit(Probe(l2=(0.01, 0.1)), train, labels, train, 5, Seeds.all(0)).logits
    np.testing.assert_array_equal(one, two)


@settings(max_examples=50)
@given(counts=st.lists(st.integers(1, 12), min_size=2, max_size=6), share=st.floats(0.05, 0.9), seed=st.integers(0, 9))
def test_the_held_out_part_is_stratified_and_leaves_every_class_something(counts, share, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    assume(max(counts) > 1)
    fitted, held = split(labels, share, seed, "held_out")
    assert sorted([*fitted, *held]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        assert (labels[fitted] == label).sum() >= 1
        assert abs((labels[held] == label).sum() - share * count) <= 1


class Counting:
    """Features by a fixed projection; counts the images that go through."""

    images = 0

    def device_clocks(self):
        return {}

    def features(self, images):
        self.images += len(images)
        return images.reshape(len(images), -1)[:, :5].astype(np.float32)


def test_features_are_computed_once_and_a_damaged_file_is_made_again(house, monkeypatch):
    monkeypatch.setenv("ISOTUNE_CACHE", str(house / "cache"))
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    model, identity = Counting(), {"what": "this test"}
    first = probe.features(model, images, images[:4], 4, identity, lambda *_: None)
    again = probe.features(model, images, images[:4], 4, identity, lambda *_: None)
    assert (model.images, first.cached, again.cached) == (14, False, True)
    assert (again.seconds, again.images, again.first_batch) == (first.seconds, first.images, first.first_batch)
    np.testing.assert_array_equal(first.train, again.train)
    (file,) = cache.folder("features").glob("*/train.npy")
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(
        probe.features(model, images, images[:4], 4, identity, lambda *_: None).train, first.train
    )
    assert model.images == 28


class Slow(Counting):
    """Leaves a byte for each batch."""

    def __init__(self, told):
        self.told = told

    def features(self, images):
        time.sleep(0.1)
        with self.told.open("ab") as file:
            file.write(b".")
        return super().features(images)


def _cached(told) -> bool:
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    return probe.features(Slow(told), images, images[:4], 2, {"what": "both"}, lambda *_: None).cached


def test_of_two_processes_that_want_the_same_features_one_computes_them(house, monkeypatch):
    monkeypatch.setenv("ISOTUNE_CACHE", str(house / "cache"))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        cached = pool.map(_cached, [house / "told"] * 2, chunksize=1)
    assert sorted(cached) == [False, True]
    assert (house / "told").stat().st_size == 7


def test_what_disturbed_the_extraction_is_kept_with_the_features(house, monkeypatch):
    monkeypatch.setenv("ISOTUNE_CACHE", str(house / "cache"))
    images, told = np.zeros((8, 4, 4, 3), np.uint8), lambda *_: None

    class Beside(Watch):
        """Beside a program that takes half of the cores."""

        def look(self):
            self.seen = super().look().model_copy(update={"others": 0.5})
            return self.seen

    monkeypatch.setattr(probe, "Watch", Beside)
    made, again = (probe.features(Counting(), images, images[:4], 4, {"what": "beside"}, told) for _ in range(2))
    assert (made.cached, again.cached) == (False, True)
    assert (made.disturbance.others, again.disturbance) == (0.5, made.disturbance)


def test_a_probe_of_nothing_held_out_is_said_in_one_line():
    train, labels = clouds(4, 4)
    with pytest.raises(UsageError, match="none can be held out"):
        probe.fit(Probe(l2=(0.1,)), train, labels, train, 4, Seeds.all(0))
