"""From an image of any size to the network's input: resize, then crop.

The `resize` axis says by which filter, the protocol says to what size.

- `antialias`: Pillow's. The filter grows with the reduction, so that every source pixel counts
  (torchvision and timm on Pillow images).
- `plain`: the same filter without that: two (bilinear) or four (bicubic) source pixels around the sample
  point however strong the reduction, half-pixel centres. It is what `tf.image.resize` and Keras's
  `Resizing` do by default. Bicubic is Keys' kernel with a = -1/2; source pixels outside the image are
  left out and the weights of the rest sum to one, as in TensorFlow (which reads the kernel from a table
  of 1024 entries; the difference is below one grey level). Keras hands the network the unrounded result;
  here it is rounded, half to even, and clipped to 0..255, so that every framework gets the same bytes.
- `nearest`: the source pixel under the sample point (Pillow's, which Keras `load_img` uses), whatever the
  protocol's interpolation says. Under `plain` it stands for TensorFlow's too, which parts from it only where
  a sample point lies exactly between two pixels.
- `opencv`: `cv2.resize` by the protocol's interpolation (`_opencv`): as `plain`, but in fixed point, bicubic with
  a = -3/4, and nearest without half a pixel. `opencv-area`: its INTER_AREA, whatever the protocol's interpolation says.

Sizes follow torchvision: `resize = N` makes the shorter side N and the longer int(N * long / short), then
a square is cut from the centre; `squash` goes straight to the square. Three crops are the squares at the start, in the
middle and at the end of the longer side: left, centre and right, of a portrait top, centre and bottom (Szegedy et al.
2015, "Going deeper with convolutions", section 7, without the further crops that it takes of each).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image

from isotune.data import _opencv
from isotune.protocols import Input

Resize = Literal["antialias", "plain", "nearest", "opencv", "opencv-area"]
Interpolation = Literal["nearest", "bilinear", "bicubic"]
Place = Literal["start", "centre", "end"]  # of a crop, along the longer side

_PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def fixed_view(image: np.ndarray, input: Input, resize: Resize, place: Place = "centre") -> np.ndarray:
    """uint8 [size, size, 3]: the image resized and cut as the protocol's input says, without randomness."""
    height, width = resized_size(image.shape[0], image.shape[1], input)
    return crop(resized(image, height, width, resize, input.interpolation), input.size, place)


def resized_size(height: int, width: int, input: Input) -> tuple[int, int]:
    """(height, width) before the crop; torchvision.transforms.functional's `_compute_resized_output_size`."""
    if input.resize == "squash":
        return input.size, input.size
    if width <= height:
        return int(input.resize * height / width), input.resize
    return input.resize, int(input.resize * width / height)


def crop(image: np.ndarray, size: int, place: Place = "centre") -> np.ndarray:
    """A [size, size] part of an image that is at least that large: the central one, by torchvision's rounding, or at an
    end of the longer side, of a square image its width."""
    height, width = image.shape[:2]
    top, left = round((height - size) / 2.0), round((width - size) / 2.0)
    if place != "centre" and height > width:
        top = 0 if place == "start" else height - size
    elif place != "centre":
        left = 0 if place == "start" else width - size
    return image[top : top + size, left : left + size]


def resized(image: np.ndarray, height: int, width: int, resize: Resize, interpolation: Interpolation) -> np.ndarray:
    """uint8 [height, width, C] from uint8 [H, W, C]."""
    if image.shape[:2] == (height, width):
        return image
    if resize in ("opencv", "opencv-area"):
        return _opencv.resized(image, height, width, "area" if resize == "opencv-area" else interpolation)
    method: Interpolation = "nearest" if resize == "nearest" else interpolation
    if resize == "plain" and method != "nearest":
        return _plain(image, height, width, method)
    return np.asarray(Image.fromarray(image).resize((width, height), _PILLOW[method]))


def _plain(image: np.ndarray, height: int, width: int, interpolation: Interpolation) -> np.ndarray:
    """Separable: rows, then columns, in float64 and tap by tap, so that the result is the same everywhere."""
    pixels = image.astype(np.float64)
    for axis, length in ((0, height), (1, width)):
        sources, weights = _taps(image.shape[axis], length, interpolation)
        shape = [1, 1, 1]
        shape[axis] = length
        pixels = sum(
            np.take(pixels, source, axis=axis) * weight.reshape(shape)
            for source, weight in zip(sources, weights, strict=True)
        )
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


@lru_cache(maxsize=64)
def _taps(source: int, target: int, interpolation: Interpolation) -> tuple[np.ndarray, np.ndarray]:
    """Source indices and weights, both [taps, target], of every target pixel along one side."""
    centre = (np.arange(target) + 0.5) * source / target - 0.5
    first = np.floor(centre)
    offsets = np.array([0, 1]) if interpolation == "bilinear" else np.array([-1, 0, 1, 2])
    position = first + offsets[:, np.newaxis]
    distance = np.abs(centre - position)
    if interpolation == "bilinear":
        weights = 1 - distance  # what falls outside repeats the border pixel
    else:
        weights = np.where((position >= 0) & (position < source), _keys(distance), 0)
        weights = weights / weights.sum(axis=0)
    return np.clip(position, 0, source - 1).astype(np.int64), weights


def _keys(distance: np.ndarray) -> np.ndarray:
    """Cubic convolution with a = -1/2 (Keys, IEEE Trans. ASSP 29(6), 1981)."""
    near = ((1.5 * distance - 2.5) * distance) * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))
