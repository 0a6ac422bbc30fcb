"""MobileNetV2 of width 0.35 in Keras, as torchvision computes it (torchvision/models/mobilenetv2.py)."""

import keras
from keras import layers

SETTINGS = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
WIDTH = 0.35


def rounded(channels):
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def normed(x):
    return layers.BatchNormalization(epsilon=1e-5, momentum=0.9)(x)


def relu6(x):
    return layers.ReLU(6.0)(normed(x))


def inverted(x, expansion, width, stride):
    given, inside = x, x.shape[-1] * expansion
    if expansion > 1:
        x = relu6(layers.Conv2D(inside, 1, use_bias=False)(x))
    x = layers.ZeroPadding2D(1)(x)
    x = relu6(layers.DepthwiseConv2D(3, stride, use_bias=False)(x))
    x = normed(layers.Conv2D(width, 1, use_bias=False)(x))
    return given + x if stride == 1 and given.shape[-1] == width else x


def ported():
    image = keras.Input((None, None, 3))
    x = layers.ZeroPadding2D(1)(image)
    x = relu6(layers.Conv2D(rounded(32 * WIDTH), 3, 2, use_bias=False)(x))
    for expansion, width, count, stride in SETTINGS:
        for place in range(count):
            x = inverted(x, expansion, rounded(width * WIDTH), stride if place == 0 else 1)
    x = layers.GlobalAveragePooling2D()(relu6(layers.Conv2D(1280, 1, use_bias=False)(x)))
    return keras.Model(image, layers.Dense(1000, activation="softmax")(layers.Dropout(0.2)(x)))
