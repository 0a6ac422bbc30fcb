"""What policies of augmentation do to an image: Pillow's operations, at a magnitude.

An operation is named as in the papers (Cubuk et al., CVPR 2019, arXiv 1805.09501); what a magnitude means is its
unit: pixels, degrees, a factor, a threshold, bits. Both are torchvision's (`torchvision/transforms/autoaugment.py`,
`_apply_op`): the same bytes, which the tests hold against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

Operation = Callable[[Image.Image, float], Image.Image]


def _sheared(x: float, y: float) -> Operation:
    """By the tangent that the magnitude is, along x or y; the upper left corner stays."""

    def shear(image: Image.Image, magnitude: float) -> Image.Image:
        slope = math.tan(math.radians(math.degrees(math.atan(magnitude))))
        return _moved(image, (1.0, x * slope, 0.0, y * slope, 1.0, 0.0))

    return shear


def _translated(x: int, y: int) -> Operation:
    """By whole pixels to the right, or down."""
    return lambda image, magnitude: _moved(image, (1.0, 0.0, -x * int(magnitude), 0.0, 1.0, -y * int(magnitude)))


def _moved(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=0)


def _enhanced(by: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    """A blend with what has none of it: 0 leaves the image, -1 takes all away."""
    return lambda image, magnitude: by(image).enhance(1.0 + magnitude)


def _turned(image: Image.Image, share: float) -> Image.Image:
    """The hue, of 255 steps, by a share of a whole turn."""
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.int32(share * 255).astype(np.uint8)  # over the end is at the beginning again
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


OPERATIONS: dict[str, Operation] = {
    "identity": lambda image, _: image,
    "shear-x": _sheared(1, 0),
    "shear-y": _sheared(0, 1),
    "translate-x": _translated(1, 0),
    "translate-y": _translated(0, 1),
    "rotate": lambda image, degrees: image.rotate(degrees, Image.Resampling.NEAREST),  # counter-clockwise
    "brightness": _enhanced(ImageEnhance.Brightness),
    "color": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
    "hue": _turned,
    "posterize": lambda image, bits: ImageOps.posterize(image, int(bits)),
    # what is at the threshold or above it is inverted
    "solarize": ImageOps.solarize,  # type: ignore[dict-item]
    "auto-contrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
}


def applied(image: np.ndarray, drawn: list[tuple[str, float]]) -> np.ndarray:
    """uint8 [H, W, 3] after these operations, each with its magnitude, in their order."""
    if not drawn:
        return image
    changed = Image.fromarray(image)
    for name, magnitude in drawn:
        changed = OPERATIONS[name](changed, magnitude)
    return np.asarray(changed)
