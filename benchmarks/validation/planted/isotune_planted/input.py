"""Faults of what becomes of an image before the network sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isotune_planted.faults import ANY, fault, pick

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ANYWHERE = (*ANY, "resnet50")


@fault("scaled input", "input_scaling", models=ANYWHERE)
def scaled_otherwise(model: Any, draw: np.random.Generator) -> None:
    ways: dict[str, Callable[[Tensor], Tensor]] = {
        "tf": lambda pixels: pixels / 127.5 - 1,
        "unit": lambda pixels: pixels / 255,
        "none": lambda pixels: pixels,
        "caffe": lambda pixels: pixels.flip(1) - _per_channel(pixels, (103.939, 116.779, 123.68)),
    }
    _replace(model, pick(draw, list(ways.values())))


@fault("scaled input", models=ANYWHERE)
def mean_and_deviation_exchanged(model: Any, draw: np.random.Generator) -> None:
    _replace(model, lambda pixels: (pixels / 255 - _per_channel(pixels, STD)) / _per_channel(pixels, MEAN))


@fault("scaled input", models=ANYWHERE)
def channels_reversed(model: Any, draw: np.random.Generator) -> None:
    """BGR, as OpenCV reads files."""
    _change(model, lambda pixels: pixels.flip(1))


@fault("scaled input")
def divided_twice(model: Any, draw: np.random.Generator) -> None:
    _replace(model, lambda pixels: (pixels / 255**2 - _per_channel(pixels, MEAN)) / _per_channel(pixels, STD))


@fault("scaled input")
def image_transposed(model: Any, draw: np.random.Generator) -> None:
    _change(model, lambda pixels: pixels.transpose(2, 3))


@fault("scaled input")
def image_shifted(model: Any, draw: np.random.Generator) -> None:
    """By one pixel."""
    axis, by = pick(draw, [2, 3]), pick(draw, [-1, 1])
    _change(model, lambda pixels: pixels.roll(by, axis))


@fault("scaled input")
def one_channel_off(model: Any, draw: np.random.Generator) -> None:
    """One channel's mean has two digits exchanged."""
    mean = (0.458, *MEAN[1:])
    _replace(model, lambda pixels: (pixels / 255 - _per_channel(pixels, mean)) / _per_channel(pixels, STD))


@fault("resized pixels", "resize", target="declared")
def resized_otherwise(draw: np.random.Generator) -> str:
    return f"resize={pick(draw, ['nearest', 'opencv', 'opencv-area'])}"


@fault("decoded bytes", "decode", target="declared")
def decoded_otherwise(draw: np.random.Generator) -> str:
    return "decode=tensorflow"


def _per_channel(pixels: Tensor, values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values, dtype=pixels.dtype).view(1, 3, 1, 1)


def _replace(model: Any, scale: Callable[[Tensor], Tensor]) -> None:
    model._outside = lambda images: scale(images.to(model.dtype))


def _change(model: Any, change: Callable[[Tensor], Tensor]) -> None:
    scaled = model._outside
    model._outside = lambda images: change(scaled(images))
