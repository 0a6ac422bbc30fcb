"""Input scaling: the values of the axis as numbers, and back."""

from __future__ import annotations

import re

import numpy as np

from isotune.errors import UsageError, nearest

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_MEAN_RGB = (123.68, 116.779, 103.939)  # keras/src/applications/imagenet_utils.py, in RGB order

_CUSTOM_SCALING = re.compile(r"mean-std\(([^;()]+);([^;()]+)\)")


def affine(scaling: str) -> tuple[bool, np.ndarray, np.ndarray]:
    """Input scaling as `(bgr, scale, offset)`: y = x * scale + offset for x in 0..255.

    scale and offset are float64 [3], in the order of the channels that the network receives (already
    reversed when bgr). Sources: torchvision.transforms.Normalize; keras imagenet_utils.preprocess_input.
    """
    match scaling:
        case "mean-std":
            return False, *_mean_std(IMAGENET_MEAN, IMAGENET_STD)
        case "minus-one-to-one":
            return False, *_mean_std((0.5,) * 3, (0.5,) * 3)
        case "unit":
            return False, *_mean_std((0.0,) * 3, (1.0,) * 3)
        case "none":
            return False, np.ones(3), np.zeros(3)
        case "caffe":
            return True, np.ones(3), -np.array(CAFFE_MEAN_RGB[::-1])
    if custom := _CUSTOM_SCALING.fullmatch(scaling.replace(" ", "")):
        try:
            mean, std = (tuple(float(number) for number in group.split(",")) for group in custom.groups())
            if len(mean) == len(std) == 3 and np.isfinite([mean, std]).all() and min(std) > 0:
                return False, *_mean_std(mean, std)
        except ValueError:
            pass
    known = ["mean-std", "minus-one-to-one", "unit", "none", "caffe"]
    raise UsageError(f"input scaling {scaling!r} is unknown; {nearest(scaling, known)} or mean-std(R,G,B;R,G,B)")


def named_scaling(scale: np.ndarray, offset: np.ndarray) -> str:
    """The input scaling y = x * scale + offset, [3] each, by its name where it has one (to float32's precision)."""
    for name in ("mean-std", "minus-one-to-one", "unit", "none"):
        _, known_scale, known_offset = affine(name)
        if np.allclose(scale, known_scale, rtol=1e-6) and np.allclose(offset, known_offset, rtol=1e-6, atol=1e-7):
            return name
    std = 1 / (255 * scale)
    mean = -offset * std
    return "mean-std({};{})".format(*(",".join(map(_digits, values)) for values in (mean, std)))


def is_named(scaling: str) -> bool:
    """Whether it is one that people use and call by a name, no other mean and deviation."""
    return scaling != "none" and not _CUSTOM_SCALING.fullmatch(scaling.replace(" ", ""))


def _digits(value: float) -> str:
    """As few as say the number, to float64's rounding."""
    texts = [f"{value:.{digits}g}" for digits in range(9, 18)]
    return next((text for text in texts if abs(float(text) - value) <= 4e-15 * abs(value)), texts[-1])


def _mean_std(mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    scale = 1 / (255 * np.array(std))
    return scale, -np.array(mean) / np.array(std)
