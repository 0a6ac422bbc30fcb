"""Policies of augmentation: which operations an image goes through, drawn in NumPy.

- rand-augment: so many operations of fourteen, all at one magnitude of 31 (Cubuk et al. 2020, arXiv 1909.13719);
- noisy-rand-augment: so many operations of fifteen, each by chance, at a magnitude of 10 that may vary (timm,
  `timm/data/auto_augment.py`), with its borders: gray, and bilinear or bicubic by chance;
- trivial-augment: one operation at any magnitude of 31, of a wider space (Mueller and Hutter 2021, arXiv 2103.10158);
- auto-augment: one of 25 pairs that were searched for, each with its probabilities (Cubuk et al. 2019,
  arXiv 1805.09501);
- color-jitter: brightness, contrast, saturation and hue in a drawn order;
- random-rotation, random-translation, random-flip, random-contrast: a transformation each, uniform within its bounds
  (Keras's layers of these names, `keras/src/layers/preprocessing/image_preprocessing`).

Other spaces and the tables are torchvision's (`torchvision/transforms/autoaugment.py`), which differ from timm's and
from those of the papers' own code in places: the magnitudes' steps, which corner a shear leaves, what fills the border
(black).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from isotune.data.operations import Drawn
from isotune.protocols import (
    AutoAugment,
    ColorJitter,
    NoisyRandAugment,
    Policy,
    RandAugment,
    RandomContrast,
    RandomFlip,
    RandomRotation,
    RandomTranslation,
    TrivialAugment,
)

_Space = Mapping[str, tuple[Sequence[float], bool]]  # magnitudes from none to most, and whether the sign is drawn
_WITHOUT = ((0.0,), False)  # an operation that has no magnitude
_BINS = 31
_BINS_OF_TABLES = 10
_PLAIN = ("auto-contrast", "equalize", "invert")  # of timm's, those that have no magnitude
_FIFTEEN = (
    *_PLAIN, "fine-rotate", "posterize", "solarize", "solarize-add", "color", "contrast", "brightness", "sharpness",
    "fine-shear-x", "fine-shear-y", "fine-translate-x", "fine-translate-y",
)  # fmt: skip


def drawn(policy: Policy, height: int, width: int, stream: np.random.Generator) -> Drawn:
    """What an image of this size, pixels, goes through, in its order."""
    match policy:
        case RandAugment():
            return _rand_augment(policy, height, width, stream)
        case NoisyRandAugment():
            return _noisy_rand_augment(policy, height, width, stream)
        case TrivialAugment():
            return _trivial_augment(stream)
        case AutoAugment():
            return _auto_augment(policy, height, width, stream)
        case ColorJitter():
            return _color_jitter(policy, stream)
        case _:
            return _transformation(policy, height, width, stream)


def _transformation(
    policy: RandomRotation | RandomTranslation | RandomFlip | RandomContrast,
    height: int,
    width: int,
    stream: np.random.Generator,
) -> Drawn:
    match policy:
        case RandomRotation():
            return [("turn", 360 * stream.uniform(-policy.turn, policy.turn))]
        case RandomTranslation():
            down, right = (side * stream.uniform(-share, share) for side, share in (
                (height, policy.height), (width, policy.width),
            ))  # fmt: skip
            return [("shift", right, down)]
        case RandomFlip():
            flip = {"horizontal": "mirror", "vertical": "flip", "both": "half-turn"}[policy.axes]
            return [(flip, 1.0)] if stream.random() < policy.probability else []
        case RandomContrast():
            return [("channel-contrast", stream.uniform(*policy.factor))]


def _rand_augment(policy: RandAugment, height: int, width: int, stream: np.random.Generator) -> Drawn:
    space = _space(height, width, _BINS)
    names = ("identity", *(name for name in space if name != "invert"))
    chosen = [names[stream.integers(len(names))] for _ in range(policy.operations)]
    return [(name, _at(space, name, policy.magnitude, stream)) for name in chosen]


def _noisy_rand_augment(policy: NoisyRandAugment, height: int, width: int, stream: np.random.Generator) -> Drawn:
    chosen: Drawn = []
    for _ in range(policy.operations):
        name = _FIFTEEN[stream.integers(len(_FIFTEEN))]
        if stream.random() < policy.probability:
            magnitude = policy.magnitude + policy.noise * stream.standard_normal()
            chosen.append((name, *_strength(name, float(np.clip(magnitude / 10, 0.0, 1.0)), height, width, stream)))
    return chosen


def _strength(name: str, share: float, height: int, width: int, stream: np.random.Generator) -> tuple[float, ...]:
    """What an operation is told at this share of the greatest magnitude: what moves an image, the way in a drawn
    direction, and whether by bicubic interpolation; bits that stay, a threshold, what is added, a factor less 1."""
    most = {
        "fine-rotate": 30.0, "fine-shear-x": 0.3, "fine-shear-y": 0.3, "fine-translate-x": 0.45 * width,
        "fine-translate-y": 0.45 * height,
    }  # fmt: skip
    if name in most:
        way = share * most[name]
        return (-way if stream.random() < 0.5 else way, float(stream.random() < 0.5))
    whole = {"posterize": 4, "solarize": 256, "solarize-add": 110}
    if name in whole:
        return (int(share * whole[name]),)
    return (0.0,) if name in _PLAIN else (share * 1.8 - 0.9,)


def _trivial_augment(stream: np.random.Generator) -> Drawn:
    space = _wide_space()
    name = list(space)[stream.integers(len(space))]
    return [(name, _at(space, name, int(stream.integers(_BINS)), stream))]


def _auto_augment(policy: AutoAugment, height: int, width: int, stream: np.random.Generator) -> Drawn:
    space = _space(height, width, _BINS_OF_TABLES)
    pairs = TABLES[policy.table]
    pair = pairs[stream.integers(len(pairs))]
    chosen = [(name, bin) for (name, probability, bin) in pair if stream.random() < probability]
    return [(name, _at(space, name, bin, stream)) for name, bin in chosen]


def _color_jitter(policy: ColorJitter, stream: np.random.Generator) -> Drawn:
    """Factors are 1 + U(+-strength), at least 0; the hue turns by U(+-strength) of a whole turn."""
    strengths = {
        "brightness": policy.brightness, "contrast": policy.contrast, "color": policy.saturation, "hue": policy.hue
    }  # fmt: skip
    names = [name for name, strength in strengths.items() if strength]
    order = stream.permutation(len(names))
    drawn: Drawn = []
    for name in (names[number] for number in order):
        strength = strengths[name]
        drawn.append((name, stream.uniform(-strength if name == "hue" else max(-1.0, -strength), strength)))
    return drawn


def _at(space: _Space, name: str, bin: int, stream: np.random.Generator) -> float:
    """The magnitude, with a drawn sign where the operation has two directions."""
    magnitudes, signed = space.get(name, _WITHOUT)
    magnitude = float(magnitudes[min(bin, len(magnitudes) - 1)])
    return -magnitude if signed and stream.random() < 0.5 else magnitude


@cache
def _space(height: int, width: int, bins: int) -> _Space:
    """Of AutoAugment and RandAugment: translations are a share of the side."""
    most = {
        "shear-x": 0.3, "shear-y": 0.3, "translate-x": 150 / 331 * width, "translate-y": 150 / 331 * height,
        "rotate": 30.0, "brightness": 0.9, "color": 0.9, "contrast": 0.9, "sharpness": 0.9,
    }  # fmt: skip
    return _filled(most, bins, bits=4)


@cache
def _wide_space() -> _Space:
    most = {
        "shear-x": 0.99, "shear-y": 0.99, "translate-x": 32.0, "translate-y": 32.0, "rotate": 135.0,
        "brightness": 0.99, "color": 0.99, "contrast": 0.99, "sharpness": 0.99,
    }  # fmt: skip
    space = _filled(most, _BINS, bits=6)
    return {"identity": _WITHOUT, **{name: space[name] for name in space if name != "invert"}}


def _filled(most: Mapping[str, float], bins: int, bits: int) -> _Space:
    """bits: how many of eight posterizing takes away at most."""
    signed = {name: (tuple(np.linspace(0.0, greatest, bins)), True) for name, greatest in most.items()}
    posterize = tuple(8 - np.round(np.arange(bins) / ((bins - 1) / bits)))
    solarize = tuple(np.linspace(255.0, 0.0, bins))
    return signed | {
        "posterize": (posterize, False), "solarize": (solarize, False),
        "auto-contrast": _WITHOUT, "equalize": _WITHOUT, "invert": _WITHOUT,
    }  # fmt: skip


# Operation, probability, bin of ten, of both of a pair, a pair a line. Table 9 and those before it of the paper.
_WRITTEN = {
    "imagenet": """
        posterize 0.4 8, rotate 0.6 9
        solarize 0.6 5, auto-contrast 0.6 -
        equalize 0.8 -, equalize 0.6 -
        posterize 0.6 7, posterize 0.6 6
        equalize 0.4 -, solarize 0.2 4
        equalize 0.4 -, rotate 0.8 8
        solarize 0.6 3, equalize 0.6 -
        posterize 0.8 5, equalize 1 -
        rotate 0.2 3, solarize 0.6 8
        equalize 0.6 -, posterize 0.4 6
        rotate 0.8 8, color 0.4 0
        rotate 0.4 9, equalize 0.6 -
        equalize 0 -, equalize 0.8 -
        invert 0.6 -, equalize 1 -
        color 0.6 4, contrast 1 8
        rotate 0.8 8, color 1 2
        color 0.8 8, solarize 0.8 7
        sharpness 0.4 7, invert 0.6 -
        shear-x 0.6 5, equalize 1 -
        color 0.4 0, equalize 0.6 -
        equalize 0.4 -, solarize 0.2 4
        solarize 0.6 5, auto-contrast 0.6 -
        invert 0.6 -, equalize 1 -
        color 0.6 4, contrast 1 8
        equalize 0.8 -, equalize 0.6 -
    """,
    "cifar10": """
        invert 0.1 -, contrast 0.2 6
        rotate 0.7 2, translate-x 0.3 9
        sharpness 0.8 1, sharpness 0.9 3
        shear-y 0.5 8, translate-y 0.7 9
        auto-contrast 0.5 -, equalize 0.9 -
        shear-y 0.2 7, posterize 0.3 7
        color 0.4 3, brightness 0.6 7
        sharpness 0.3 9, brightness 0.7 9
        equalize 0.6 -, equalize 0.5 -
        contrast 0.6 7, sharpness 0.6 5
        color 0.7 7, translate-x 0.5 8
        equalize 0.3 -, auto-contrast 0.4 -
        translate-y 0.4 3, sharpness 0.2 6
        brightness 0.9 6, color 0.2 8
        solarize 0.5 2, invert 0 -
        equalize 0.2 -, auto-contrast 0.6 -
        equalize 0.2 -, equalize 0.6 -
        color 0.9 9, equalize 0.6 -
        auto-contrast 0.8 -, solarize 0.2 8
        brightness 0.1 3, color 0.7 0
        solarize 0.4 5, auto-contrast 0.9 -
        translate-y 0.9 9, translate-y 0.7 9
        auto-contrast 0.9 -, solarize 0.8 3
        equalize 0.8 -, invert 0.1 -
        translate-y 0.7 9, auto-contrast 0.9 -
    """,
    "svhn": """
        shear-x 0.9 4, invert 0.2 -
        shear-y 0.9 8, invert 0.7 -
        equalize 0.6 -, solarize 0.6 6
        invert 0.9 -, equalize 0.6 -
        equalize 0.6 -, rotate 0.9 3
        shear-x 0.9 4, auto-contrast 0.8 -
        shear-y 0.9 8, invert 0.4 -
        shear-y 0.9 5, solarize 0.2 6
        invert 0.9 -, auto-contrast 0.8 -
        equalize 0.6 -, rotate 0.9 3
        shear-x 0.9 4, solarize 0.3 3
        shear-y 0.8 8, invert 0.7 -
        equalize 0.9 -, translate-y 0.6 6
        invert 0.9 -, equalize 0.6 -
        contrast 0.3 3, rotate 0.8 4
        invert 0.8 -, translate-y 0 2
        shear-y 0.7 6, solarize 0.4 8
        invert 0.6 -, rotate 0.8 4
        shear-y 0.3 7, translate-x 0.9 3
        shear-x 0.1 6, invert 0.6 -
        solarize 0.7 2, translate-y 0.6 7
        shear-y 0.8 4, invert 0.8 -
        shear-x 0.7 9, translate-y 0.8 3
        shear-y 0.8 5, auto-contrast 0.7 -
        shear-x 0.7 2, invert 0.1 -
    """,
}


def _read(written: str) -> tuple[tuple[tuple[str, float, int], ...], ...]:
    """25 pairs of (operation, probability, bin)."""
    rows = [row.split(", ") for row in written.strip().splitlines()]
    return tuple(
        tuple(
            (name, float(probability), 0 if bin == "-" else int(bin)) for name, probability, bin in map(str.split, row)
        )
        for row in rows
    )


TABLES = {name: _read(written) for name, written in _WRITTEN.items()}
