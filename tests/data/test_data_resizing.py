"""Resizing: the three filters against the libraries that define them, sizes and crops against torchvision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras_processes import process_of
from PIL import Image

from isotune.data.resizing import crop, fixed_view, resized, resized_size
from isotune.protocols import Input

SIZES = [(8, 8), (9, 31), (57, 40), (33, 100), (64, 63)]
TARGETS = [(32, 32), (17, 45), (8, 3), (96, 96)]


def image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", TARGETS)
def test_plain_bilinear_is_that_of_torch(size: tuple[int, int], target: tuple[int, int]) -> None:
    import torch

    source = image(*size)
    ours = resized(source, *target, "plain", "bilinear")
    tensor = torch.from_numpy(source.astype(np.float64)).permute(2, 0, 1)[None]
    theirs = torch.nn.functional.interpolate(tensor, target, mode="bilinear", antialias=False, align_corners=False)
    assert np.abs(theirs[0].permute(1, 2, 0).numpy() - ours).max() <= 0.5 + 1e-9


def clear_of_edges(source: int, target: int) -> np.ndarray:
    """Which target pixels have a sample point that is not exactly between two source pixels."""
    return (2 * np.arange(target) + 1) * source % (2 * target) != 0


@pytest.mark.xdist_group("keras")
def test_plain_and_nearest_are_those_of_tensorflow(tmp_path: Path) -> None:
    pytest.importorskip("importlib.metadata").version("tensorflow")
    cases = {
        f"{number},{height},{width},{method}": image(*size, number)
        for number, size in enumerate(SIZES)
        for height, width in TARGETS
        for method in ("bilinear", "bicubic", "nearest")
    }
    np.savez(tmp_path / "cases.npz", **cases)
    process_of("tensorflow").run("facts/resizing.py", tmp_path / "cases.npz", tmp_path / "results.npz")
    with np.load(tmp_path / "results.npz") as results:
        assert sorted(results.files) == sorted(cases)
        for key, source in cases.items():
            _, height, width, method = key.split(",")
            ours = resized(source, int(height), int(width), "plain", method).astype(np.float64)  # type: ignore[arg-type]
            theirs = np.clip(results[key], 0, 255)
            if method == "nearest":  # on the very edge between two pixels TensorFlow's float32 goes either way
                rows, columns = (clear_of_edges(s, int(n)) for s, n in zip(source.shape, (height, width), strict=False))
                ours, theirs = ours[rows][:, columns], theirs[rows][:, columns]
            # rounding is ours; TensorFlow reads the bicubic kernel from a table of 1024 entries
            allowed = {"nearest": 0, "bilinear": 0.5 + 1e-3, "bicubic": 1.0}[method]
            assert np.abs(theirs - ours).max(initial=0) <= allowed, key
            if method == "bicubic":
                assert np.mean(np.abs(theirs - ours)) < 0.26, "no more than rounding on average"


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_antialias_is_pillows_filter(interpolation: str) -> None:
    source = image(57, 40)
    pillow = Image.Resampling.BILINEAR if interpolation == "bilinear" else Image.Resampling.BICUBIC
    expected = np.asarray(Image.fromarray(source).resize((13, 20), pillow))
    assert np.array_equal(resized(source, 20, 13, "antialias", interpolation), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("target", TARGETS)
def test_nearest_is_the_pixel_under_the_sample_point_in_every_convention(
    size: tuple[int, int], target: tuple[int, int]
) -> None:
    """Where that point lies on the very edge between two pixels, the last bit of a float decides: left out."""
    source = image(*size)
    rows, columns = (((np.arange(n) + 0.5) * s / n).astype(int) for s, n in zip(size, target, strict=True))
    clear = np.ix_(*(clear_of_edges(s, n) for s, n in zip(size, target, strict=True)))
    expected = source[rows][:, columns][clear]
    for resize, interpolation in (("nearest", "bicubic"), ("plain", "nearest"), ("antialias", "nearest")):
        assert np.array_equal(resized(source, *target, resize, interpolation)[clear], expected)  # type: ignore[arg-type]


def test_the_filters_differ_when_an_image_shrinks() -> None:
    source = image(92, 94)
    views = [resized(source, 10, 10, method, "bilinear") for method in ("antialias", "plain", "nearest")]  # type: ignore[arg-type]
    assert not any(np.array_equal(views[i], views[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


@given(
    st.integers(8, 70),
    st.integers(8, 70),
    st.integers(8, 48).flatmap(lambda size: st.tuples(st.just(size), st.integers(size, 60))),
    st.sampled_from(["bilinear", "bicubic", "nearest"]),
)
@settings(max_examples=80, deadline=None)
def test_resize_and_centre_crop_are_torchvisions(
    height: int, width: int, sizes: tuple[int, int], interpolation: str
) -> None:
    from torchvision import transforms
    from torchvision.transforms import InterpolationMode

    size, resize = sizes
    source = image(height, width)
    both = transforms.Compose(
        [transforms.Resize(resize, InterpolationMode(interpolation)), transforms.CenterCrop(size)]
    )
    ours = fixed_view(source, Input(size=size, resize=resize, interpolation=interpolation), "antialias")
    assert np.array_equal(ours, np.asarray(both(Image.fromarray(source))))


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(8, 512))
@settings(deadline=None)
def test_a_crop_always_fits_in_what_was_resized(height: int, width: int, side: int) -> None:
    size = resized_size(height, width, Input(size=8, resize=side))
    assert min(size) == side
    squashed = resized_size(height, width, Input(size=side))
    assert squashed == (side, side)


def test_squash_ignores_the_shape() -> None:
    source = image(20, 60)
    ours = fixed_view(source, Input(size=32, resize="squash"), "antialias")
    assert np.array_equal(ours, np.asarray(Image.fromarray(source).resize((32, 32), Image.Resampling.BILINEAR)))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 255), st.sampled_from(["bilinear", "bicubic"]))
@settings(deadline=None)
def test_plain_keeps_an_even_image_even(height: int, width: int, value: int, interpolation: str) -> None:
    source = np.full((height, width, 3), value, np.uint8)
    assert (resized(source, 24, 17, "plain", interpolation) == value).all()  # type: ignore[arg-type]


def test_plain_bicubic_clips_where_the_kernel_overshoots() -> None:
    step = np.zeros((8, 8, 3), np.uint8)
    step[:, 4:] = 255
    result = resized(step, 8, 32, "plain", "bicubic")
    assert result[0, 0, 0] == 0
    assert result[0, -1, 0] == 255
    assert (np.diff(result[0, :, 0].astype(int)) >= 0).all(), "an overshoot that wrapped around would fall"


def test_centre_crop_rounds_half_to_even_as_torchvision() -> None:
    source = np.arange(11 * 13 * 3, dtype=np.int64).reshape(11, 13, 3)
    assert np.array_equal(crop(source, 8), source[2:10, 2:10])  # 1.5 -> 2, 2.5 -> 2
