"""Random erasing (Zhong et al. 2020, arXiv 1708.04896), drawn in NumPy.

The box is that of timm and of torchvision's `RandomErasing.get_params`: ten tries at an area and a ratio, until one
lies within the image. What it is filled with is meant of the scaled image, as libraries do it: the mean is what the
scaling makes 0, a colour and noise are N(0, 1) there. Clipped noise alone is meant of bytes.
"""

from __future__ import annotations

import math

import numpy as np

from isotune.conventions import affine
from isotune.protocols import RandomErasing

_TRIES = 10
_WHITE = 255  # keras.layers.RandomErasing's value_range


def erased(image: np.ndarray, erasing: RandomErasing, scaling: str, stream: np.random.Generator) -> np.ndarray:
    """float32 [H, W, 3] of a uint8 image [H, W, 3], in 0..255 as before. scaling: a value of input_scaling."""
    result = image.astype(np.float32)
    if stream.random() >= erasing.probability:
        return result
    if (box := erased_box(image.shape[0], image.shape[1], erasing, stream)) is None:
        return result
    top, left, height, width = box
    if erasing.fill == "clipped-noise":
        noise = _WHITE * stream.standard_normal((height, width, 3))
        result[top : top + height, left : left + width] = np.clip(noise, 0, _WHITE)
        return result
    shape = {"mean": (), "colour": (3,), "noise": (height, width, 3)}[erasing.fill]
    reversed_channels, scale, offset = affine(scaling)
    fill = ((stream.standard_normal(shape) if shape else 0.0) - offset) / scale
    result[top : top + height, left : left + width] = fill[..., ::-1] if reversed_channels else fill
    return result


def erased_box(
    height: int, width: int, erasing: RandomErasing, stream: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """(top, left, height, width) of what is erased; None where no box fitted."""
    low, high = (math.log(ratio) for ratio in erasing.ratio)
    for _ in range(_TRIES):
        area = stream.uniform(*erasing.area) * height * width
        ratio = math.exp(stream.uniform(low, high))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < height and w < width:
            return int(stream.integers(height - h + 1)), int(stream.integers(width - w + 1)), h, w
    return None
