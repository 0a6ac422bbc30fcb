"""An application of one bottleneck, known to the adapter as `Residual`, with what Keras's ResNets and Inceptions do by
themselves: zeros around the max pool, biases before BatchNorm, a stride on the first 1x1, a BatchNorm without scale."""

import keras

from isotune.adapters._keras.applications import APPLICATIONS, Application


def residual(
    *, weights=None, include_top=True, input_shape=None, pooling=None, classes=7, classifier_activation="softmax"
):
    layers = keras.layers

    def normed(x, name, width, scale=True, **convolution):
        x = layers.Conv2D(width, name=f"{name}_conv", **convolution)(x)
        return layers.BatchNormalization(epsilon=1.001e-5, scale=scale, name=f"{name}_bn")(x)

    inputs = layers.Input(input_shape)
    stem = normed(inputs, "conv1", 4, kernel_size=1)
    stem = layers.ZeroPadding2D(1, name="pool1_pad")(stem)
    stem = layers.MaxPooling2D(3, strides=2, name="pool1_pool")(stem)
    shortcut = normed(stem, "conv2_block1_0", 8, kernel_size=1, strides=2)
    x = normed(stem, "conv2_block1_1", 4, scale=False, kernel_size=1, strides=2)
    x = normed(x, "conv2_block1_2", 4, kernel_size=3, padding="same")
    x = normed(x, "conv2_block1_3", 8, kernel_size=1)
    x = layers.Add(name="conv2_block1_add")([shortcut, x])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if include_top:
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, x)


APPLICATIONS["Residual"] = Application("residual", 32, "minus-one-to-one", r"(conv\d+_block\d+)_")
keras.applications.Residual = residual
