"""The network that every engine runs: input scaling, a body without classifier, a dense head.

`Network(images)` gives (features, logits). Images are uint8 [N, H, W, 3]; features [N, D] are what the head
receives before any mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any

import keras
from keras import ops

from isotune.adapters._keras.graph.branches import Branches
from isotune.adapters.base import Ending
from isotune.conventions import affine

_OF_CLASSES = ("linear", "softmax", "log_softmax", "sigmoid")  # activations of a classifier
_ENDINGS: dict[str, Ending] = {"softmax": "softmax", "logsoftmax": "log-softmax", "sigmoid": "sigmoid"}
_BEHIND = ("Softmax", "LogSoftmax", "Sigmoid", "Flatten", "Reshape", "Squeeze", "Dropout", "Identity", "Cast")


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
        self._branches: Branches | None = None

    def branches(self) -> Branches:
        """Of the base. UsageError: not known exactly."""
        if self._branches is None:
            self._branches = Branches(self.base)
        return self._branches

    def scaled(self, images: Any) -> Any:
        """What the base gets of images."""
        pixels = ops.cast(images, self._pixels)
        if self._reverse:
            pixels = ops.flip(pixels, axis=-1)
        if self._affine:
            scale, offset = (ops.convert_to_tensor(constant) for constant in self._affine)  # on the pixels' device
            pixels = pixels * scale + offset
        return pixels

    def call(
        self, images: Any, training: bool = False, feature_mask: Any = None, branch_masks: Any = None
    ) -> tuple[Any, Any]:
        with nullcontext() if branch_masks is None else self.branches().masked(branch_masks):
            features = self.base(self.scaled(images), training=training)
        masked = features if feature_mask is None else features * ops.cast(feature_mask, features.dtype)
        return features, self.head(masked)


def adds_losses(network: Any) -> bool:
    """Whether a layer may add something to a loss: a regularizer of its own, or a call that is not Keras's own."""
    layers = network._flatten_layers(include_self=False)
    return any(variable.regularizer is not None for variable in network.weights) or any(
        layer.activity_regularizer is not None or not _is_of_keras(layer) for layer in layers
    )


def with_losses(value: Any, added: Sequence[Any]) -> Any:
    """A loss with what layers add to it, as `keras.Model.fit` sums them."""
    for each in added:
        value = value + ops.cast(each, value.dtype)
    return value


def parted(split: Callable[[Any, int], Any], parts: int, *given: Any) -> Iterator[tuple[Any, ...]]:
    """Images, labels and masks, which may be None, in so many equal parts. split: the engine's."""
    cut = ([each] * parts if each is None or parts == 1 else split(each, parts) for each in given)
    return zip(*cut, strict=True)


def mean_of(passes: Sequence[tuple[Any, Sequence[Any]]]) -> tuple[Any, Sequence[Any]]:
    """Of several passes, each a loss and its gradients, their means."""
    if len(passes) == 1:
        return passes[0]
    values, gradients = zip(*passes, strict=True)
    return sum(values) / len(passes), [sum(each) / len(passes) for each in zip(*gradients, strict=True)]


def _is_of_keras(layer: Any) -> bool:
    return type(layer).__module__.partition(".")[0] in ("keras", "isotune")


def split_classifier(model: Any) -> tuple[Any, Any | None, list[Any]]:
    """(the model up to its classifier, giving [N, D]; the classifier layer, None when there is none; what stands behind
    it).

    The classifier is what a functional model ends in: a dense layer, or a 1x1 convolution on a 1x1 map (MobileNet v1
    and v3), with nothing behind it but changes of shape and softmax or sigmoid, which are left out. So is dropout right
    before it. A map that is left is averaged.
    """
    end, behind = model.outputs[0], []
    while _is_behind(operation := end._keras_history.operation):
        behind.append(operation)
        end = _read(end)
    classifier = end._keras_history.operation
    if not _is_classifier(classifier, end):
        return _vector(model, model.outputs[0]), None, []
    given = _read(end)
    while isinstance(given._keras_history.operation, keras.layers.Dropout):
        given = _read(given)
    return _vector(model, given), classifier, behind


def ending(classifier: Any | None, behind: Sequence[Any]) -> Ending | None:
    """What makes probabilities of a classifier's outputs, its activation or what stands `behind` it; None: there is no
    classifier, or more than one thing does."""
    if classifier is None:
        return None
    kinds = [
        getattr(getattr(each, "activation", None), "__name__", type(each).__name__) for each in (classifier, *behind)
    ]
    made = [
        _ENDINGS[kind.casefold().replace("_", "")] for kind in kinds if kind.casefold().replace("_", "") in _ENDINGS
    ]
    return made[0] if len(made) == 1 else None if made else ""


def _vector(model: Any, features: Any) -> Any:
    """The model up to `features`, which are made [N, D]."""
    if len(features.shape) == 4:
        one = tuple(features.shape[1:3]) == (1, 1)
        features = (keras.layers.Flatten() if one else keras.layers.GlobalAveragePooling2D())(features)
    return model if features is model.outputs[0] else keras.Model(model.input, features)


def _read(tensor: Any) -> Any:
    """What the operation that makes the tensor reads."""
    operation, index, _ = tensor._keras_history  # Keras has no public way to it
    return operation._inbound_nodes[index].input_tensors[0]


def _is_behind(operation: Any) -> bool:
    if isinstance(operation, keras.layers.Activation):
        return _gives_classes(operation)
    return type(operation).__name__ in _BEHIND


def _gives_classes(layer: Any) -> bool:
    return getattr(layer.activation, "__name__", "") in _OF_CLASSES


def _is_classifier(operation: Any, output: Any) -> bool:
    if isinstance(operation, keras.layers.Conv2D):
        on_one = max(operation.kernel_size) == 1 and tuple(output.shape[1:3]) == (1, 1)
        return on_one and operation.groups == 1 and _gives_classes(operation)
    return isinstance(operation, keras.layers.Dense) and len(output.shape) == 2 and _gives_classes(operation)
