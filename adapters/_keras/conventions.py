"""Network conventions realised on a Keras model, and read off it.

- Padding of strided convolutions and of pooling: `_keras_windows`; where a ResNet strides: `_keras_strides`.
- Which convolutions have a bias and which BatchNorms a scale (`optional_tensors`).
- BatchNorm epsilon and momentum (Keras's momentum is 1 minus the weight of the new batch), and the variance that
  enters the running average: torch's n/(n-1) of the batch's, Keras's the batch's own.
- GELU exact or by tanh.
- Dropout and stochastic depth are taken out: what is random is drawn outside.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from itertools import takewhile
from typing import Any

import keras
import numpy as np
from keras import ops

from isotune.adapters._keras.layers import flatten
from isotune.adapters._keras.padding import Window, padded, window, without_padding
from isotune.adapters._keras.strides import set_stride_location, stride_location
from isotune.conventions import IMAGENET_STD, Conventions, affine, counting_values, named_scaling


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


def realise(
    model: Any,
    conventions: Conventions,
    rescaled: bool = False,
    tensors: Mapping[str, Mapping[str, bool]] | None = None,
) -> Any:
    """A model that computes as `model` does, under `conventions`; the same object where no layer must change.

    rescaled: add EfficientNet's second Rescaling, by 1/sqrt(std), after its Normalization. Keras builds it only
    with `weights="imagenet"` (keras/src/applications/efficientnet.py), and such weights mean it.
    tensors: name of a layer -> what of its configuration changes so that it has other tensors (`use_bias`, `scale`);
    these layers get initial weights.
    """
    model = set_stride_location(model, conventions.stride_location)
    wanted = _Changes(model, conventions, rescaled and conventions.input_scaling == "none", tensors or {})
    if wanted.rescaled or any(wanted.touches(layer) for layer in flatten(model)):
        clone = keras.models.clone_model(model, clone_function=wanted.clone, call_function=wanted.call)
        for layer in model.layers:
            if layer.weights and layer.name not in wanted.scaling and layer.name not in wanted.tensors:
                clone.get_layer(layer.name).set_weights(layer.get_weights())
        model = clone
    settle_scaling(model)
    for layer in flatten(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            if conventions.batchnorm_epsilon is not None:
                layer.epsilon = conventions.batchnorm_epsilon
            if conventions.batchnorm_momentum is not None:
                layer.momentum = 1.0 - conventions.batchnorm_momentum
        elif isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
        elif hasattr(layer, "drop_path_rate"):  # ConvNeXt's StochasticDepth
            layer.drop_path_rate = 0.0
        elif form := _gelu(layer):
            layer.activation = _activation(form if conventions.gelu == "own" else conventions.gelu)
    return model


def settle_scaling(model: Any) -> None:
    """Have the Normalizations inside `model` take up their variables, which their call does not read; to be
    called after these are set, and before anything is traced."""
    for layer in flatten(model):
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.finalize_state()


def scaling_layers(model: Any) -> list[Any]:
    """The preprocessing layers inside `model` (EfficientNet, MobileNetV3, ConvNeXt), in order: those before any other
    layer that owns tensors. What follows them is the network proper."""
    kinds = keras.layers.Rescaling | keras.layers.Normalization
    first = takewhile(lambda layer: isinstance(layer, kinds) or not layer.weights, flatten(model))
    return [layer for layer in first if isinstance(layer, kinds)]


def own_scaling(model: Any, rescaled: bool) -> str | None:
    """What the preprocessing layers inside `model` amount to, as a value of input_scaling; None: it has none.

    rescaled: as in `realise`, for a model that lacks the second Rescaling.
    """
    scale, offset, found = np.ones(3), np.zeros(3), False
    for layer in scaling_layers(model):
        if isinstance(layer, keras.layers.Rescaling):
            factor, shift = np.asarray(layer.scale, np.float64), np.asarray(layer.offset, np.float64)
        else:
            given = layer.input_mean is not None
            mean, variance = (
                np.asarray(keras.ops.convert_to_numpy(values), np.float64).reshape(-1)
                for values in ((layer.mean, layer.variance) if given else (layer.adapt_mean, layer.adapt_variance))
            )
            factor = 1 / np.maximum(np.sqrt(variance), 1e-7)
            shift = -mean * factor
            if rescaled:
                factor, shift = (values / np.sqrt(IMAGENET_STD) for values in (factor, shift))
        scale, offset, found = scale * factor, offset * factor + shift, True
    return named_scaling(scale, offset) if found else None


def set_normalization(model: Any, scaling: str) -> None:
    """Have the trainable Normalization inside `model`, EfficientNet's after its division by 255, scale the input as
    `scaling` says; nothing happens without one, or for a scaling that it cannot be (BGR)."""
    reverse, scale, offset = affine(scaling)
    for layer in flatten(model):
        if isinstance(layer, keras.layers.Normalization) and layer.weights and scaling != "none" and not reverse:
            std = 1 / (255 * scale)
            for variable, values in ((layer.adapt_mean, -offset * std), (layer.adapt_variance, std**2)):
                variable.assign(np.reshape(values, tuple(variable.shape)))


def describe(model: Any) -> dict[str, Any]:
    """The network axes of `model` but for the input scaling. `own` or None: none such, or not all alike."""
    layers = list(flatten(model))
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    windows = [found for layer in layers if (found := window(layer)) is not None]
    averages = {(found.strided, found.counted) for found in windows if found.kind == "average"}
    fills = ["zeros" if found.fill == 0 else "minus-infinity" for found in windows if found.kind == "max"]
    return {
        "stride2_padding": _only([found.form for found in windows], "own"),
        "count_include_pad": _only(counting_values(averages), "own"),
        "max_pool_padding": _only(fills, "own"),
        "stride_location": stride_location(model) or "own",
        "batchnorm_epsilon": _only([layer.epsilon for layer in norms], None),
        "batchnorm_momentum": _only([round(1.0 - layer.momentum, 12) for layer in norms], None),
        "gelu": _only([_gelu(layer) for layer in layers], "own"),
    }


def _only(values: list[Any], otherwise: Any) -> Any:
    distinct = {value for value in values if value is not None}
    return distinct.pop() if len(distinct) == 1 else otherwise


class _Changes:
    """What clone_model asks for: each layer's replacement, and what goes before and after it."""

    def __init__(
        self, model: Any, conventions: Conventions, rescaled: bool, tensors: Mapping[str, Mapping[str, bool]]
    ) -> None:
        self.conventions, self.rescaled, self.tensors = conventions, rescaled, tensors
        scaled_outside = conventions.input_scaling != "none"
        self.scaling = {layer.name for layer in scaling_layers(model)} if scaled_outside else set()
        found = {layer.name: given for layer in flatten(model) if (given := window(layer)) is not None}
        wanted = {name: given.under(conventions) for name, given in found.items()}
        opened = {found[name].source for name in found if wanted[name] != found[name]} - {None}
        self.opened = opened  # ZeroPadding2Ds whose windows pad for themselves in the clone
        self.windows = {
            name: wanted[name] for name in found if wanted[name] != found[name] or found[name].source in opened
        }

    def touches(self, layer: Any) -> bool:
        return (
            layer.name in self.windows
            or layer.name in self.tensors
            or (self._changes_variance and isinstance(layer, keras.layers.BatchNormalization))
            or layer.name in self.scaling
        )

    @property
    def _changes_variance(self) -> bool:
        return self.conventions.batchnorm_running_variance == "unbiased"

    def clone(self, layer: Any) -> Any:
        config = layer.get_config() | dict(self.tensors.get(layer.name, {}))
        if layer.name in self.scaling:
            return keras.layers.Identity(name=layer.name)
        if self._changes_variance and isinstance(layer, keras.layers.BatchNormalization):
            return UnbiasedBatchNormalization.from_config(config)
        if layer.name in self.opened:
            return keras.layers.Identity(name=layer.name)
        if layer.name in self.windows:
            config["padding"] = "valid"
        return type(layer).from_config(config)

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        changed: Window | None = self.windows.get(layer.name)
        if changed is not None:
            args = (padded(changed, args[0]), *args[1:])
        outputs = layer(*args, **kwargs)
        if changed is not None and changed.kind == "average" and not changed.counted:
            outputs = without_padding(changed, outputs)
        if self.rescaled and isinstance(layer, keras.layers.Normalization):
            outputs = keras.layers.Rescaling([1 / math.sqrt(std) for std in IMAGENET_STD])(outputs)
        return outputs


def _wide_exact_gelu(x: Any) -> Any:
    return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))


def _wide_tanh_gelu(x: Any) -> Any:
    return 0.5 * x * (1.0 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def _activation(form: str) -> Any:
    """GELU in a form. TensorFlow's holds sqrt(2) in float32 even for float64 (tensorflow/python/ops/nn_ops.py,
    gelu), which is off by 1e-8; there it is written out."""
    if keras.backend.backend() == "tensorflow" and keras.config.floatx() == "float64":
        return _WIDE_GELU[form]
    return _GELU[form]


_GELU: dict[str, Any] = {
    "exact": keras.activations.gelu,  # approximate=False is its default; that of keras.ops.gelu is True
    "tanh": functools.partial(keras.activations.gelu, approximate=True),
}
_WIDE_GELU = {"exact": _wide_exact_gelu, "tanh": _wide_tanh_gelu}


def _gelu(layer: Any) -> str | None:
    activation = getattr(layer, "activation", None)
    forms = (*_GELU.items(), *_WIDE_GELU.items())
    return next((form for form, function in forms if activation is function), None)
