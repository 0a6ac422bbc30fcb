"""The network that every engine runs: input scaling, an application without its classifier, a dense head.

`Network(images)` gives (features, logits). Images are uint8 [N, H, W, 3]; features [N, D] are what the head
receives before any mask. `cross_entropy` is the loss in both of its forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from isotune.conventions import affine


class Network(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Scaling, base and head as one Keras model, so that Keras's own freezing and stateless calls apply."""

    def __init__(self, base: Any, head: Any, scaling: str) -> None:
        super().__init__(autocast=False)  # uint8 comes in; the layers cast for themselves
        self.base, self.head = base, head
        # the variables' dtype: in mixed precision the first convolution is the one that rounds
        self._pixels = keras.config.floatx()
        bgr, scale, offset = affine(scaling)
        self._reverse = bgr
        self._affine = None if scaling == "none" else (scale.astype(self._pixels), offset.astype(self._pixels))

    def scaled(self, images: Any) -> Any:
        """What the base gets of images."""
        pixels = ops.cast(images, self._pixels)
        if self._reverse:
            pixels = ops.flip(pixels, axis=-1)
        if self._affine:
            scale, offset = (ops.convert_to_tensor(constant) for constant in self._affine)  # on the pixels' device
            pixels = pixels * scale + offset
        return pixels

    def call(self, images: Any, training: bool = False, feature_mask: Any = None) -> tuple[Any, Any]:
        features = self.base(self.scaled(images), training=training)
        masked = features if feature_mask is None else features * ops.cast(feature_mask, features.dtype)
        return features, self.head(masked)


@dataclass(frozen=True)
class Loss:
    """Mean cross-entropy under one form and smoothing; an engine may give the smoothing as a tensor."""

    form: str
    smoothing: float

    def __call__(self, logits: Any, labels: Any, smoothing: Any = None) -> Any:
        return cross_entropy(logits, labels, self.smoothing if smoothing is None else smoothing, self.form)


def cross_entropy(logits: Any, labels: Any, label_smoothing: Any, form: str) -> Any:
    """Mean cross-entropy in nats, a scalar in the variables' dtype.

    labels: integer [N]. label_smoothing: a number, or a scalar tensor of that dtype. Targets are
    (1-a) * onehot + a/K (Szegedy et al. 2016; keras/src/losses/losses.py).
    form: "logits", or "clipped-probabilities": softmax, renormalised, clipped to [1e-7, 1-1e-7], as Keras
    computes from probabilities. It is written out because Keras on TensorFlow looks for the softmax in the
    graph and takes its logits (keras/src/backend/tensorflow/nn.py, `_get_logits`): with TensorFlow, a
    softmax head does not give Keras's users the clipped form, with JAX and PyTorch it does.
    """
    if keras.backend.standardize_dtype(logits.dtype) not in ("float32", "float64"):
        logits = ops.cast(logits, "float32")
    dtype = logits.dtype
    classes = logits.shape[-1]
    targets = ops.one_hot(labels, classes, dtype=dtype)
    if not isinstance(label_smoothing, float):
        targets = targets * (1 - label_smoothing) + label_smoothing / classes
    elif label_smoothing:
        kept, spread = (
            ops.convert_to_tensor(np.asarray(share, keras.backend.standardize_dtype(dtype)))
            for share in (1.0 - label_smoothing, label_smoothing / classes)
        )
        targets = targets * kept + spread
    if form == "logits":
        return ops.mean(ops.categorical_crossentropy(targets, logits, from_logits=True))
    probabilities = ops.softmax(logits)
    probabilities = probabilities / ops.sum(probabilities, axis=-1, keepdims=True)
    probabilities = ops.clip(probabilities, 1e-7, 1.0 - 1e-7)
    return ops.mean(-ops.sum(targets * ops.log(probabilities), axis=-1))


def split_classifier(model: Any) -> tuple[Any, Any]:
    """(the model up to its classifier, giving [N, D]; the classifier layer), of an application with its top.

    The classifier is the last layer that owns tensors, dense or a 1x1 convolution on a 1x1 map (MobileNet v1
    and v3); dropout right before it is left out.
    """
    classifier = [layer for layer in model.layers if layer.weights][-1]
    given = classifier.input
    while isinstance(given._keras_history.operation, keras.layers.Dropout):
        given = given._keras_history.operation.input
    if len(given.shape) == 4:
        given = keras.layers.Flatten()(given)
    return keras.Model(model.input, given), classifier
