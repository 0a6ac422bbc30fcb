"""An application of a few layers, made known to the adapter as `Tiny`, so that every engine compiles it in seconds.

It has one of each layer that a convention acts on: a SAME convolution with stride 2, a ZeroPadding2D before a valid
depthwise one, BatchNorm, a separable convolution, average pooling over the border, GELU.
"""

import keras

from isotune.adapters._keras.applications import APPLICATIONS, Application


def tiny(
    *,
    weights=None,
    include_top=True,
    input_shape=None,
    pooling=None,
    classes=7,
    classifier_activation="softmax",
    width=4,
):
    layers = keras.layers
    inputs = layers.Input(input_shape)
    x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(inputs)
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name="stem_bn")(x)
    x = layers.Activation("gelu", name="stem_gelu")(x)
    depthwise = layers.DepthwiseConv2D(
        5, strides=2, padding="valid", depth_multiplier=2, use_bias=False, name="block1_dw"
    )
    sizes = [1 - side % 2 for side in x.shape[1:3]]  # imagenet_utils.correct_pad
    x = layers.ZeroPadding2D([(2 - even, 2) for even in sizes], name="block1_pad")(x)
    x = depthwise(x)
    x = layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name="block1_bn")(x)
    x = layers.AveragePooling2D(3, strides=1, padding="same", name="block2_pool")(x)
    x = layers.SeparableConv2D(6, 3, padding="same", use_bias=True, name="block2_separable")(x)
    x = layers.LayerNormalization(epsilon=1e-6, name="block2_ln")(x)
    x = layers.Dropout(0.5, name="block2_drop")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if include_top:
        x = layers.Dense(classes, activation=classifier_activation, name="predictions")(x)
    return keras.Model(inputs, x)


APPLICATIONS["Tiny"] = Application("tiny", 32, "minus-one-to-one", r"(block\d)_")
keras.applications.Tiny = tiny
