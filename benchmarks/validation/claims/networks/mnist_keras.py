"""EN10/KerasMNIST's TFKeras: one dense layer on MNIST's 784 pixels. Grey images have three equal channels here; the
network takes the first."""

import keras
from keras import layers

CLASSES = [str(digit) for digit in range(10)]
INPUT_SCALING = "unit"  # tensorflow.examples.tutorials.mnist gives 0..1


def make():
    images = keras.Input((28, 28, 3))
    return keras.Model(images, layers.Dense(10, activation="softmax")(layers.Flatten()(images[..., :1])))
