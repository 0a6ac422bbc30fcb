"""Networks in Keras of what is rare: other norms, activations as operations, halves that stride, a fixed Reshape."""

import keras
import numpy as np
from keras import layers, ops


def _classified(image, x):
    return keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def normed():
    image = keras.Input((None, None, 3))
    x = layers.PReLU(shared_axes=(1, 2))(layers.GroupNormalization(2)(layers.Conv2D(4, 3)(image)))
    return _classified(image, layers.RMSNormalization()(layers.Conv2D(4, 3)(x)))


def gelu(x):
    """No GELU, by the name of one."""
    return 2 * ops.relu(x)


def misnamed():
    image = keras.Input((None, None, 3))
    return _classified(image, layers.Conv2D(4, 3, activation=gelu)(image))


def activated(form="exact"):
    """GELU as an operation, and as an activation: Keras's, or the function of keras.ops."""
    tanh = form == "tanh"
    image = keras.Input((None, None, 3))
    x = ops.gelu(layers.Conv2D(4, 3)(image), approximate=tanh)
    x = layers.Conv2D(4, 3, activation=ops.gelu if tanh else keras.activations.gelu)(x)
    x = ops.leaky_relu(layers.Conv2D(4, 3, activation=ops.gelu if tanh else "gelu")(x), negative_slope=0.3)
    return _classified(image, ops.hard_sigmoid(layers.Conv2D(4, 3)(x)))


def separable(stride=1):
    image = keras.Input((None, None, 3))
    x = layers.SeparableConv2D(4, 3, stride)(layers.Conv2D(4, 3)(image))
    return _classified(image, layers.Conv2D(4, 1)(x))


def reshaped(crop=0):
    """Behind a Reshape of fixed sizes."""
    image = keras.Input((32, 37, 3))
    x = layers.Conv2D(4, 3)(image)
    x = layers.Conv2D(4, 1)(layers.Cropping2D(crop)(x))
    height, width = x.shape[1:3]
    x = layers.Conv2D(4, 1)(layers.Reshape((width, height, 4))(x))
    return _classified(image, x)


def scaled():
    """By a mean and a variance that nobody else has."""
    image = keras.Input((None, None, 3))
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Normalization(mean=[0.4, 0.5, 0.3], variance=np.array([0.2, 0.3, 0.7]))(x)
    return _classified(image, layers.Conv2D(4, 3)(x))


def one_channel():
    image = keras.Input((None, None, 1))
    return _classified(image, layers.Conv2D(4, 3)(image))


def grey():
    """`one_channel` on images whose three channels are equal."""
    image = keras.Input((None, None, 3))
    return keras.Model(image, one_channel()(image[..., :1]))


def dense():
    """Nothing but dense layers, on the pixels of one channel."""
    image = keras.Input((8, 9, 3))
    return keras.Model(image, layers.Dense(3)(layers.Dense(5)(layers.Flatten()(image[..., :1]))))
