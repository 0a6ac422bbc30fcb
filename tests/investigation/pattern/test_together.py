"""What all layers that fail have in common is said, where it is so of all of them."""

from __future__ import annotations

import numpy as np

from isotune.investigation.pattern import alike, described, pattern

BOUND = 1e-9
TENSORS = {
    "000.conv.kernel": (4, 4, 3, 8),
    "001.norm.scale": (8,), "001.norm.shift": (8,),
    "002.conv.kernel": (7, 7, 1, 8),
    "003.norm.scale": (8,), "003.norm.shift": (8,),
    "004.dense.kernel": (8, 32),
    "005.norm.scale": (8,), "005.norm.shift": (8,), "005.norm.mean": (8,), "005.norm.variance": (8,),
    "006.scale.scale": (8,),
    "007.conv.kernel": (3, 3, 1, 8),
    "head.kernel": (8, 3),
}  # fmt: skip
LAYERS = list(dict.fromkeys(name.rpartition(".")[0] for name in TENSORS))


def drawn(shape, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(1, 2, shape)


def test_a_kind_of_layer_is_named_when_all_that_fail_are_of_it():
    assert alike(["001.norm", "003.norm"], LAYERS, TENSORS) == (
        "All 2 layers that fail are LayerNorms, and no other of them holds."
    )
    assert "All 3 layers that fail are norms, and" in alike(["001.norm", "003.norm", "005.norm"], LAYERS, TENSORS)
    assert "are depthwise convolutions, and" in alike(["002.conv", "007.conv"], LAYERS, TENSORS)
    assert "are dense layers, and" in alike(["004.dense", "head"], LAYERS, TENSORS)
    assert "are convolutions, of 3 there are" in alike(["000.conv", "007.conv"], LAYERS, TENSORS)


def test_nothing_is_said_of_one_layer_of_all_or_of_a_mixture():
    assert alike(["001.norm"], LAYERS, TENSORS) == ""
    assert alike(LAYERS, LAYERS, TENSORS) == ""
    assert alike(["001.norm", "004.dense"], LAYERS, TENSORS) == ""
    assert alike(["001.norm", "003.norm"], ["001.norm", "003.norm", "005.norm"], {}) == ""


def test_an_equation_that_holds_of_all_is_said_to():
    ours = {f"{number:03d}.conv.kernel": drawn((3, 3, 2, 4), number) for number in range(3)}
    halved = {name: array / 2 for name, array in ours.items()}
    said = list(described(list(ours), ours, halved, BOUND, layers=False))
    assert said[0].startswith("000.conv.kernel: Other = 0.5 * reference")
    assert said[-1] == "The same holds of all 3 that fail."
    other = halved | {"002.conv.kernel": ours["002.conv.kernel"] / 3}
    assert len(list(described(list(ours), ours, other, BOUND, layers=False))) == 1


def test_an_arrangement_says_of_how_many_tensors_it_is_so():
    ours = {f"{number:03d}.conv.kernel": drawn((3, 3, 4, 4), number) for number in range(3)}
    other = {name: array.transpose(1, 0, 2, 3) for name, array in ours.items()}
    (said,) = described(list(ours), ours, other, BOUND, layers=False)
    assert said == (
        "000.conv.kernel: other = reference with its height and width exchanged (so are 3 of the 3 that fail)."
    )


def test_a_tensor_has_channels_and_no_images():
    ours = drawn((8,), 0)
    theirs = ours.copy()
    theirs[5] += 1
    found = pattern(ours, theirs, BOUND, batched=False)
    assert (found.images, found.channels) == ((), (5,))
    assert found.statements[0].startswith("Only channel 5 differs (1 of 8)")
    matrix = drawn((6, 8), 1)
    assert pattern(matrix, matrix * np.where(np.arange(8) == 2, 2.0, 1.0), BOUND, batched=False).channels == (2,)


def test_only_the_first_token_is_said():
    ours = drawn((4, 17, 8), 0)
    theirs = ours.copy()
    theirs[:, 0] *= 3
    found = pattern(ours, theirs, BOUND)
    assert found.tokens == (0,)
    assert found.statements[0].startswith("Only token 0 differs (1 of 17)")
    assert found.statements[1].startswith("There, other = 3 * reference")
    theirs = ours + drawn((4, 17, 8), 1)
    theirs[:, 0] = ours[:, 0]
    assert pattern(ours, theirs, BOUND).statements[0].startswith("All tokens but 0 differ")


def test_one_image_in_the_place_of_all_is_said():
    ours = drawn((4, 5, 5, 3), 0)
    found = pattern(ours, np.broadcast_to(ours[2:3], ours.shape), BOUND)
    assert "every image of the other is image 2 of the reference".capitalize() in found.statements[-1].capitalize()


def test_interleaved_channels_are_called_so():
    ours = drawn((4, 5, 5, 12), 0)
    theirs = ours.reshape(4, 5, 5, 3, 4).swapaxes(3, 4).reshape(ours.shape)
    assert "interleaved: 3 x 4 of them read as 4 x 3" in " ".join(pattern(ours, theirs, BOUND).statements)
