"""ENGINE OUT.npz: layers, activations and operations of Keras in float64, and their gradients.

For each case `x`, the input; `y`, what it gives; `g`, the gradient of sum(y * y / 2 + y) by x.
"""

import math
import sys

import numpy as np

from isotune.adapters.keras import KerasAdapter

engine, out = sys.argv[1:]
KerasAdapter(engine).environment()
import keras  # noqa: E402
from keras import activations, layers, ops  # noqa: E402

from isotune.adapters._keras.numeric import numeric  # noqa: E402

MAP, TOKENS = (6, 5, 4), (5, 6)
ACTIVATIONS = (
    "relu", "leaky_relu", "relu6", "softmax", "elu", "selu", "softplus", "softsign", "soft_shrink", "silu",
    "squareplus", "gelu", "celu", "tanh", "tanh_shrink", "hard_tanh", "hard_shrink", "sigmoid", "exponential",
    "hard_sigmoid", "log_sigmoid", "sparse_plus", "sparse_sigmoid", "hard_silu", "mish", "log_softmax",
)  # fmt: skip
LAYERS = {
    "LeakyReLU": lambda: layers.LeakyReLU(0.1),
    "ReLU": lambda: layers.ReLU(max_value=1.3, negative_slope=0.1, threshold=0.1),
    "PReLU": lambda: layers.PReLU(keras.initializers.Constant(0.1)),
    "ELU": lambda: layers.ELU(0.7),
    "Rescaling": lambda: layers.Rescaling(1 / 255, 0.1),
    "Rescaling of channels": lambda: layers.Rescaling([0.1] * 4, [0.3] * 4),
    "Normalization": lambda: layers.Normalization(mean=[0.1] * 4, variance=[0.3] * 4),
    "Normalization of all": lambda: layers.Normalization(axis=None, mean=0.1, variance=0.3),
    "Normalization back": lambda: layers.Normalization(mean=[0.1] * 4, variance=[0.3] * 4, invert=True),
    "UpSampling2D": lambda: layers.UpSampling2D(2, interpolation="bilinear"),
    "UpSampling2D nearest": lambda: layers.UpSampling2D(2),
    "Resizing": lambda: layers.Resizing(4, 7),
    "Resizing with antialias": lambda: layers.Resizing(4, 3, antialias=True),
    "BatchNormalization": lambda: layers.BatchNormalization(epsilon=0.1),
    "LayerNormalization": lambda: layers.LayerNormalization(epsilon=0.1),
    "Dropout": lambda: layers.Dropout(0.3),
    "GlobalAveragePooling2D": layers.GlobalAveragePooling2D,
}
OPERATIONS = {
    "celu": lambda x: activations.celu(x, 0.7),
    "gelu by tanh": lambda x: ops.gelu(x, approximate=True),
    "gelu of ops": lambda x: ops.gelu(x, approximate=False),
    "leaky_relu of ops": lambda x: ops.leaky_relu(x, 0.1),
    "a number": lambda x: x * ops.convert_to_tensor(0.1),
    "a cast number": lambda x: x * ops.cast(0.1, x.dtype),
    "numbers": lambda x: x * ops.convert_to_tensor([0.1, 0.2, 0.3, 0.4]),
    "a root": lambda x: x / ops.sqrt(3.3),
    "an exponent": lambda x: ops.power(x * x + 0.1, 0.3),
}


def attention():
    """Of two heads, with kernels of sines."""
    tokens = keras.Input(TOKENS)
    model = keras.Model(tokens, layers.MultiHeadAttention(2, 3)(tokens, tokens))
    for number, variable in enumerate(model.weights):
        variable.assign(np.sin(np.arange(math.prod(variable.shape)))
                        .reshape(variable.shape) * (number + 1) / 8)  # fmt: skip
    return model


def of(function, shape=MAP):
    given = keras.Input(shape)
    return keras.Model(given, function(given))


def shown(model, x):
    if engine == "tensorflow":
        import tensorflow as tf

        given = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(given)
            y = model(given)
            loss = tf.reduce_sum(y * y / 2 + y)
        return y.numpy(), tape.gradient(loss, given).numpy()
    if engine == "jax":
        import jax

        def loss(given):
            y = model(given)
            return (y * y / 2 + y).sum(), y

        (_, y), gradient = jax.value_and_grad(loss, has_aux=True)(jax.numpy.asarray(x))
        return np.asarray(y), np.asarray(gradient)
    import torch

    given = torch.tensor(x, requires_grad=True)
    y = model(given)
    (gradient,) = torch.autograd.grad((y * y / 2 + y).sum(), given)
    return y.detach().numpy(), gradient.numpy()


found = {}
with numeric("float64"):
    cases = {name: of(layers.Activation(name)) for name in ACTIVATIONS}
    cases |= {name: of(make()) for name, make in LAYERS.items()}
    cases |= {name: of(function) for name, function in OPERATIONS.items()}
    cases["MultiHeadAttention"] = attention()
    for name, model in cases.items():
        stream = np.random.default_rng(0)
        # between the places where an activation has a kink, which are tenths
        x = stream.integers(-39, 39, (2, *model.input_shape[1:])) / 10 + stream.uniform(0.04, 0.06)
        y, gradient = shown(model, x)
        found |= {f"{name}/x": x, f"{name}/y": y, f"{name}/g": gradient}
np.savez(out, **found)
