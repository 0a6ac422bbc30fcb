"""Network conventions realised on a Keras model, and read off it.

- Strided convolutions. Keras pads SAME: max(0, (ceil(n/s)-1)*s + k - n) in all, the odd pixel at the end, either
  by `padding="same"` or by a ZeroPadding2D before a valid convolution (imagenet_utils.correct_pad); its ResNets
  and DenseNets pad symmetrically by ZeroPadding2D. torch pads k//2 on both sides. Convolutions without padding
  stay; so does pooling, as in the torch adapters.
- Average pooling with SAME padding leaves the padding out of the mean (keras/src/backend/torch/nn.py,
  `average_pool`, does what TensorFlow does); `counted` pads with zeros first.
- BatchNorm epsilon and momentum (Keras's momentum is 1 minus the weight of the new batch), and the variance that
  enters the running average: torch's n/(n-1) of the batch's, Keras's the batch's own.
- GELU exact or by tanh.
- Dropout and stochastic depth are taken out: what is random is drawn outside.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import keras
from keras import ops

from isotune.conventions import IMAGENET_STD, Conventions

from ._keras_layers import flatten

_Pads = tuple[tuple[int, int], tuple[int, int]]
_STRIDED = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


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


def realise(model: Any, conventions: Conventions, rescaled: bool = False) -> Any:
    """A model that computes as `model` does, under `conventions`; the same object where no layer must change.

    rescaled: add EfficientNet's second Rescaling, by 1/sqrt(std), after its Normalization. Keras builds it only
    with `weights="imagenet"` (keras/src/applications/efficientnet.py), and such weights mean it.
    """
    wanted = _Changes(conventions, rescaled and conventions.input_scaling == "none")
    if wanted.rescaled or any(wanted.touches(layer) for layer in flatten(model)):
        clone = keras.models.clone_model(model, clone_function=wanted.clone, call_function=wanted.call)
        for layer in model.layers:
            if layer.weights and layer.name not in wanted.dropped:
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
        elif conventions.gelu != "own" and _gelu(layer):
            layer.activation = _activation(conventions.gelu)
    return model


def settle_scaling(model: Any) -> None:
    """Have the Normalizations inside `model` take up their variables, which their call does not read; to be
    called after these are set, and before anything is traced."""
    for layer in flatten(model):
        if isinstance(layer, keras.layers.Normalization) and layer.weights:
            layer.finalize_state()


def describe(model: Any) -> dict[str, Any]:
    """The network axes of `model` but for the input scaling. `own` or None: none such, or not all alike."""
    layers = list(flatten(model))
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    pools = [_border(layer) for layer in layers if isinstance(layer, keras.layers.AveragePooling2D)]
    return {
        "stride2_padding": _only([_padding(layer) for layer in layers], "own"),
        "pooling_border": _only(pools, "own"),
        "batchnorm_epsilon": _only([layer.epsilon for layer in norms], None),
        "batchnorm_momentum": _only([round(1.0 - layer.momentum, 12) for layer in norms], None),
        "gelu": _only([_gelu(layer) for layer in layers], "own"),
    }


def _only(values: list[Any], otherwise: Any) -> Any:
    distinct = {value for value in values if value is not None}
    return distinct.pop() if len(distinct) == 1 else otherwise


class _Changes:
    """What clone_model asks for: each layer's replacement, and the padding that goes before it."""

    def __init__(self, conventions: Conventions, rescaled: bool) -> None:
        self.conventions, self.rescaled = conventions, rescaled
        self.dropped: set[str] = set()  # names of layers that the clone lacks
        self.padding: dict[int, _Pads] = {}  # id of a cloned layer -> zeros before it

    def touches(self, layer: Any) -> bool:
        wanted = self.conventions
        return (
            (wanted.stride2_padding != "own" and _padding(layer) not in (None, wanted.stride2_padding))
            or (wanted.pooling_border == "counted" and _averages_over_border(layer))
            or (wanted.batchnorm_running_variance == "unbiased" and isinstance(layer, keras.layers.BatchNormalization))
            or (wanted.input_scaling != "none" and _scales_input(layer))
        )

    def clone(self, layer: Any) -> Any:
        config = layer.get_config()
        wanted = self.conventions
        if wanted.input_scaling != "none" and _scales_input(layer):
            self.dropped.add(layer.name)
            return keras.layers.Identity(name=layer.name)
        if wanted.batchnorm_running_variance == "unbiased" and isinstance(layer, keras.layers.BatchNormalization):
            return UnbiasedBatchNormalization.from_config(config)
        if wanted.pooling_border == "counted" and _averages_over_border(layer):
            pads = _pads(layer, "end", layer.pool_size)
            return self._padded(layer, config | {"padding": "valid"}, pads)
        if wanted.stride2_padding != "own":
            if isinstance(layer, keras.layers.ZeroPadding2D) and (strided := _strided_after(layer)):
                pads = _pads(strided, wanted.stride2_padding, strided.kernel_size, of=layer)
                return keras.layers.ZeroPadding2D.from_config(config | {"padding": pads})
            if _pads_same_strided(layer):
                pads = _pads(layer, wanted.stride2_padding, layer.kernel_size)
                return self._padded(layer, config | {"padding": "valid"}, pads)
        return type(layer).from_config(config)

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        if pads := self.padding.get(id(layer)):
            args = (keras.layers.ZeroPadding2D(pads, dtype=layer.dtype_policy)(args[0]), *args[1:])
        outputs = layer(*args, **kwargs)
        if self.rescaled and isinstance(layer, keras.layers.Normalization):
            outputs = keras.layers.Rescaling([1 / math.sqrt(std) for std in IMAGENET_STD])(outputs)
        return outputs

    def _padded(self, layer: Any, config: dict[str, Any], pads: _Pads) -> Any:
        clone = type(layer).from_config(config)
        self.padding[id(clone)] = pads
        return clone


