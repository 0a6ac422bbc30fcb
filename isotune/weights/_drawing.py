"""Weights drawn in NumPy, the same for every library."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np

from isotune.errors import UsageError, nearest
from isotune.weights._canonical import HEAD, Array, Weights


def random_weights(layout: Mapping[str, tuple[int, ...]], seed: int) -> Weights:
    """Weights drawn once in NumPy, BatchNorm tensors included; the same for every library.

    Kernels are He normal (He et al. 2015, fan-in), biases and shifts N(0, 0.1), scales and variances
    U(0.5, 1.5), means N(0, 0.1). Each tensor has its own stream, keyed by seed and name, so that the
    order of the layout does not matter. float32.
    """
    drawn = {}
    for name, shape in layout.items():
        stream = np.random.default_rng([seed, zlib.crc32(name.encode())])
        slot = name.rpartition(".")[2]
        if slot == "kernel":
            array = stream.normal(0.0, math.sqrt(2 / max(1, math.prod(shape[:-1]))), shape)
        elif slot in ("scale", "variance"):
            array = stream.uniform(0.5, 1.5, shape)
        else:
            array = stream.normal(0.0, 0.1, shape)
        drawn[name] = array.astype(np.float32)
    return Weights(drawn, {}, "", f"random:{seed}")


def head_weights(features: int, classes: int, initialisation: str, seed: int) -> dict[str, Array]:
    """A new classifier `{"head.kernel": [features, classes], "head.bias": [classes]}`, float32.

    uniform-fan-in: torch.nn.Linear's default, U(+-1/sqrt(features)) for both; glorot-uniform: Keras's
    Dense, U(+-sqrt(6/(features+classes))) and a zero bias (Glorot and Bengio 2010); zeros.
    """
    stream = np.random.default_rng([seed, 0x68656164])
    kernel, bias = np.zeros((features, classes)), np.zeros(classes)
    if initialisation == "uniform-fan-in":
        bound = 1 / np.sqrt(features)
        kernel, bias = stream.uniform(-bound, bound, kernel.shape), stream.uniform(-bound, bound, bias.shape)
    elif initialisation == "glorot-uniform":
        bound = np.sqrt(6 / (features + classes))
        kernel = stream.uniform(-bound, bound, kernel.shape)
    elif initialisation != "zeros":
        raise UsageError(
            f"head initialisation {initialisation!r} is unknown;"
            f" {nearest(initialisation, ['uniform-fan-in', 'glorot-uniform', 'zeros'])}"
        )
    return {f"{HEAD}.kernel": kernel.astype(np.float32), f"{HEAD}.bias": bias.astype(np.float32)}
