"""`planted-keras:MODEL:fault=NAME`: keras.applications with deliberate faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from isotune.adapters.keras import KerasAdapter
from isotune_planted import Planting
from isotune_planted.faults import fault, pick

MODELS = ("MobileNetV2", "EfficientNetB0")


class PlantedKerasAdapter(Planting, KerasAdapter):
    """Keras's."""

    name = "planted-keras"


@fault("layers", "batchnorm_epsilon", models=MODELS, category="batchnorm")
def keras_epsilon_changed(model: Any, draw: np.random.Generator) -> None:
    epsilon = pick(draw, [value for value in (1e-3, 1e-5, 1e-6) if value != _norms(model)[0].epsilon])
    for norm in _norms(model):
        norm.epsilon = epsilon


@fault("BatchNorm buffers", "batchnorm_momentum", models=MODELS, category="batchnorm")
def keras_momentum_changed(model: Any, draw: np.random.Generator) -> None:
    """Keras's momentum is the share of the old."""
    share = pick(draw, [value for value in (0.9, 0.99, 0.999) if abs(value - _norms(model)[0].momentum) > 1e-9])
    for norm in _norms(model):
        norm.momentum = share


@fault("layers", models=MODELS, category="batchnorm")
def keras_epsilon_of_one_norm(model: Any, draw: np.random.Generator) -> None:
    pick(draw, _norms(model)).epsilon = 0.01


@fault("layers", "layernorm_epsilon", models=("ConvNeXtTiny",), category="architecture")
def keras_layer_norm_epsilon(model: Any, draw: np.random.Generator) -> None:
    epsilon = pick(draw, [1e-3, 1e-5])
    for norm in _layer_norms(model.network.base):
        norm.epsilon = epsilon


@fault("layers", models=("MobileNetV2",), category="architecture")
def keras_activation_leaks(model: Any, draw: np.random.Generator) -> None:
    found = [layer for layer in model.network.base.layers if type(layer).__name__ == "ReLU"]
    pick(draw, found[: len(found) // 2]).negative_slope = 0.01


@fault("scaled input", "input_scaling", models=("MobileNetV2",), category="input")
def keras_scaled_otherwise(model: Any, draw: np.random.Generator) -> None:
    from keras import ops

    divisor, less = pick(draw, [(127.5, 1.0), (255.0, 0.0)])
    model.network.scaled = lambda images: ops.cast(images, model.network._pixels) / divisor - less


@fault("loss", "label_smoothing", models=MODELS, category="loss")
def keras_smoothing_left_out(model: Any, draw: np.random.Generator) -> None:
    gradients, trainer = model.gradients, model.trainer
    model.gradients = lambda images, labels, _smoothing=0.0: gradients(images, labels)
    model.trainer = lambda recipe: trainer(replace(recipe, label_smoothing=0.0))


def _layer_norms(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _layer_norms(layer)
        elif type(layer).__name__ == "LayerNormalization":
            yield layer


def _norms(model: Any) -> list[Any]:
    return [layer for layer in model.network.base.layers if hasattr(layer, "moving_variance")]
