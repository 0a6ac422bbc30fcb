"""A loop's images held against those that a protocol draws: its order, or what the loop does instead."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import isotune
from isotune import data, protocols
from isotune.conventions import affine
from isotune.data.augmentation import Augmenter
from isotune.errors import UsageError
from isotune.recordings import Optimizer, Recording, Writer
from isotune.runs.training import sample_order
from isotune.seeds import Seeds

SIZE, BATCH, STEPS = 8, 10, 8
RECIPE = """
name = "mine"
title = "Mine"
source = "a test"
[images]
train = 40
[input]
size = 8
[augmentation]
horizontal_flip = FLIP
[[stage]]
epochs = 3
batch_size = 10
[stage.optimizer]
name = "sgd"
[stage.schedule]
learning_rate = 0.1
"""


@pytest.fixture
def recipe(tmp_path):
    def write(flip: float = 0.0):
        path = tmp_path / f"flip-{flip}.toml"
        path.write_text(RECIPE.replace("FLIP", str(flip)))
        return path

    return write


def recorded(folder, batches, labels=None, scaling: str = "mean-std") -> Recording:
    """A loop that sees these batches, uint8 [B, H, W, 3] each, and does nothing with them."""
    bgr, scale, offset = affine(scaling)
    writer = Writer(folder, range(len(batches)), (), 0, 1 << 30, 4)
    writer.describe("numpy", "Loop", [], {}, in_order=True, per_step=1)
    for number, batch in enumerate(batches):
        step = writer.begin()
        step.add_pass((batch[..., ::-1] if bgr else batch) * scale + offset)
        if labels is not None:
            step.tell(labels=labels[number])
        step.finish(Optimizer(own="SGD", family="sgd", groups=({"learning_rate": 0.1},)))
        writer.passed(0.1, len(batch), 1)
    writer.close()
    return Recording(folder)


def drawn(recipe, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The batches and labels that a run has."""
    protocol = protocols.load(recipe)
    augmenter = Augmenter(data.prepare("digits"), protocol.images, protocol.input, protocol.augmentation)
    order = list(islice(sample_order(len(augmenter), BATCH, False, Seeds.all(seed), 0), STEPS))
    batches = [augmenter.batch(epoch, chosen, Seeds.all(seed))[0] for epoch, chosen in order]
    return batches, [augmenter.labels[chosen] for _, chosen in order]


def view(recipe, split: str = "train") -> np.ndarray:
    protocol = protocols.load(recipe)
    return data.inputs(data.prepare("digits"), split, protocol.images, protocol.input)[0]


def held(recording: Recording, recipe):
    found = isotune.investigate(f"recording:{recording.folder}", f"protocol:{recipe}", dataset="digits")
    causes = {cause.name: cause.words for cause in found.causes if cause.rung == "batch"}
    return causes, [each for each in found.agreed if "image" in each], [e for e in found.not_compared if "image" in e]


@pytest.mark.parametrize(("seed", "scaling", "flip"), [(0, "mean-std", 0.0), (3, "caffe", 0.0), (1, "unit", 0.5)])
def test_the_protocols_own_order_is_known_by_its_seed(seed, scaling, flip, recipe, tmp_path):
    batches, labels = drawn(recipe(flip), seed)
    causes, agreed, unknown = held(recorded(tmp_path / "a", batches, labels, scaling), recipe(flip))
    assert (causes, unknown) == ({}, [])
    assert agreed == [f"the images and their order (the protocol's of seed {seed}; scaled {scaling})"]


