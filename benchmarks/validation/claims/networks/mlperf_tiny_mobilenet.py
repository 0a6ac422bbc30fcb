"""MobileNetV1 of width 0.25 for visual wake words at 96 pixels, a reference network of MLPerf Tiny (Banbury et al.
2021, https://arxiv.org/abs/2106.07597)."""

import keras
from keras import layers

CLASSES = ["no person", "person"]
INPUT_SCALING = "unit"  # its training divides by 255


def make():
    images = keras.Input((96, 96, 3))
    x = _normalised(layers.Conv2D(8, 3, 2, padding="same")(images))
    blocks = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
    for filters, stride in blocks:
        x = _normalised(layers.DepthwiseConv2D(3, stride, padding="same")(x))
        x = _normalised(layers.Conv2D(filters, 1, padding="same")(x))
    x = layers.Flatten()(layers.AveragePooling2D(3)(x))
    return keras.Model(images, layers.Dense(2, activation="softmax")(x))


def _normalised(x):
    return layers.Activation("relu")(layers.BatchNormalization()(x))
