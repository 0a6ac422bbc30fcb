"""Cross-entropy in both of its forms: realised, and how to write it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from isotune.adapters.remedies import Table


@dataclass(frozen=True)
class Loss:
    """Mean cross-entropy under one form and smoothing; an engine may give the smoothing as a tensor."""

    form: str
    smoothing: float

    def __call__(self, logits: Any, labels: Any, smoothing: Any = None) -> Any:
        return cross_entropy(self.form)(logits, labels, self.smoothing if smoothing is None else smoothing)


@functools.cache
def cross_entropy(form: str) -> Callable[[Any, Any, Any], Any]:
    """The mean cross-entropy in nats of logits under a smoothing, a scalar in the variables' dtype. labels: integers
    [N], or targets [N, classes].

    The smoothing is a number, or a scalar tensor of that dtype. Targets are (1-a) * onehot + a/K (Szegedy et al. 2016;
    keras/src/losses/losses.py).
    form: "logits", or "clipped-probabilities": softmax, renormalised, clipped to [1e-7, 1-1e-7], as Keras
    computes from probabilities. It is written out because Keras on TensorFlow looks for the softmax in the
    graph and takes its logits (keras/src/backend/tensorflow/nn.py, `_get_logits`): with TensorFlow, a
    softmax head does not give Keras's users the clipped form, with JAX and PyTorch it does.
    """
    import keras
    from keras import ops

    def smoothed(logits: Any, labels: Any, label_smoothing: Any) -> Any:
        dtype = logits.dtype
        classes = logits.shape[-1]
        targets = ops.cast(labels, dtype) if len(labels.shape) == 2 else ops.one_hot(labels, classes, dtype=dtype)
        if not isinstance(label_smoothing, float):
            targets = targets * (1 - label_smoothing) + label_smoothing / classes
        elif label_smoothing:
            kept, spread = (
                ops.convert_to_tensor(np.asarray(share, keras.backend.standardize_dtype(dtype)))
                for share in (1.0 - label_smoothing, label_smoothing / classes)
            )
            targets = targets * kept + spread
        return targets

    def from_logits(targets: Any, logits: Any) -> Any:
        return ops.mean(ops.categorical_crossentropy(targets, logits, from_logits=True))

    def from_probabilities(targets: Any, logits: Any) -> Any:
        probabilities = ops.softmax(logits)
        probabilities = probabilities / ops.sum(probabilities, axis=-1, keepdims=True)
        probabilities = ops.clip(probabilities, 1e-7, 1.0 - 1e-7)
        return ops.mean(-ops.sum(targets * ops.log(probabilities), axis=-1))

    compared = from_logits if form == "logits" else from_probabilities

    def loss(logits: Any, labels: Any, label_smoothing: Any) -> Any:
        if keras.backend.standardize_dtype(logits.dtype) not in ("float32", "float64"):
            logits = ops.cast(logits, "float32")
        return compared(smoothed(logits, labels, label_smoothing), logits)

    return loss


# -- the lines to write


_LOGITS = """
import keras

model.layers[-1].activation = keras.activations.linear  # logits, where a softmax gave probabilities
loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.0)  # of one-hot labels
"""


_CLIPPED = '''
import keras


def loss(targets, logits):
    """Of one-hot (or smoothed) targets and of the logits of a head without activation."""
    probabilities = keras.ops.clip(keras.ops.softmax(logits), 1e-7, 1 - 1e-7)
    targets = keras.ops.cast(targets, logits.dtype)
    return -keras.ops.mean(keras.ops.sum(targets * keras.ops.log(probabilities), axis=-1))
'''


REMEDIES: Table = {
    "loss": {
        "logits": (
            _LOGITS,
            "Before `model.compile(loss=loss)`. The sparse cross-entropy has no label smoothing: take one-hot labels.",
        ),
        "clipped-probabilities": (
            _CLIPPED,
            "From probabilities Keras clips so by itself, but on TensorFlow it finds the logits behind a softmax.",
        ),
    },
}
