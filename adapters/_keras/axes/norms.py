"""BatchNorm's epsilon, momentum, running variance and what a frozen one does, and LayerNorm's epsilon: realised, read
off, and how to write it.

Keras's momentum is 1 minus the weight of the new batch. torch takes n/(n-1) of the batch's variance into the running
average, Keras the batch's own.
"""

from __future__ import annotations

from typing import Any

from isotune.adapters._keras.axes.lines import COMPILED, FIRST, LAYERS, REBUILDS, REBUILT
from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions, agreed


def substitute(layer: Any, conventions: Conventions) -> Any:
    """The class that takes the place of the layer's; None: the layer stays."""
    import keras

    from isotune.adapters._keras.axes.substitutes import UnbiasedBatchNormalization

    if conventions.batchnorm_running_variance == "unbiased" and isinstance(layer, keras.layers.BatchNormalization):
        return UnbiasedBatchNormalization
    return None


def realise(model: Any, conventions: Conventions) -> None:
    """Give the norms of `model` what `conventions` say, in place; None leaves the library's."""
    for norm in _batchnorms(model):
        if conventions.batchnorm_epsilon is not None:
            norm.epsilon = conventions.batchnorm_epsilon
        if conventions.batchnorm_momentum is not None:
            norm.momentum = 1.0 - conventions.batchnorm_momentum
    if conventions.layernorm_epsilon is not None:
        for norm in _layernorms(model):
            norm.epsilon = conventions.layernorm_epsilon


def describe(model: Any) -> dict[str, Any]:
    """The norms' numbers."""
    norms = _batchnorms(model)
    return {
        "batchnorm_epsilon": agreed("batchnorm_epsilon", [norm.epsilon for norm in norms]),
        "batchnorm_momentum": agreed("batchnorm_momentum", [round(1.0 - norm.momentum, 12) for norm in norms]),
        "layernorm_epsilon": agreed("layernorm_epsilon", [norm.epsilon for norm in _layernorms(model)]),
    }


def freeze(norm: Any, trained: bool, conventions: Conventions) -> None:
    """Make a BatchNorm trainable, or not.

    A frozen one is in inference mode in Keras (`trainable=False`). Under frozen_batchnorm = "updates" the layer stays
    trainable, so that it uses and tracks batch statistics, and its scale and shift are not.
    """
    norm.trainable = trained or conventions.frozen_batchnorm == "updates"
    for variable in (norm.gamma, norm.beta):
        if variable is not None:
            variable.trainable = trained


def _batchnorms(model: Any) -> list[Any]:
    import keras

    from isotune.adapters._keras.layers import flatten

    return [layer for layer in flatten(model) if isinstance(layer, keras.layers.BatchNormalization)]


def _layernorms(model: Any) -> list[Any]:
    import keras

    from isotune.adapters._keras.layers import flatten

    return [layer for layer in flatten(model) if isinstance(layer, keras.layers.LayerNormalization)]


# -- the lines to write


_NORMS = f"""
import keras

{LAYERS}

for layer in layers_of(model):
    if isinstance(layer, keras.layers.KIND):
        layer.FIELD
"""


_EPSILON = _NORMS.replace("FIELD", "epsilon = VALUE")


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

{LAYERS}

for layer in layers_of(model):
    if isinstance(layer, keras.layers.BatchNormalization) and not layer.trainable:
        layer.trainable = True
        for variable in (layer.gamma, layer.beta):
            if variable is not None:
                variable.trainable = False
"""


REMEDIES: Table = {
    "batchnorm_epsilon": {"*": (_EPSILON.replace("KIND", "BatchNormalization"), COMPILED)},
    "batchnorm_momentum": {
        "*": (
            _NORMS.replace("KIND", "BatchNormalization").replace("FIELD", "momentum = 1 - VALUE"),
            f"Keras's momentum is the weight of the old. {COMPILED}",
        )
    },
    "layernorm_epsilon": {"*": (_EPSILON.replace("KIND", "LayerNormalization"), COMPILED)},
    "batchnorm_running_variance": {"unbiased": (_UNBIASED_VARIANCE, REBUILDS), "biased": ("", ITSELF.format("Keras"))},
    "frozen_batchnorm": {"updates": (_FROZEN_UPDATES, FIRST), "inference": ("", ITSELF.format("Keras"))},
}
