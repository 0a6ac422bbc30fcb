"""From an encoded image to uint8 [H, W, 3], RGB, by Pillow.

| image | becomes |
|---|---|
| greyscale, 1 bit | the value in all three channels (1 bit: 0 or 255) |
| palette | the palette's colours |
| alpha, or a transparent palette entry | alpha is dropped, as `convert("RGB")` does in torchvision, timm and Keras |
| CMYK | Pillow's conversion, without colour profile; Adobe's inverted JPEGs are turned back first |
| 16-bit greyscale | round(x / 257): 0..65535 to 0..255 (Pillow alone would clip) |
| 16-bit colour | the high byte (what Pillow reads) |
| 32-bit integers | as 16-bit when all values lie in 0..65535, else unreadable |
| floating point | round(255 x) when all values lie in 0..1, else unreadable |
| EXIF orientation | applied |
| several frames | the first |

What a file begins with chooses the decoder, whatever its name: PNG, JPEG, BMP, GIF, WebP, TIFF or PPM, and no other of
Pillow's (`isotune.reading.images`). Unreadable: what these cannot decode to the last byte, a PNG whose checksums are
not those of its content, and images beyond `PIL.Image.MAX_IMAGE_PIXELS` (about 89 million pixels), which may be
decompression bombs.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from isotune.errors import UsageError
from isotune.reading import images


class Unreadable(Exception):
    """An image that cannot be decoded; the message says why."""


def decode(data: bytes) -> np.ndarray:
    """uint8 [H, W, 3] from an encoded image. Unreadable: see above."""
    return read(data)[0]


def read(data: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
    """The image as `decode` gives it, and what had to be changed ("alpha dropped")."""
    try:
        with images.image(data) as image:
            image.load()
            return to_rgb(image)
    except Unreadable:
        raise
    except UsageError as error:
        raise Unreadable(str(error)) from None
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        raise Unreadable(f"{type(error).__name__}: {error}".splitlines()[0].strip()[:200]) from None


def to_rgb(image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    """uint8 [H, W, 3] from a Pillow image, and what had to be changed. Unreadable: no defined brightness."""
    changes = []
    image, turned = _oriented(image)
    if turned:
        changes.append("turned by EXIF orientation")
    mode = image.mode
    if mode.startswith("I"):
        return _grey(_from_integers(np.asarray(image))), (*changes, "16 bits to 8")
    if mode == "F":
        return _grey(_from_floats(np.asarray(image))), (*changes, "floating point to 8 bits")
    if mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        changes.append("alpha dropped")
        # Premultiplied and palette images reach RGB by way of RGBA; Pillow warns when a palette does not.
        image = image.convert("RGBA") if mode in ("P", "PA", "RGBa", "La") else image
    elif mode in ("1", "L"):
        changes.append("greyscale to RGB")
    elif mode != "RGB":
        changes.append(f"{'palette' if mode == 'P' else mode} to RGB")
    return np.array(image if image.mode == "RGB" else image.convert("RGB")), tuple(changes)


def _oriented(image: Image.Image) -> tuple[Image.Image, bool]:
    try:
        turned = image.getexif().get(0x0112, 1) in range(2, 9)
        return (ImageOps.exif_transpose(image), True) if turned else (image, False)
    except Exception:  # a damaged EXIF block says nothing of the orientation
        return image, False


def _from_integers(values: np.ndarray) -> np.ndarray:
    if values.min() < 0 or values.max() > 65535:
        raise Unreadable("32-bit integers beyond 0..65535 have no defined brightness")
    scaled: np.ndarray = (values.astype(np.int32) + 128) // 257  # 257 is odd: there are no ties
    return scaled.astype(np.uint8)


def _from_floats(values: np.ndarray) -> np.ndarray:
    if not (values.min() >= 0 and values.max() <= 1):  # NaN fails both
        raise Unreadable("floating-point values beyond 0..1 have no defined brightness")
    scaled: np.ndarray = np.rint(values * 255)
    return scaled.astype(np.uint8)


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[..., np.newaxis], 3, axis=-1)
