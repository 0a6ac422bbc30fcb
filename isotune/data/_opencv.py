"""OpenCV's resizing in NumPy: the arithmetic of `cv2.resize` on uint8, which isotune does not depend on.

From modules/imgproc/src/resize.cpp: no antialias, half-pixel centres (but for nearest), the border pixel repeated.

- bilinear (INTER_LINEAR): coefficients in 2048ths; what the rows give loses four bits before the columns are weighted.
  A reduction to exactly half is the mean of four pixels.
- bicubic (INTER_CUBIC): four pixels, Keys' kernel with a = -3/4, coefficients in 2048ths, the columns in float32.
- nearest (INTER_NEAREST): the source pixel floor(x * scale), without half a pixel, so that it lies up and left of
  Pillow's.
- area (INTER_AREA): the mean over the part of the source that a pixel covers; where a side grows, bilinear between the
  covered pixels.

The tests compare with `cv2` where it is installed: nearest, bilinear and area equal it bit for bit, bicubic but for one
level in one value of 100,000, where float32 rounds to the other side. On x86, OpenCV's packages leave bicubic to
Intel's IPP (`cv2.ipp.useIPP()`), which rounds once, at the end: one level in one value of 25.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

Array = np.ndarray
Method = Literal["nearest", "bilinear", "bicubic", "area"]
_ONE = 2048  # INTER_RESIZE_COEF_SCALE
_LEAST = 1e-3  # of a source pixel that is covered, to count at all


def resized(image: Array, height: int, width: int, method: Method) -> Array:
    """uint8 [height, width, C] from uint8 [H, W, C], as `cv2.resize` gives it."""
    rows, columns = image.shape[0] / height, image.shape[1] / width
    if method == "nearest":
        taken = (_nearest(length, target) for length, target in zip(image.shape[:2], (height, width), strict=True))
        return np.ascontiguousarray(image[np.ix_(*taken)])
    if method == "bilinear" and rows == columns == 2:
        method = "area"
    if method == "area" and rows >= 1 and columns >= 1:
        return _mean(image, height, width)
    return _interpolated(image, height, width, method)


def _nearest(source: int, target: int) -> Array:
    scale = 1.0 / (target / source)
    places: Array = np.minimum(np.floor(np.arange(target) * scale).astype(np.int64), source - 1)
    return places


# -- bilinear and bicubic


def _interpolated(image: Array, height: int, width: int, method: Method) -> Array:
    """Columns first, in integers; then rows."""
    sources, weights = _taps(image.shape[1], width, method, True)
    pixels = image.astype(np.int32)
    across = sum(pixels[:, source] * weight[:, None] for source, weight in zip(sources, weights, strict=True))
    sources, weights = _taps(image.shape[0], height, method, False)
    taken = [across[source] for source in sources]
    factors = [weight[:, None, None] for weight in weights]
    if method == "bicubic":
        scale = np.float32(1 / (_ONE * _ONE))
        summed = sum(
            values.astype(np.float32) * (factor.astype(np.float32) * scale)
            for values, factor in zip(taken, factors, strict=True)
        )
        return _levels(np.rint(summed))
    summed = sum(((values >> 4) * factor) >> 16 for values, factor in zip(taken, factors, strict=True))
    return _levels((summed + 2) >> 2)


def _levels(values: Array) -> Array:
    levels: Array = np.clip(values, 0, 255).astype(np.uint8)
    return levels


@lru_cache(maxsize=64)
def _taps(source: int, target: int, method: Method, across: bool) -> tuple[Array, Array]:
    """Source indices and weights in 2048ths, both [taps, target], of every target pixel along one side. across: a row,
    at whose ends the border pixel has the whole weight, where a column's shares it out and rounds twice."""
    inverse = target / source
    scale = 1.0 / inverse
    place = np.arange(target)
    if method == "area":
        first = np.floor(place * scale)
        share = ((place + 1) - (first + 1) * inverse).astype(np.float32)
        share = np.where(share <= 0, np.float32(0), share - np.floor(share))
    else:
        centre = ((place + 0.5) * scale - 0.5).astype(np.float32)
        first = np.floor(centre)
        share = centre - first
    if method == "bicubic":
        offsets, weights = np.arange(-1, 3), _cubic(share)
    else:
        outside = (first < 0) | (first >= source - 1)
        share = np.where(outside & across, np.float32(0), share)
        offsets, weights = np.arange(2), np.stack([1 - share, share])
    places = np.clip(first.astype(np.int64) + offsets[:, None], 0, source - 1)
    return places, np.rint(weights * np.float32(_ONE)).astype(np.int32)


def _cubic(share: Array) -> Array:
    """float32 [4, target]: Keys' kernel with a = -3/4 at the four pixels around."""
    a, x, one = np.float32(-0.75), share.astype(np.float32), np.float32(1)
    before = ((a * (x + one) - 5 * a) * (x + one) + 8 * a) * (x + one) - 4 * a
    here = ((a + 2) * x - (a + 3)) * x * x + one
    after = ((a + 2) * (one - x) - (a + 3)) * (one - x) * (one - x) + one
    return np.stack([before, here, after, one - before - here - after])


# -- area


def _mean(image: Array, height: int, width: int) -> Array:
    """The mean over what each pixel covers, of a reduction along both sides."""
    rows, columns = image.shape[0] // height, image.shape[1] // width
    if (rows * height, columns * width) == image.shape[:2]:
        summed = image.reshape(height, rows, width, columns, -1).astype(np.int64).sum(axis=(1, 3))
        if rows == columns == 2:
            return _levels((summed + 2) >> 2)
        return _levels(np.rint(summed.astype(np.float32) * np.float32(1 / (rows * columns))))
    pixels = image.astype(np.float32)
    for axis, target in ((1, width), (0, height)):
        sources, weights = _covered(image.shape[axis], target)
        shape = [1, 1, 1]
        shape[axis] = target
        pixels = sum(
            np.take(pixels, source, axis=axis) * weight.reshape(shape)
            for source, weight in zip(sources, weights, strict=True)
        )
    return _levels(np.rint(pixels))


@lru_cache(maxsize=64)
def _covered(source: int, target: int) -> tuple[Array, Array]:
    """Source indices and shares, both [most, target], of what each target pixel covers along one side; float32."""
    scale = 1.0 / (target / source)
    covered: list[list[tuple[int, float]]] = []
    for place in range(target):
        begin, end = place * scale, (place + 1) * scale
        end = begin + scale
        width = min(scale, source - begin)
        last = min(int(np.floor(end)), source - 1)
        first = min(int(np.ceil(begin)), last)
        parts = [(first - 1, (first - begin) / width)] if first - begin > _LEAST else []
        parts += [(each, 1.0 / width) for each in range(first, last)]
        if end - last > _LEAST:
            parts.append((last, min(end - last, 1.0, width) / width))
        covered.append(parts)
    most = max(map(len, covered))
    filled = [parts + [(0, 0.0)] * (most - len(parts)) for parts in covered]
    sources = np.array([[each for each, _ in parts] for parts in filled]).T
    return sources, np.array([[share for _, share in parts] for parts in filled], np.float32).T
