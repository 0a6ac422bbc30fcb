"""From encoded images to RGB: every mode in a defined way, and nothing unreadable passes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from isotune.data import Unreadable, decode
from isotune.data.decoding import read


def encoded(image: Image.Image, kind: str = "png", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def colours(height: int = 6, width: int = 9) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_rgb_comes_back_as_it_was() -> None:
    pixels = colours()
    result, changes = read(encoded(Image.fromarray(pixels)))
    assert np.array_equal(result, pixels)
    assert result.dtype == np.uint8
    assert changes == ()


def test_greyscale_fills_all_three_channels() -> None:
    grey = colours()[..., 0]
    result, changes = read(encoded(Image.fromarray(grey)))
    assert (result == grey[..., None]).all()
    assert changes == ("greyscale to RGB",)
    bits = Image.fromarray(np.array([[0, 255, 0]], np.uint8)).convert("1")
    assert decode(encoded(bits)).tolist() == [[[0] * 3, [255] * 3, [0] * 3]]


def test_a_palette_gives_its_colours() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    result, changes = read(encoded(image))
    assert result.tolist() == [[[10, 20, 30], [200, 100, 50]]]
    assert changes == ("palette to RGB",)


@pytest.mark.parametrize("transparency", [0, b"\x00\x80"])
def test_a_transparent_palette_entry_keeps_its_colour(transparency: int | bytes) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    result, changes = read(encoded(image, transparency=transparency))
    assert result.tolist() == [[[10, 20, 30], [200, 100, 50]]]
    assert changes == ("alpha dropped",)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_dropped_as_the_libraries_do(mode: str) -> None:
    pixels = np.dstack([colours(), np.tile(np.array([0, 128, 255], np.uint8), (6, 3))])
    image = Image.fromarray(pixels) if mode == "RGBA" else Image.merge("LA", [Image.fromarray(pixels[..., 0])] * 2)
    result, changes = read(encoded(image))
    assert np.array_equal(result, np.asarray(image.convert("RGB")))
    assert changes == ("alpha dropped",)


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=50))
@settings(deadline=None)
def test_sixteen_bits_are_scaled_not_clipped(values: list[int]) -> None:
    image = Image.fromarray(np.array([values], np.uint16))
    result, changes = read(encoded(image))
    assert result[0, :, 1].tolist() == [round(value / 257) for value in values]
    assert changes == ("16 bits to 8",)


def test_32_bit_integers_and_floats_need_a_defined_brightness() -> None:
    integers = Image.fromarray(np.array([[0, 257, 65535]], np.int32))
    assert decode(encoded(integers, "tiff"))[0, :, 0].tolist() == [0, 1, 255]
    floats = Image.fromarray(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert decode(encoded(floats, "tiff"))[0, :, 0].tolist() == [0, 128, 255]
    for wrong in (np.array([[70000]], np.int32), np.array([[-1]], np.int32)):
        with pytest.raises(Unreadable, match="32-bit integers"):
            decode(encoded(Image.fromarray(wrong), "tiff"))
    for bad in (1.5, -0.1, np.nan):
        with pytest.raises(Unreadable, match="floating-point"):
            decode(encoded(Image.fromarray(np.array([[bad]], np.float32)), "tiff"))


def test_cmyk_jpeg_is_close_to_the_colours_it_was_made_from() -> None:
    """Also Adobe's, whose values are inverted: Pillow writes and reads that kind."""
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:, :16], pixels[:, 16:] = (200, 30, 40), (20, 120, 220)
    cmyk = encoded(Image.fromarray(pixels).convert("CMYK"), "jpeg", quality=98)
    assert b"Adobe" in cmyk[:200]
    result, changes = read(cmyk)
    assert np.abs(result.astype(int) - pixels).max() < 12
    assert changes == ("CMYK to RGB",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = colours()
    turns = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    result, changes = read(encoded(Image.fromarray(np.ascontiguousarray(turns[orientation])), exif=exif))
    assert np.array_equal(result, upright)
    assert changes == (("turned by EXIF orientation",) if orientation > 1 else ())


def test_the_first_frame_of_several_is_taken() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    assert decode(encoded(frames[0], "gif", save_all=True, append_images=frames[1:]))[0, 0].tolist() == [255, 0, 0]


@given(st.floats(0.02, 0.98), st.sampled_from(["png", "jpeg", "bmp", "tiff", "webp"]))
@settings(deadline=None, max_examples=60)
def test_a_truncated_image_is_unreadable(share: float, kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    whole = encoded(Image.fromarray(pixels), kind)
    with pytest.raises(Unreadable):
        decode(whole[: int(share * len(whole))])


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_what_is_no_image_is_unreadable(data: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(data)


def test_a_decompression_bomb_is_unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(Image.new("L", (100, 100)))
    for limit in (9_000, 4_000, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        if limit is None:
            assert decode(data).shape == (100, 100, 3)
        else:
            with pytest.raises(Unreadable, match="bomb"):
                decode(data)
