"""In float64 everything that Keras computes is float64, on every engine: values and gradients against NumPy."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from keras_processes import process_of
from scipy.special import erf, expit, log_expit, softmax

pytestmark = pytest.mark.xdist_group("keras")
ENGINES = ("tensorflow", "jax", "torch")
SLOW = {"jax": pytest.mark.slow}  # it compiles every operation
SELU = 1.0507009873554805, 1.6732632423543772
ROUNDING = 1e-13  # relative


def normalised(x, axes):
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(variance + 0.1)


def resized(x, height, width, antialias=False):
    for axis, wanted in ((1, height), (2, width)):
        x = np.moveaxis(np.stack([line(np.moveaxis(x, axis, 0), place, wanted, antialias) for place in range(wanted)]),
                        0, axis)  # fmt: skip
    return x


def line(rows, place, wanted, antialias):
    """One row of a resizing, by triangles around its centre."""
    step = len(rows) / wanted
    centre, reach = (place + 0.5) * step - 0.5, max(step, 1) if antialias else 1
    if not antialias:
        centre = min(max(centre, 0), len(rows) - 1)
    shares = [max(0.0, 1 - abs(centre - number) / reach) for number in range(len(rows))]
    return sum(share / sum(shares) * row for share, row in zip(shares, rows, strict=True))


def attended(x):
    """Two heads of three, with kernels of sines."""
    shapes = [(6, 2, 3), (2, 3)] * 3 + [(2, 3, 6), (6,)]
    kernels = [
        np.sin(np.arange(math.prod(shape))).reshape(shape) * (number + 1) / 8 for number, shape in enumerate(shapes)
    ]
    query, key, value = (np.einsum("btc,cnh->btnh", x, kernels[number]) + kernels[number + 1] for number in (0, 2, 4))
    weights = softmax(np.einsum("btnh,bsnh->bnts", query, key) / math.sqrt(3), axis=-1)
    return np.einsum("bnts,bsnh,nhc->btc", weights, value, kernels[6]) + kernels[7]


EXPECTED = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "softmax": lambda x: softmax(x, axis=-1),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: SELU[0] * np.where(x > 0, x, SELU[1] * np.expm1(x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + abs(x)),
    "soft_shrink": lambda x: np.sign(x) * np.maximum(abs(x) - 0.5, 0),
    "silu": lambda x: x * expit(x),
    "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "gelu": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "celu": lambda x: np.where(x > 0, x, 0.7 * np.expm1(x / 0.7)),
    "tanh": np.tanh,
    "tanh_shrink": lambda x: x - np.tanh(x),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_shrink": lambda x: np.where(abs(x) > 0.5, x, 0),
    "sigmoid": expit,
    "exponential": np.exp,
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "log_sigmoid": log_expit,
    "sparse_plus": lambda x: np.where(x <= -1, 0, np.where(x < 1, (x + 1) ** 2 / 4, x)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1),
    "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "log_softmax": lambda x: np.log(softmax(x, axis=-1)),
    "LeakyReLU": lambda x: np.where(x > 0, x, 0.1 * x),
    "ReLU": lambda x: np.where(x >= 0.1, np.minimum(x, 1.3), 0.1 * (x - 0.1)),
    "PReLU": lambda x: np.where(x > 0, x, 0.1 * x),
    "ELU": lambda x: np.where(x > 0, x, 0.7 * np.expm1(x)),
    "Rescaling": lambda x: x / 255 + 0.1,
    "Rescaling of channels": lambda x: x * 0.1 + 0.3,
    "Normalization": lambda x: (x - 0.1) / math.sqrt(0.3),
    "Normalization of all": lambda x: (x - 0.1) / math.sqrt(0.3),
    "Normalization back": lambda x: x * math.sqrt(0.3) + 0.1,
    "UpSampling2D": lambda x: resized(x, 12, 10),
    "UpSampling2D nearest": lambda x: x.repeat(2, axis=1).repeat(2, axis=2),
    "Resizing": lambda x: resized(x, 4, 7),
    "Resizing with antialias": lambda x: resized(x, 4, 3, antialias=True),
    "BatchNormalization": lambda x: x / math.sqrt(1.1),
    "LayerNormalization": lambda x: normalised(x, -1),
    "Dropout": lambda x: x,
    "GlobalAveragePooling2D": lambda x: x.mean((1, 2)),
    "gelu by tanh": lambda x: x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) / 2,
    "gelu of ops": lambda x: x * (1 + erf(x / math.sqrt(2))) / 2,
    "leaky_relu of ops": lambda x: np.where(x > 0, x, 0.1 * x),
    "a number": lambda x: x * 0.1,
    "a cast number": lambda x: x * 0.1,
    "numbers": lambda x: x * np.array([0.1, 0.2, 0.3, 0.4]),
    "a root": lambda x: x / math.sqrt(3.3),
    "an exponent": lambda x: (x * x + 0.1) ** 0.3,
    "MultiHeadAttention": attended,
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    @cache
    def of(engine):
        out = tmp_path_factory.mktemp(engine) / "shown.npz"
        process_of(engine).run("wide.py", engine, out)
        with np.load(out) as arrays:
            return dict(arrays)

    return of


@pytest.mark.parametrize("engine", [pytest.param(each, marks=SLOW.get(each, ())) for each in ENGINES])
def test_values_are_those_of_numpy(shown, engine):
    found = shown(engine)
    assert {key.partition("/")[0] for key in found} == set(EXPECTED)
    wrong = {}
    for name, function in EXPECTED.items():
        y = found[f"{name}/y"]
        assert y.dtype == np.float64, name
        expected = function(found[f"{name}/x"])
        error = abs(y - expected).max() / abs(expected).max()
        if not error < ROUNDING:
            wrong[name] = error
    assert not wrong


@pytest.mark.parametrize("engine", [pytest.param(each, marks=SLOW.get(each, ())) for each in ENGINES])
def test_gradients_are_those_of_numpy(shown, engine):
    """Along one direction, by differences of fourth order."""
    found = shown(engine)
    direction = np.random.default_rng(1)
    wrong = {}
    for name, function in EXPECTED.items():
        x = found[f"{name}/x"]
        along, step = direction.uniform(-1, 1, x.shape), 1e-3

        def loss(times, x=x, along=along, function=function, step=step):
            y = function(x + times * step * along)
            return (y * y / 2 + y).sum()

        expected = (loss(-2) - 8 * loss(-1) + 8 * loss(1) - loss(2)) / (12 * step)
        scale = abs(found[f"{name}/g"] * along).sum()
        error = abs((found[f"{name}/g"] * along).sum() - expected) / scale
        if not error < 1e-10:
            wrong[name] = error
    assert not wrong
