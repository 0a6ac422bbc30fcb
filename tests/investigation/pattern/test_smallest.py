"""The smallest input: shrunk from every edge, and still one that shows the difference."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from isotune.investigation.pattern import PARTS, smallest

SIDE = 32


def images(count: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


@given(st.integers(0, 2), st.integers(0, SIDE - 1), st.integers(0, SIDE - 1))
def test_one_pixel_is_found_to_an_eighth_of_the_side(which, row, column):
    given_images = images()

    def shows(image):
        return bool((image[0, row, column] == given_images[which, row, column]).all())

    found = smallest(given_images, shows)
    assert found.image == which
    assert (found.height, found.width) == (SIDE // PARTS, SIDE // PARTS)
    assert found.top <= row < found.top + found.height
    assert found.left <= column < found.left + found.width
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.png))))
    assert shows(decoded[None])
    assert not decoded[: found.top].any()
    assert not decoded[:, : found.left].any()


@given(st.tuples(*[st.integers(0, SIDE - 1)] * 4))
def test_two_pixels_stay_inside(places):
    one, two = places[:2], places[2:]
    found = smallest(images(1), lambda image: bool(image[0][one].all() and image[0][two].all()))
    for row, column in (one, two):
        assert found.top <= row < found.top + found.height
        assert found.left <= column < found.left + found.width


def test_a_black_image_or_none():
    found = smallest(images(), lambda image: True)
    assert (found.image, found.height, found.width) == (0, 0, 0)
    assert smallest(images(), lambda image: False) is None


def test_few_questions_are_asked():
    asked = []
    smallest(images(1), lambda image: not asked.append(1) and bool(image[0, 3, 3].all()))
    assert len(asked) <= 2 + 4 * (PARTS.bit_length() - 1)


@pytest.mark.usefixtures("warm")
@pytest.mark.parametrize("fault", ["kernel-mirrored"])
def test_an_unexplained_layer_comes_with_one(here, house, fault):
    pytest.importorskip("torchvision", reason="needs the extra torch")
    import json

    status, said, told = here(
        "investigate", "torchvision:mobilenet_v2:width_mult=0.35",
        f"planted:mobilenet_v2:fault={fault}:width_mult=0.35", "--checkpoint", "random:0", "--conventions",
        "identical", "--protocol", "quick-fine-tune", "--images", "4", "--steps", "2", "--name", "port", "--out",
        "found", "--json",
    )  # fmt: skip
    assert status == 1, told
    (layers,) = (rung for rung in json.loads(said)["rungs"] if rung["name"] == "layers")
    assert layers["cause"] is None
    assert layers["smallest"]["image"] == 0
    report = (house / "found/port.md").read_text()
    assert "smallest input found that shows it" in report or "a black image is enough" in report
    with Image.open(house / "found/figures/port-layers-smallest.png") as image:
        assert image.size == (32, 32)
