"""The networks for Fashion-MNIST of berfubuyukoz/fashion_mnist_task, as its summaries list their layers: the second has
dropout. Grey images have three equal channels here; the networks take the first."""

import keras
from keras import layers

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
INPUT_SCALING = "unit"


def _network(dropout):
    images = keras.Input((28, 28, 3))
    x = images[..., :1]
    x = layers.MaxPooling2D()(layers.Conv2D(32, 3, activation="relu")(x))
    x = layers.MaxPooling2D()(layers.Conv2D(64, 3, activation="relu")(x))
    x = layers.Conv2D(128, 3, activation="relu")(x)
    x = layers.Dropout(0.4)(x) if dropout else x
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    x = layers.Dropout(0.3)(x) if dropout else x
    return keras.Model(images, layers.Dense(10, activation="softmax")(x))


def plain():
    return _network(dropout=False)


def with_dropout():
    return _network(dropout=True)