POLICY = 'policy = [{ name = "rand-augment", magnitude = 9 }]'
ERASING = 'random_erasing = { probability = 0.9, fill = "mean" }'
FORMS = {  # what the protocol says, what the loop does in its place, the field and both values
    "magnitude": (POLICY, POLICY.replace("9", "25"), "augmentation.policy.1.magnitude", 25, 9),
    "operations": (POLICY, POLICY.replace("magnitude = 9", "operations = 1"), "augmentation.policy.1.operations", 1, 2),
    "no policy": (POLICY, "", "augmentation.policy.1", "none", "rand-augment"),
    "fill": (ERASING, ERASING.replace("mean", "noise"), "augmentation.random_erasing.fill", "noise", "mean"),
    "noise of bytes": (
        ERASING, ERASING.replace("mean", "clipped-noise"), "augmentation.random_erasing.fill", "clipped-noise", "mean"
    ),
    "nothing erased": ("random_erasing = {}", "", "augmentation.random_erasing", "none", "asked for"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORMS)
def test_the_form_of_a_policy_or_of_erasing_is_named(case, tmp_path):
    says, does, field, ours, theirs = FORMS[case]
    recipes = {}
    for name, augmentation in (("says", says), ("does", does)):
        recipes[name] = tmp_path / f"{name}.toml"
        recipes[name].write_text(RECIPE.replace("horizontal_flip = FLIP", augmentation))
    batches, labels = drawn(recipes["does"], 2)
    recording = recorded(tmp_path / "a", batches, labels)
    found = isotune.investigate(f"recording:{recording.folder}", f"protocol:{recipes['says']}", dataset="digits")
    (cause,) = (cause for cause in found.causes if cause.rung == "batch")
    assert (cause.name, cause.left, cause.right) == (field, ours, theirs)
    assert "seed 2; scaled mean-std" in cause.words
    causes, agreed, _ = held(recording, recipes["does"])
    assert causes == {}
    assert agreed == ["the images and their order (the protocol's of seed 2; scaled mean-std)"]


@pytest.mark.parametrize(
    "augmentation", [POLICY, "random_erasing = {}", "mixing = { mixup = 1.0 }", "random_crop = 20"]
)
def test_a_generator_of_its_own_is_no_fault_where_images_are_changed(augmentation, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE.replace("horizontal_flip = FLIP", augmentation))
    batches, _ = drawn(path, 1_000)  # none of the seeds that are tried
    causes, _, unknown = held(recorded(tmp_path / "a", batches), path)
    assert causes == {}
    assert "at random, by none of seeds 0 to 9" in unknown[0]


def test_another_order_within_a_batch_is_said(recipe, tmp_path):
    batches, _ = drawn(recipe())
    _, agreed, _ = held(recorded(tmp_path / "a", [batch[::-1] for batch in batches]), recipe())
    assert "within a batch in another order" in agreed[0]


def of(numbers, images) -> list[np.ndarray]:
    return [images[numbers[start : start + BATCH]] for start in range(0, len(numbers), BATCH)]


def shuffled(seed: int) -> np.ndarray:
    return np.random.default_rng([99, seed]).permutation(40)


BREAKS = {
    "not shuffled": (lambda train, test: of(np.tile(np.arange(40), 2), train), "order", "not shuffled"),
    "one order": (lambda train, test: of(np.tile(shuffled(0), 2), train), "order", "every epoch has one order"),
    "twice": (
        lambda train, test: of(np.random.default_rng(1).integers(0, 40, 80), train), "order", "twice in one epoch",
    ),
    "of the test split": (
        lambda train, test: [*of(shuffled(0), train)[:3], test[:BATCH]], "images", "10 of 40 images are of the data",
    ),
    "mirrored": (
        lambda train, test: of(np.concatenate([shuffled(0), shuffled(1)]), train[:, :, ::-1]),
        "augmentation", "80 of 80",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BREAKS)
def test_what_no_shuffle_does_is_named(case, recipe, tmp_path):
    make, cause, said = BREAKS[case]
    causes, agreed, _ = held(recorded(tmp_path / "a", make(view(recipe()), view(recipe(), "test"))), recipe())
    assert set(causes) == {cause}
    assert said in causes[cause]
    assert agreed == []


def test_two_images_that_look_alike_are_not_one_drawn_twice(recipe, tmp_path, monkeypatch):
    """Data sets have duplicates, of other labels too."""
    from isotune.recordings.images import _looking_up

    twins = view(recipe()).copy()
    twins[7] = twins[3]
    _, labels = data.inputs(
        data.prepare("digits"), "train", protocols.load(recipe()).images, protocols.load(recipe()).input
    )
    monkeypatch.setattr(_looking_up, "inputs", lambda *given, **named: (twins, labels))
    numbers = np.concatenate([shuffled(0), shuffled(1)])
    told = [labels[numbers[start : start + BATCH]] for start in range(0, len(numbers), BATCH)]
    assert held(recorded(tmp_path / "a", of(numbers, twins), told), recipe())[0] == {}


def test_a_shuffle_of_its_own_is_no_fault_and_is_said(recipe, tmp_path):
    batches = of(np.concatenate([shuffled(0), shuffled(1)]), view(recipe()))
    causes, agreed, unknown = held(recorded(tmp_path / "a", batches), recipe())
    assert causes == {}
    assert agreed == ["the images (80 of the protocol's)"]
    assert "none of the protocol's of seeds 0 to 9" in unknown[0]


def test_labels_that_are_not_the_data_sets_are_named(recipe, tmp_path):
    batches, labels = drawn(recipe())
    labels[2] = (labels[2] + 1) % 10
    causes, _, _ = held(recorded(tmp_path / "a", batches, labels), recipe())
    assert set(causes) == {"labels"}
    assert "10 labels are not the data set's: first, in step 2" in causes["labels"]


def test_a_default_that_cannot_be_had_ends_nothing_and_a_named_data_set_does(recipe, tmp_path):
    batches, _ = drawn(recipe())
    recording = f"recording:{recorded(tmp_path / 'a', batches).folder}"
    with pytest.raises(UsageError, match="nothing-like-it"):
        isotune.investigate(recording, f"protocol:{recipe()}", dataset="nothing-like-it")
    prepare = data.prepare
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("isotune.data.prepare", lambda *given, **named: prepare("nothing-like-it"))
        found = isotune.investigate(recording, f"protocol:{recipe()}")
    assert "the images, their order, and how they were made" in found.not_compared


def test_images_of_another_data_set_are_not_judged(recipe, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (STEPS, BATCH, SIZE, SIZE, 3), dtype=np.uint8)
    causes, agreed, unknown = held(recorded(tmp_path / "a", list(noise)), recipe())
    assert (causes, agreed) == ({}, [])
    assert "80 of 80 are none of digits's as the protocol makes them; name the loop's own with --dataset" in unknown[0]
