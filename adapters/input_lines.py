"""Lines for the input that the remedies of several engines share: decoding, resizing, scaling in NumPy."""

from __future__ import annotations

from collections.abc import Iterable

from isotune.conventions import affine

PILLOW_DECODES = """
import numpy as np
from PIL import Image, ImageOps


def decode(path):
    return np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
"""


TENSORFLOW_DECODES = """
import tensorflow as tf


def decode(path):
    return tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False).numpy()
"""


ANTIALIAS = '''
import numpy as np
from PIL import Image


def resize(image, height, width):
    """uint8 [height, width, 3] of a uint8 [H, W, 3] array."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
'''
NEAREST = ANTIALIAS.replace("BILINEAR", "NEAREST")
OPENCV = '''
import cv2


def resize(image, height, width):
    """uint8 [height, width, 3] of a uint8 [H, W, 3] array."""
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
'''
OPENCV_AREA = OPENCV.replace("LINEAR", "AREA")
OPENCV_NOTE = (
    "`cv2.INTER_CUBIC` for a bicubic protocol. `cv2.imread` gives BGR, and the same bytes as Pillow otherwise;"
    " `[..., ::-1]` turns them round."
)


def scaled(value: str) -> str:
    """The network's input from `images`, in NumPy."""
    reverse, scale, offset = affine(value)
    pixels = "images[..., ::-1]" if reverse else "images"
    if (scale == 1).all():
        return f"inputs = {pixels}.astype(np.float64)" + (f" - [{_list(-offset)}]" if offset.any() else "")
    std = 1 / (255 * scale)
    mean = -offset * std
    if len({*mean}) == len({*std}) == 1:
        return f"inputs = {pixels} / {255 * std[0]:.9g}" + (f" - {-offset[0]:.9g}" if offset.any() else "")
    return f"inputs = ({pixels} / 255 - [{_list(mean)}]) / [{_list(std)}]"


def _list(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:.9g}" for number in numbers)
