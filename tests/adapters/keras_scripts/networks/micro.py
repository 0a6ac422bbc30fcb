"""An application of one convolution and one BatchNorm, known to the adapter as `Micro`: what training needs at least,
so that JAX compiles a step of it in a second."""

import keras

from isotune.adapters._keras.applications import APPLICATIONS, Application


def micro(
    *, weights=None, include_top=True, input_shape=None, pooling=None, classes=7, classifier_activation="softmax"
):
    layers = keras.layers
    inputs = layers.Input(input_shape)
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if include_top:
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, x)


APPLICATIONS["Micro"] = Application("micro", 32, "minus-one-to-one")
keras.applications.Micro = micro