def _pads(layer: Any, form: str, reach: tuple[int, int], of: Any = None) -> _Pads:
    """Zeros around the input of `layer` (padded by the layer `of`, when given) for its static size."""
    height, width = (of or layer).input.shape[1:3]
    strides = layer.strides if isinstance(layer.strides, tuple) else (layer.strides,) * 2
    if form == "symmetric":
        return (reach[0] // 2,) * 2, (reach[1] // 2,) * 2
    both = []
    for size, kernel, stride in zip((height, width), reach, strides, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        both.append((total // 2, total - total // 2))
    return both[0], both[1]


def _padding(layer: Any) -> str | None:
    """How a strided convolution, or the ZeroPadding2D before it, pads; None when it makes no difference."""
    if _pads_same_strided(layer):
        return "end"
    if not isinstance(layer, keras.layers.ZeroPadding2D) or not (strided := _strided_after(layer)):
        return None
    pads = tuple(map(tuple, layer.padding))
    # for odd sizes both forms are the same zeros; Keras's own symmetric padding is symmetric for even ones too
    is_symmetric = pads == _pads(strided, "symmetric", strided.kernel_size, of=layer)
    is_end = pads == _pads(strided, "end", strided.kernel_size, of=layer)
    if is_symmetric and is_end:
        return None
    return "symmetric" if is_symmetric else "end" if is_end else "neither"


def _pads_same_strided(layer: Any) -> bool:
    return (
        isinstance(layer, _STRIDED)
        and layer.padding == "same"
        and max(layer.strides) > 1
        and max(layer.kernel_size) > 1
    )


def _strided_after(layer: Any) -> Any:
    """The strided convolution that a padding layer feeds; None when it feeds anything else."""
    after = [node.operation for node in layer._outbound_nodes]  # Keras has no public way to a layer's consumers
    if after and all(
        isinstance(other, _STRIDED) and other.padding == "valid" and max(other.strides) > 1 for other in after
    ):
        return after[0]
    return None


def _averages_over_border(layer: Any) -> bool:
    return isinstance(layer, keras.layers.AveragePooling2D) and layer.padding == "same"


def _border(layer: Any) -> str | None:
    """Whether an average pooling counts its padding; None when it has none."""
    if layer.padding == "same":
        return "not-counted"
    return "counted" if isinstance(layer.input._keras_history.operation, keras.layers.ZeroPadding2D) else None


def _scales_input(layer: Any) -> bool:
    """The preprocessing layers inside EfficientNet, MobileNetV3 and ConvNeXt."""
    return isinstance(layer, keras.layers.Rescaling | keras.layers.Normalization)


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
