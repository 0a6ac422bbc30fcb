"""An application of three residual blocks, known to the adapter as `Branched`: a gated branch on an identity, one
beside a projection, and one that an operator adds instead of a layer."""

import keras

from isotune.adapters._keras.applications import APPLICATIONS, Application


def branched(
    *, weights=None, include_top=True, input_shape=None, pooling=None, classes=7, classifier_activation="softmax"
):
    layers = keras.layers

    def normed(x, name, width, size, stride=1):
        x = layers.Conv2D(width, size, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
        return layers.BatchNormalization(name=f"{name}_bn")(x)

    inputs = layers.Input(input_shape)
    x = normed(inputs, "stem", 4, 3, 2)
    branch = normed(x, "block1_1", 4, 3)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="block1_pool")(branch)
    gate = layers.Conv2D(4, 1, activation="sigmoid", name="block1_gate")(gate)
    x = layers.Add(name="block1_add")([x, layers.Multiply(name="block1_gated")([branch, gate])])
    branch = layers.ReLU(name="block2_relu")(normed(x, "block2_1", 4, 3, 2))
    branch, shortcut = normed(branch, "block2_2", 6, 3), normed(x, "block2_0", 6, 1, 2)
    x = layers.Add(name="block2_add")([branch, shortcut])
    branch = layers.Dense(6, name="block3_dense")(layers.LayerNormalization(name="block3_ln")(x))
    x = layers.GlobalAveragePooling2D(name="pool")(x + branch)
    if include_top:
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, x)


APPLICATIONS["Branched"] = Application("branched", 32, "minus-one-to-one", r"(block\d)_")
keras.applications.Branched = branched
