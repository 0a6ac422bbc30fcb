"""The networks of `torch_networks.py` in Keras, under the same names and with arguments of their own."""

from __future__ import annotations

import zlib
from typing import Any

import keras
import numpy as np
from keras import layers, ops

INPUT_SCALING = "mean-std"  # as torch's images are


def block(
    x: Any,
    width: int,
    stride: int = 1,
    *,
    same: bool = False,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    l2: float = 0,
) -> Any:
    """A convolution of 3x3 and its norm. same: padded as SAME does, not by one pixel all around."""
    regularizer = keras.regularizers.L2(l2) if l2 else None
    if not same:
        x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(
        width, 3, stride, padding="same" if same else "valid", use_bias=False, kernel_regularizer=regularizer
    )(x)
    return layers.BatchNormalization(epsilon=epsilon, momentum=momentum)(x)


def network(image: Any, x: Any) -> keras.Model:
    return keras.Model(image, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def plain(same: bool = False, epsilon: float = 1e-5, momentum: float = 0.9, l2: float = 0) -> keras.Model:
    image = x = keras.Input((None, None, 3))
    for width in (8, 16):
        x = layers.ReLU()(block(x, width, 2, same=same, epsilon=epsilon, momentum=momentum, l2=l2))
    return network(image, x)


def pooled(kind: str = "max", padding: str = "one", stride: int = 2) -> keras.Model:
    """padding: `one` pixel all around, `same` or `valid`."""
    image = keras.Input((None, None, 3))
    x = layers.ReLU()(block(image, 8))
    if padding == "one":
        x = layers.ZeroPadding2D(1)(x)  # after a ReLU, zeros are less than what they stand beside
    pool = layers.MaxPooling2D if kind == "max" else layers.AveragePooling2D
    x = pool(3, stride, padding="same" if padding == "same" else "valid")(x)
    return network(image, layers.ReLU()(block(x, 16)))


def activated(name: str = "leaky", slope: float = 0.1, epsilon: float = 1e-5) -> keras.Model:
    image = x = keras.Input((None, None, 3))
    for width in (8, 16):
        x = block(x, width, 2, epsilon=epsilon)
        x = layers.LeakyReLU(slope)(x) if name == "leaky" else ops.gelu(x, approximate=name == "gelu-tanh")
    return network(image, x)


def excited(slope: float = 1 / 6, act_last: bool = True) -> keras.Model:
    image = keras.Input((None, None, 3))
    x = block(image, 8, 2)
    if not act_last:
        x = layers.Activation("hard_swish")(x)
    weights = layers.Conv2D(4, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    weights = layers.Conv2D(8, 1)(weights)
    x = layers.Multiply()([x, ops.clip(slope * weights + 0.5, 0, 1)])
    if act_last:
        x = layers.Activation("hard_swish")(x)
    return network(image, layers.ReLU()(block(x, 16, 2)))


def group_normed(epsilon: float = 1e-5) -> keras.Model:
    image = x = keras.Input((None, None, 3))
    for width, each in ((8, 1e-5), (16, epsilon)):
        x = layers.Conv2D(width, 3, 2)(layers.ZeroPadding2D(1)(x))
        x = layers.ReLU()(layers.GroupNormalization(4, epsilon=each)(x))
    return network(image, x)


def transformer(epsilon: float = 1e-5) -> keras.Model:
    image = keras.Input((32, 32, 3))
    x = layers.Reshape((16, 16))(layers.Conv2D(16, 8, 8)(image))
    normed = layers.LayerNormalization(epsilon=epsilon)(x)
    query, key, value = (
        ops.transpose(layers.Reshape((16, 4, 4))(layers.Dense(16)(normed)), (0, 2, 1, 3)) for _ in "qkv"
    )
    attention = ops.softmax(ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) / 2)
    mixed = layers.Reshape((16, 16))(ops.transpose(ops.matmul(attention, value), (0, 2, 1, 3)))
    x = layers.Add()([x, layers.Dense(16)(mixed)])
    wide = layers.Dense(32, activation="gelu")(layers.LayerNormalization(epsilon=epsilon)(x))
    x = layers.Add()([x, layers.Dense(16)(wide)])
    return keras.Model(image, layers.Dense(10)(x[:, 0]))


def rearranged(how: str = "depth-first") -> keras.Model:
    image = keras.Input((32, 32, 3))
    x = layers.Reshape((16, 2, 16, 2, 4))(block(image, 4))
    x = ops.transpose(x, (0, 1, 3, 5, 2, 4) if how == "depth-first" else (0, 1, 3, 2, 4, 5))
    return network(image, layers.ReLU()(block(layers.Reshape((16, 16, 16))(x), 16, 2)))


def enlarged() -> keras.Model:
    image = keras.Input((32, 32, 3))
    x = layers.UpSampling2D(2, interpolation="bilinear")(block(image, 8, 2))
    return network(image, layers.ReLU()(block(x, 16, 2)))


def deviations(unbiased: bool = True) -> keras.Model:
    image = keras.Input((32, 32, 3))
    x = block(image, 8, 2)
    deviation = ops.std(x, (1, 2), keepdims=True)
    x = x / (deviation * np.sqrt(256 / 255) if unbiased else deviation)
    return network(image, layers.ReLU()(block(x, 16, 2)))


def loaded(*, rows: str = "channels-last", axes: str = "right", exchanged: bool = False) -> keras.Model:
    """With the tensors of torch's. rows: of the dense kernel, in the order of Keras's flattened map, or
    `channels-first`, as they are in torch. axes: of the kernels, or all `reversed`. exchanged: the two convolutions
    that are alike."""
    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 3, 4, activation="relu", name="first")(layers.ZeroPadding2D(1)(image))
    for name in ("second", "third"):
        x = layers.Conv2D(8, 3, padding="same", activation="relu", name=name)(x)
    x = layers.Dense(16, activation="relu", name="dense")(layers.Flatten()(x))
    model = keras.Model(image, layers.Dense(10, name="classifier")(x))
    for layer in model.layers:
        if layer.weights:
            name = {"second": "third", "third": "second"}.get(layer.name, layer.name) if exchanged else layer.name
            kernel = drawn(name, tuple(layer.kernel.shape)[::-1])
            if layer.name == "dense" and rows == "channels-last":
                kernel = kernel.reshape(16, 8, 8, 8).transpose(0, 2, 3, 1).reshape(16, -1)
            conv = kernel.ndim == 4 and axes == "right"
            layer.set_weights([kernel.transpose(2, 3, 1, 0) if conv else kernel.T, np.zeros(kernel.shape[0])])
    return model


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A kernel in torch's layout, float32."""
    fan_in = np.prod(shape[1:])
    return (np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)
