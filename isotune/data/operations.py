"""What policies of augmentation do to an image: Pillow's operations, at a magnitude.

An operation is named as in the papers (Cubuk et al., CVPR 2019, arXiv 1805.09501); what a magnitude means is its
unit: pixels, degrees, a factor, a threshold, bits. Both are torchvision's (`torchvision/transforms/autoaugment.py`,
`_apply_op`): the same bytes, which the tests hold against it.

Those of timm (`timm/data/auto_augment.py`) move an image by parts of pixels, bilinear or bicubic, over the mean of
ImageNet as gray. The last six are those of Keras's random layers
(`keras/src/layers/preprocessing/image_preprocessing`), which compute with floating-point pixels: here each rounds to
bytes, and is within one grey level of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps, ImageStat

Operation = Callable[..., Image.Image]  # of an image and its magnitudes
Drawn = list[tuple[str, *tuple[float, ...]]]  # operations, each with its magnitudes
_GRAY = (124, 116, 104)  # 255 * (0.485, 0.456, 0.406), as timm's loader has it


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


def _finely_moved(matrix: Callable[[float], tuple[float, ...]]) -> Operation:
    """By parts of pixels, over gray; timm's."""

    def move(image: Image.Image, magnitude: float, cubic: float) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, matrix(magnitude), _finely(cubic), fillcolor=_GRAY)

    return move


def _finely(cubic: float) -> Image.Resampling:
    return Image.Resampling.BICUBIC if cubic else Image.Resampling.BILINEAR


def _brightened_where_dark(image: Image.Image, added: float) -> Image.Image:
    """timm's SolarizeAdd: levels below 128, by so many."""
    table = [min(255, level + int(added)) if level < 128 else level for level in range(256)]
    return image.point(table * 3)


def _posterized(image: Image.Image, bits: float) -> Image.Image:
    """So many of eight bits stay: with none, black, which Pillow refuses and timm's small magnitudes ask for."""
    return ImageOps.posterize(image, int(bits)) if bits >= 1 else Image.new(image.mode, image.size)


def _enhanced(by: Callable[[Image.Image], ImageEnhance._Enhance]) -> Operation:
    """A blend with what has none of it: 0 leaves the image, -1 takes all away."""
    return lambda image, magnitude: by(image).enhance(1.0 + magnitude)


def _turned(image: Image.Image, share: float) -> Image.Image:
    """The hue, of 255 steps, by a share of a whole turn."""
    hue, saturation, value = image.convert("HSV").split()
    turned = np.asarray(hue) + np.int32(share * 255).astype(np.uint8)  # over the end is at the beginning again
    return Image.merge("HSV", (Image.fromarray(turned), saturation, value)).convert("RGB")


def _rotated(image: Image.Image, degrees: float) -> Image.Image:
    """Counter-clockwise about the centre; bilinear, what lies beyond the border mirrored."""
    angle = math.radians(degrees)
    cosine, sine = math.cos(angle), math.sin(angle)
    x, y = (image.width - 1) / 2, (image.height - 1) / 2
    return _resampled(image, (cosine, -sine, x - x * cosine + y * sine, sine, cosine, y - x * sine - y * cosine))


def _shifted(image: Image.Image, right: float, down: float) -> Image.Image:
    """By pixels and parts of them; bilinear, what lies beyond the border mirrored."""
    return _resampled(image, (1.0, 0.0, -right, 0.0, 1.0, -down))


def _resampled(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    """The pixel at (x, y) is what stands at (a x + b y + c, d x + e y + f), bilinear, numbers of pixels from 0.

    Mirrored, the border is repeated: b a | a b c. Pillow cuts bytes off where it interpolates them, so that it is given
    floating-point pixels, and measures from a pixel's corner.
    """
    a, b, c, d, e, f = matrix
    corners = [(x, y) for x in (0, image.width - 1) for y in (0, image.height - 1)]
    across, along = ([p * x + q * y + r for x, y in corners] for p, q, r in ((a, b, c), (d, e, f)))
    columns, rows = (
        (math.ceil(max(0.0, -min(reached))) + 1, math.ceil(max(0.0, max(reached) - side + 1)) + 1)
        for reached, side in ((across, image.width), (along, image.height))
    )
    padded = np.pad(np.asarray(image, np.float32), (rows, columns, (0, 0)), mode="symmetric")
    placed = (a, b, c + columns[0] + (1 - a - b) / 2, d, e, f + rows[0] + (1 - d - e) / 2)
    result = np.empty(np.asarray(image).shape, np.uint8)
    for channel in range(padded.shape[2]):
        pixels = Image.fromarray(np.ascontiguousarray(padded[..., channel]))
        moved = pixels.transform(image.size, Image.Transform.AFFINE, placed, Image.Resampling.BILINEAR)
        result[..., channel] = np.rint(np.asarray(moved))
    return Image.fromarray(result)


def _contrasted(image: Image.Image, factor: float) -> Image.Image:
    """Each channel's distance from its mean times a factor."""
    levels = np.arange(256)
    table = [np.clip(np.rint((levels - mean) * factor + mean), 0, 255) for mean in ImageStat.Stat(image).mean]
    return image.point([int(value) for value in np.concatenate(table)])


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
    "posterize": _posterized,
    # what is at the threshold or above it is inverted
    "solarize": ImageOps.solarize,
    "auto-contrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "invert": lambda image, _: ImageOps.invert(image),
    "solarize-add": _brightened_where_dark,
    "fine-rotate": lambda image, degrees, cubic: image.rotate(degrees, _finely(cubic), fillcolor=_GRAY),
    "fine-shear-x": _finely_moved(lambda slope: (1.0, slope, 0.0, 0.0, 1.0, 0.0)),
    "fine-shear-y": _finely_moved(lambda slope: (1.0, 0.0, 0.0, slope, 1.0, 0.0)),
    "fine-translate-x": _finely_moved(lambda pixels: (1.0, 0.0, pixels, 0.0, 1.0, 0.0)),
    "fine-translate-y": _finely_moved(lambda pixels: (1.0, 0.0, 0.0, 0.0, 1.0, pixels)),
    "turn": _rotated,
    "shift": _shifted,
    "mirror": lambda image, _: ImageOps.mirror(image),
    "flip": lambda image, _: ImageOps.flip(image),
    "half-turn": lambda image, _: image.transpose(Image.Transpose.ROTATE_180),
    "channel-contrast": _contrasted,
}


def applied(image: np.ndarray, drawn: Drawn) -> np.ndarray:
    """uint8 [H, W, 3] after these operations, each with its magnitudes, in their order."""
    if not drawn:
        return image
    changed = Image.fromarray(image)
    for name, *magnitudes in drawn:
        changed = OPERATIONS[name](changed, *magnitudes)
    return np.asarray(changed)
