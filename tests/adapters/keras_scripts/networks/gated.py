"""An application of what `Tiny` has not: a LeakyReLU, a hard sigmoid, and one that is written as MobileNetV3's gates
are; known to the adapter as `Gated`."""

import keras

from isotune.adapters._keras.applications import APPLICATIONS, Application


def gated(
    *, weights=None, include_top=True, input_shape=None, pooling=None, classes=7, classifier_activation="softmax"
):
    layers = keras.layers
    x = inputs = layers.Input(input_shape)
    x = layers.Conv2D(3, 1, use_bias=False, name="first")(x)
    x = layers.LeakyReLU(name="leaky")(x)
    x = layers.Conv2D(3, 1, use_bias=False, name="second")(x)
    x = layers.Activation("hard_sigmoid", name="gate")(x / 16)
    x = layers.Conv2D(3, 1, use_bias=False, name="third")(x)
    x = layers.ReLU(6.0, name="other")(x + 3.0) * (1.0 / 6.0)
    x = layers.Conv2D(3, 1, use_bias=False, name="fourth")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if include_top:
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, x)


APPLICATIONS["Gated"] = Application("gated", 32, "caffe")
keras.applications.Gated = gated
