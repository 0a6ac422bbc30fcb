"""What layers hand on in the place of their own outputs, and which layers show nothing then. In NumPy alone."""

from __future__ import annotations

import numpy as np
import pytest

from isotune.adapters.handing_on import Pass, shown
from isotune.weights import Layer


def layers(*inputs: tuple[str, ...]) -> list[Layer]:
    return [Layer(f"{number:03d}.conv", "conv", 0, str(number), given) for number, given in enumerate(inputs)]


CHAIN = layers((), ("000.conv",), ("001.conv",))
IMAGE = np.ones((2, 5, 4, 3))


def chain(fails_on=(), crop=0):
    """A network of layers that double, the first of which may cut a row off."""

    def through(one: Pass) -> None:
        values = IMAGE
        for layer in CHAIN:
            output = 2 * values[:, crop:] if layer.name == "000.conv" else 2 * values
            handed = one.instead(layer.name, output)
            values = output if handed is None else handed
            if values.shape[1] in fails_on:
                raise ValueError("a Reshape of fixed sizes")

    return through


def outputs(given, through):
    return dict(shown(CHAIN, given, through))


OWN = outputs({}, chain())


def test_a_map_of_another_size_is_handed_on():
    cropped = outputs(OWN, chain(crop=1))
    assert cropped["000.conv"].shape == (2, 4, 4, 3)
    assert [np.array_equal(cropped[name], OWN[name]) for name in ("001.conv", "002.conv")] == [True, True]


def test_a_vector_stands_for_a_map_of_one_pixel():
    vector = {"000.conv": np.zeros((2, 60))}
    assert not outputs(vector, chain())["001.conv"].any()


def test_what_cannot_go_on_with_another_size_leaves_out_the_layers_that_read_it():
    cropped = outputs(OWN, chain(fails_on={5}, crop=1))
    assert list(cropped) == ["000.conv"]
    assert list(outputs({"000.conv": OWN["000.conv"]}, chain(fails_on={5}, crop=1))) == ["000.conv", "002.conv"]


def test_other_channels_are_not_handed_on():
    assert list(outputs({"000.conv": np.zeros((2, 5, 4, 7))}, chain())) == ["000.conv", "002.conv"]


def test_without_a_dataflow_all_that_follows_is_left_out():
    unknown = [Layer(layer.name, "conv", 0, layer.library_name) for layer in CHAIN]
    assert [name for name, _ in shown(unknown, {"000.conv": np.zeros((2, 5, 4, 7))}, chain())] == ["000.conv"]


def test_a_failure_without_any_other_size_is_the_networks_own():
    with pytest.raises(ValueError, match="fixed sizes"):
        outputs(OWN, chain(fails_on={5}))
