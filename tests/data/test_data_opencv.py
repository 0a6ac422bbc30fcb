"""OpenCV's resizing in NumPy, by hand where OpenCV is not installed, and against it where it is."""

from __future__ import annotations

import io
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image

from isotune.data._opencv import Method
from isotune.data._opencv import resized as by_opencv
from isotune.data.decoding import decode
from isotune.data.resizing import resized

SIZES = [(8, 8), (9, 31), (57, 40), (64, 64), (97, 131), (1, 5)]
TARGETS = [(32, 32), (17, 45), (8, 3), (96, 96), (1, 1), (31, 64)]


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("method", get_args(Method))
def test_every_method_is_opencvs(method: Any) -> None:
    """Without Intel's IPP, to which packages for x86 leave bicubic."""
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    kinds = {"nearest": "NEAREST", "bilinear": "LINEAR", "bicubic": "CUBIC", "area": "AREA"}
    cv2.setUseOptimized(False)
    for size in SIZES:
        for height, width in TARGETS:
            source = image(*size)
            theirs = cv2.resize(source, (width, height), interpolation=getattr(cv2, f"INTER_{kinds[method]}"))
            gap = np.abs(theirs.astype(int) - by_opencv(source, height, width, method))
            assert gap.max() <= (method == "bicubic"), (size, height, width)
            assert (gap > 0).mean() < 1e-3, (size, height, width)


def test_opencv_decodes_as_pillow_but_to_bgr() -> None:
    cv2 = pytest.importorskip("cv2", reason="needs opencv-python-headless")
    for arguments in ({"subsampling": 2}, {"subsampling": 0, "progressive": True}):
        file = io.BytesIO()
        Image.fromarray(image(97, 131)).save(file, "jpeg", quality=90, **arguments)
        theirs = cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR)
        assert np.array_equal(theirs[..., ::-1], decode(file.getvalue()))


def test_bilinear_rounds_in_fixed_point_near_the_exact_value() -> None:
    source = image(57, 40)
    ours = resized(source, 33, 23, "opencv", "bilinear").astype(int)
    gap = np.abs(ours - resized(source, 33, 23, "plain", "bilinear"))
    assert gap.max() == 1
    assert 0.02 < (gap > 0).mean() < 0.25


def test_bicubic_overshoots_more_than_tensorflows() -> None:
    """a = -3/4 against -1/2: a step of 100 grey levels, magnified, swings by 11 % and by 7 %."""
    step = np.full((8, 8, 3), 50, np.uint8)
    step[:, 4:] = 150
    swings = [int(resized(step, 8, 80, kind, "bicubic").max()) - 150 for kind in ("opencv", "plain")]  # type: ignore[arg-type]
    assert swings == [11, 7]


def test_an_area_is_the_mean_of_what_is_covered() -> None:
    ramp = np.repeat(np.arange(0, 60, 10, dtype=np.uint8)[None, :, None], 3, axis=2)[:, :, :1].repeat(6, axis=0)
    assert resized(ramp, 2, 2, "opencv-area", "bilinear")[0, :, 0].tolist() == [10, 40]
    assert resized(ramp, 6, 4, "opencv-area", "bicubic")[0, :, 0].tolist() == [3, 17, 33, 47]
    assert np.array_equal(resized(ramp, 3, 3, "opencv-area", "bilinear"), resized(ramp, 3, 3, "opencv", "bilinear"))


def test_nearest_takes_the_pixel_up_and_left() -> None:
    source = image(10, 10)
    assert np.array_equal(resized(source, 5, 5, "opencv", "nearest"), source[::2, ::2])
    assert np.array_equal(resized(source, 5, 5, "plain", "nearest"), source[1::2, 1::2])


@pytest.mark.parametrize("method", ["bilinear", "bicubic", "area"])
def test_an_even_image_stays_even(method: Any) -> None:
    for value in (0, 1, 127, 255):
        source = np.full((13, 9, 3), value, np.uint8)
        for height, width in TARGETS:
            assert np.abs(by_opencv(source, height, width, method).astype(int) - value).max() <= (
                value > 0 and method == "bilinear"
            )
