"""ResNet-8 for CIFAR-10, a reference network of MLPerf Tiny (Banbury et al. 2021, https://arxiv.org/abs/2106.07597)."""

import keras
from keras import layers

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
INPUT_SCALING = "none"  # it takes 0..255


def make():
    images = keras.Input((32, 32, 3))
    x = _normalised(layers.Conv2D(16, 3, padding="same")(images))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = _normalised(layers.Conv2D(filters, 3, stride, padding="same")(x))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
        if stride > 1:
            x = layers.Conv2D(filters, 1, stride, padding="same")(x)
        x = layers.Activation("relu")(layers.add([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(images, layers.Dense(10, activation="softmax")(x))


def _normalised(x):
    return layers.Activation("relu")(layers.BatchNormalization()(x))
