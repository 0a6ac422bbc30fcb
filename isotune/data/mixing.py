"""Mixtures of the images of a batch, and of their labels: mixup and CutMix, drawn in NumPy.

mixup (Zhang et al. 2018, arXiv 1710.09412): x = s * x_i + (1 - s) * x_j, and the targets alike, s from Beta(a, a).
CutMix (Yun et al. 2019, arXiv 1905.04899): a box of x_j is put over x_i, of the share 1 - s of the area and around a
centre that is drawn over the whole image; what lies outside is cut off, and s becomes what is left
(timm/data/mixup.py).
"""

from __future__ import annotations

import math

import numpy as np

from isotune.protocols import Mixing


def mixed(
    images: np.ndarray, labels: np.ndarray, classes: int, mixing: Mixing, stream: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The batch, and its targets.

    images: uint8 or float32 [B, H, W, 3], in 0..255. labels: int64 [B]. Gives float32 [B, H, W, 3], or uint8 of CutMix
    alone, and float64 [B, classes] whose rows sum to 1.
    """
    count = len(images)
    partners = _partners(mixing, count, stream)
    shares, cut = _drawn(mixing, count, stream)
    result = np.empty(images.shape, np.float32 if mixing.mixup else images.dtype)
    other = np.empty(images.shape[1:], np.float32)  # one for all: memory that is new takes as long as the arithmetic
    boxes: dict[int, tuple[slice, slice]] = {}
    for number in range(count):
        source = _source(mixing, number, count)
        if shares[source] == 1:
            result[number] = images[number]
        elif cut[source]:
            if source not in boxes:
                boxes[source], shares[source] = _box(images.shape[1], images.shape[2], shares[source], stream)
            rows, columns = boxes[source]
            result[number] = images[number]
            result[number, rows, columns] = images[partners[number], rows, columns]
        else:
            share = np.float32(shares[source])
            np.multiply(images[number], share, out=result[number])
            np.multiply(images[partners[number]], 1 - share, out=other)
            result[number] += other
    kept = np.array([shares[_source(mixing, number, count)] for number in range(count)])[:, None]
    targets = np.eye(classes)[labels]
    return result, targets * kept + targets[partners] * (1 - kept)


def _partners(mixing: Mixing, count: int, stream: np.random.Generator) -> np.ndarray:
    match mixing.partner:
        case "reversed":
            return np.arange(count)[::-1]
        case "rolled":
            return np.roll(np.arange(count), 1)
        case "shuffled":
            return stream.permutation(count)


def _source(mixing: Mixing, number: int, count: int) -> int:
    """Of which draw an image takes its share."""
    return {"batch": 0, "pair": min(number, count - 1 - number), "image": number}[mixing.per]


def _drawn(mixing: Mixing, count: int, stream: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """float64 [D] shares that an image keeps, 1 where nothing is mixed, and bool [D]: whether by CutMix."""
    draws = {"batch": 1, "pair": -(-count // 2), "image": count}[mixing.per]
    both = bool(mixing.mixup and mixing.cutmix)
    cut = stream.random(draws) < mixing.switch if both else np.full(draws, bool(mixing.cutmix))
    by = {alpha: stream.beta(alpha, alpha, draws) for alpha in (mixing.mixup, mixing.cutmix) if alpha}
    shares = np.where(cut, by.get(mixing.cutmix, 1.0), by.get(mixing.mixup, 1.0))
    return np.where(stream.random(draws) < mixing.probability, shares, 1.0), cut


def _box(height: int, width: int, share: float, stream: np.random.Generator) -> tuple[tuple[slice, slice], float]:
    """Rows and columns of the box, and the share of the image that is left."""
    side = math.sqrt(1 - share)
    rows, columns = (_span(size, int(size * side), stream) for size in (height, width))
    covered = (rows.stop - rows.start) * (columns.stop - columns.start)
    return (rows, columns), 1 - covered / (height * width)


def _span(size: int, length: int, stream: np.random.Generator) -> slice:
    centre = int(stream.integers(size))
    return slice(max(0, centre - length // 2), min(size, centre + (length + 1) // 2))
