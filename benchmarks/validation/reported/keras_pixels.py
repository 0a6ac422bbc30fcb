"""Networks in Keras for pixels of 0..255, which they scale themselves: the file has no INPUT_SCALING."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers


def rescaled() -> keras.Model:
    image = keras.Input((None, None, 3))
    return _network(image, layers.Rescaling(1 / 255)(image))


def scaled_inside(squared: bool = True) -> keras.Model:
    """By ImageNet's mean and deviation. squared: Normalization is given the variance, not the deviation for it."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    image = keras.Input((None, None, 3))
    scale = layers.Normalization(mean=mean, variance=deviation**2 if squared else deviation)
    return _network(image, scale(layers.Rescaling(1 / 255)(image)))


def _network(image: Any, x: Any) -> keras.Model:
    for width in (8, 16):
        x = layers.Conv2D(width, 3, 2, use_bias=False)(layers.ZeroPadding2D(1)(x))
        x = layers.ReLU()(layers.BatchNormalization(epsilon=1e-5, momentum=0.9)(x))
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))
