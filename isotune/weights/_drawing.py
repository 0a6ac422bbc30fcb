"""Weights drawn in NumPy, the same for every library."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping

import numpy as np

from isotune.conventions import head_law
from isotune.weights._canonical import HEAD, Array, Weights

_CUT_OFF = 2.0  # standard deviations of a truncated normal


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

    initialisation: a value of the axis (`isotune.conventions.head_law`). UsageError: no such law.
    """
    law = head_law(initialisation, features, classes)
    stream = np.random.default_rng([seed, 0x68656164])
    shape = features, classes
    if law.weight == "uniform":
        kernel = stream.uniform(-law.size, law.size, shape) if law.size else np.zeros(shape)
    elif law.weight == "normal":
        kernel = stream.normal(0.0, law.size, shape)
    else:
        from scipy.special import ndtr, ndtri  # which a process of a framework has no other use for

        tail = ndtr(-_CUT_OFF)
        kernel = law.size * ndtri(stream.uniform(tail, 1 - tail, shape))
    bias = stream.uniform(-law.bias, law.bias, classes) if law.bias else np.zeros(classes)
    return {f"{HEAD}.kernel": kernel.astype(np.float32), f"{HEAD}.bias": bias.astype(np.float32)}
