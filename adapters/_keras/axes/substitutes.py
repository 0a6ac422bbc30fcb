"""Layers that take the place of Keras's own under a convention.

The modules of the axes (`pooling`, `norms`, `piecewise`) put them there.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="isotune")
class UnbiasedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    """BatchNormalization whose running variance takes n/(n-1) of the batch's, as torch's does.

    Normalisation itself uses the biased variance in both libraries. n counts the values per channel; with n = 1
    the factor is taken as 1 (torch refuses such a batch). Otherwise as in
    keras/src/layers/normalization/batch_normalization.py, without masks and renormalisation.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        inputs = ops.cast(inputs, dtype)
        axes = [axis for axis in range(len(inputs.shape)) if axis != self.axis % len(inputs.shape)]
        mean, variance = ops.moments(inputs, axes=axes)
        shape = ops.shape(inputs)
        count = ops.cast(functools.reduce(lambda a, b: a * b, (shape[axis] for axis in axes)), dtype)
        unbiased = variance * (count / ops.clip(count - 1, 1, math.inf))
        kept, new = self.momentum, 1.0 - self.momentum
        self.moving_mean.assign(ops.cast(self.moving_mean, dtype) * kept + mean * new)
        self.moving_variance.assign(ops.cast(self.moving_variance, dtype) * kept + unbiased * new)
        outputs = ops.batch_normalization(
            inputs,
            mean,
            variance,
            axis=self.axis,
            offset=None if self.beta is None else ops.cast(self.beta, dtype),
            scale=None if self.gamma is None else ops.cast(self.gamma, dtype),
            epsilon=self.epsilon,
        )
        return ops.cast(outputs, self.compute_dtype)


class Scale(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Multiplies by a constant."""

    def __init__(self, factor: np.ndarray) -> None:
        super().__init__()
        self._factor = factor

    def call(self, inputs: Any) -> Any:
        return inputs * keras.ops.cast(keras.ops.convert_to_tensor(self._factor), inputs.dtype)


class _Gate(keras.layers.ReLU):  # type: ignore[misc]  # Keras has no types
    """ReLU6 in a gate of relu6(x + 3) * (1/6) that is to be another hard sigmoid, clip(a*x + 1/2).

    It is given y = x + 3, and relu6(6*a*y + 3 - 18*a) / 6 is that.
    """

    form: str
    steepness: float

    def call(self, inputs: Any) -> Any:
        return super().call(inputs * (6 * self.steepness) + (3 - 18 * self.steepness))


@keras.saving.register_keras_serializable(package="isotune")
class _FifthGate(_Gate):
    form, steepness = "fifth", 0.2


@keras.saving.register_keras_serializable(package="isotune")
class _HalfGate(_Gate):
    form, steepness = "half", 0.5


GATES: dict[str, type[Any]] = {"sixth": keras.layers.ReLU, "fifth": _FifthGate, "half": _HalfGate}
