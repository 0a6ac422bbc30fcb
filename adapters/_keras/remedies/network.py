"""The lines for Keras, on any engine, axes of the rest of the network: axis -> value -> (code, note).

In them, `VALUE` stands for a number, `OVERRIDE` for what isotune is told instead. `*`: any value.
"""

from __future__ import annotations

from isotune.adapters._keras.remedies.padding import REBUILT

_LAYERS = """
def layers_of(model):
    for layer in model.layers:
        yield from layers_of(layer) if isinstance(layer, keras.Model) else [layer]
"""


_NORMS = f"""
import keras

{_LAYERS}

for layer in layers_of(model):
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.FIELD
"""


_GELU = f"""
import keras

{_LAYERS}

@keras.saving.register_keras_serializable()
def gelu_by_tanh(x):
    return keras.activations.gelu(x, approximate=True)


for layer in layers_of(model):
    if getattr(layer, "activation", None) is keras.activations.gelu:
        layer.activation = gelu_by_tanh
"""


_UNBIASED_VARIANCE = f'''
import math

import keras


@keras.saving.register_keras_serializable()
class UnbiasedBatchNormalization(keras.layers.BatchNormalization):
    """The running variance takes n/(n-1) of the batch's."""

    def call(self, inputs, training=None, mask=None):
        kept = self.moving_variance * self.momentum
        outputs = super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            shape = keras.ops.shape(inputs)
            values = keras.ops.cast(math.prod(shape) // shape[self.axis], self.moving_variance.dtype)
            new = self.moving_variance - kept
            self.moving_variance.assign(kept + new * (values / (values - 1)))
        return outputs


def clone(layer):
    is_norm = type(layer) is keras.layers.BatchNormalization
    return (UnbiasedBatchNormalization if is_norm else type(layer)).from_config(layer.get_config())


def call(layer, *args, **kwargs):
    return layer(*args, **kwargs)

{REBUILT}'''


_FROZEN_UPDATES = f"""
import keras

{_LAYERS}

for layer in layers_of(model):
    if isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable:
        layer.trainable = True
        for variable in (layer.gamma, layer.beta):
            if variable is not None:
                variable.trainable = False
"""


_REBUILDS = (
    "A functional model is rebuilt: `model` is the application itself, before it becomes part of another, and what"
    " was compiled is compiled again."
)


_COMPILED = "If the model has run already, compile it again: what was traced keeps the old value."


_ITSELF = "Keras does so by itself: nothing is to be written."


_ISOTUNE = "No few lines do it; isotune does it with OVERRIDE."


_FIRST = "Before `model.compile`."

REMEDIES: dict[str, dict[str, tuple[str, str]]] = {
    "batchnorm_epsilon": {"*": (_NORMS.replace("FIELD", "epsilon = VALUE"), _COMPILED)},
    "batchnorm_momentum": {
        "*": (
            _NORMS.replace("FIELD", "momentum = 1 - VALUE"),
            f"Keras's momentum is the weight of the old. {_COMPILED}",
        )
    },
    "gelu": {"exact": ("", _ITSELF), "tanh": (_GELU, _COMPILED)},
    "optional_tensors": {
        "checkpoint": (
            "",
            "Biases of convolutions and scales of BatchNorms that the library's network lacks, or has too many, need"
            f" another network. {_ISOTUNE}",
        ),
        "own": ("", "It is what the library builds by itself; `isotune transfer` folds the other tensors into it."),
    },
    "batchnorm_running_variance": {"unbiased": (_UNBIASED_VARIANCE, _REBUILDS), "biased": ("", _ITSELF)},
    "frozen_batchnorm": {"updates": (_FROZEN_UPDATES, _FIRST), "inference": ("", _ITSELF)},
}
