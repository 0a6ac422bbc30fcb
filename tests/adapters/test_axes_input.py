"""Axes of the input. Decoding and resizing happen once, outside, so that every engine is given the same bytes; scaling
happens in each engine, and is tested there as the axes of test_axes_network.py are."""

from __future__ import annotations

import io
import itertools
import json

import numpy as np
import pytest
from keras_processes import process_of
from PIL import Image
from test_axes_network import ENGINES, agrees_with_torch, outcomes

from isotune import data
from isotune.conventions import affine
from isotune.data.resizing import resized
from isotune.protocols import Images, Input

pytestmark = pytest.mark.xdist_group("keras")
STRIPES = np.zeros((64, 64, 3), np.uint8)
STRIPES[:, 2::4] = 255  # every fourth column white; shrunk to a quarter, a sample lies between columns 1 and 2


@pytest.fixture(scope="module")
def photograph() -> bytes:
    """A JPEG of waves and noise, quality 90, colours at half resolution."""
    rows, columns = np.mgrid[0:97, 0:131]
    waves = [np.sin(columns / 7 + rows / 11), np.cos(columns / 5 - rows / 13), np.sin((columns + rows) / 9)]
    noise = np.random.default_rng(0).normal(0, 10, (97, 131, 3))
    pixels = (127 + 120 * np.stack(waves, axis=-1) + noise).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=90, subsampling=2)
    return file.getvalue()


def test_tensorflow_decodes_by_a_faster_transform_up_to_5_grey_levels_off(photograph, tmp_path, monkeypatch):
    """Two values in three differ, by 1.0 on average."""
    monkeypatch.setenv("ISOTUNE_CACHE", str(tmp_path / "cache"))
    for split in ("train", "test"):
        for label in ("a", "b"):
            folder = tmp_path / "set" / split / label
            folder.mkdir(parents=True)
            (folder / "0.jpg").write_bytes(photograph)
    dataset = data.prepare(f"imagefolder:{tmp_path / 'set'}")
    pillow, tensorflow = (
        data.inputs(dataset, "train", Images(), Input(size=96, resize=97), decode=decode)[0].astype(int)
        for decode in ("pillow", "tensorflow")
    )
    gap = np.abs(tensorflow - pillow)
    assert 3 <= gap.max() <= 5
    assert np.mean(gap > 0) == pytest.approx(0.68, abs=0.03)
    assert gap.mean() == pytest.approx(1.0, abs=0.1)


def test_tensorflows_accurate_transform_is_pillows(photograph, tmp_path):
    (tmp_path / "wave.jpg").write_bytes(photograph)
    process_of("tensorflow").run("facts/decoding.py", tmp_path / "wave.jpg", tmp_path / "greatest.json")
    greatest = json.loads((tmp_path / "greatest.json").read_text())
    assert greatest["default"] == greatest["INTEGER_FAST"] > 0
    assert greatest["INTEGER_ACCURATE"] == 0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_white_column_in_four_becomes_64_128_or_255(engine):
    """Of every pixel (antialias, area), of the two around the sample (plain), of the one under it (nearest)."""
    greys = {"antialias": 64, "plain": 128, "nearest": 255, "opencv": 128, "opencv-area": 64}
    for value, grey in greys.items():
        shrunk = resized(STRIPES, 16, 16, value, "bilinear")
        assert np.unique(shrunk[:, 1:-1]).tolist() == [grey]
    features = [outcomes(engine)[f"resize/{value}/head"] for value in greys]
    gaps = [np.abs(one - other).max() for one, other in itertools.combinations(features, 2)]
    assert sorted(gaps)[0] > 0, "opencv rounds where plain does not"
    assert sorted(gaps)[2] > 1e-3
    agrees_with_torch(engine, "resize")


@pytest.mark.parametrize("engine", ENGINES)
def test_one_grey_level_is_0_0171_or_0_0078_or_1_to_the_network(engine):
    """Red under mean-std, -1..1 and caffe, which also reverses the channels."""
    found = outcomes(engine)
    pixels = found["images/even"][:, ::2, ::2].astype(np.float64)  # what the first convolution hands on
    steps = {}
    for key in found:
        axis, value, *rest = key.split("/")
        if axis == "input_scaling" and rest == ["transparent", "000.conv"]:
            bgr, scale, offset = affine(value)
            given = (pixels[..., ::-1] if bgr else pixels) * scale + offset
            np.testing.assert_allclose(found[key][..., :3], given, rtol=1e-12, atol=1e-12)
            red = found[key][..., 2 if bgr else 0]
            steps[value] = np.polyfit(pixels[..., 0].ravel(), red.ravel(), 1)[0]
    found_steps = [steps[value] for value in ("mean-std", "minus-one-to-one", "caffe", "unit", "none")]
    assert found_steps == pytest.approx([0.01712, 0.00784, 1.0, 0.00392, 1.0], rel=1e-3)
    agrees_with_torch(engine, "input_scaling")
