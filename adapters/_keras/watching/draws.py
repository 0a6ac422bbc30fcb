"""Layers that draw at random in training: dropout, stochastic depth in the forms that networks have it, and others."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import keras

from isotune.adapters._keras.layers import flatten
from isotune.recordings import Draw, OpenStep

_RATES = ("drop_path_rate", "drop_prob", "rate")  # of a layer of stochastic depth
_DEPTH = ("StochasticDepth", "DropPath")  # its class, in Keras's ConvNeXt and in others' packages


def drawing_layers(model: Any) -> Iterator[tuple[str, Any, Draw]]:
    """Name, layer, and what it draws, of those with a rate above 0; in the order of `model.layers`."""
    outer = list(flatten(model))
    last = max((place for place, layer in enumerate(outer) if layer.weights), default=len(outer))
    before = max((place for place, layer in enumerate(outer[:last]) if layer.weights), default=-1)
    for place, owner in enumerate(outer):
        for layer in owner._flatten_layers():
            if (draw := _draw(layer, head=before < place < last)) is not None:
                yield f"{owner.name}/{layer.name}", layer, draw


def _draw(layer: Any, *, head: bool) -> Draw | None:
    own = type(layer).__name__
    if own in _DEPTH:
        rate = next((getattr(layer, name) for name in _RATES if hasattr(layer, name)), None)
        return Draw(kind="stochastic depth", own=own, rate=float(rate), per="image") if rate else None
    if isinstance(layer, keras.layers.Dropout):
        if not layer.rate:
            return None
        shape = tuple(layer.noise_shape or ())
        if len(shape) > 1 and set(shape[1:]) == {1}:  # an image or none of it, as EfficientNet writes it
            per: Any = "batch" if shape[0] == 1 else "image"
            return Draw(kind="stochastic depth", own=own, rate=float(layer.rate), per=per)
        per = "map" if own.startswith("SpatialDropout") else "value"
        return Draw(kind="dropout", own=own, rate=float(layer.rate), per=per, head=head)
    generators = (getattr(layer, name, None) for name in ("seed_generator", "generator"))
    if any(isinstance(each, keras.random.SeedGenerator) for each in generators):
        return Draw(kind="other", own=own)
    return None


def drawing(step: OpenStep, name: str, layer: Any, draw: Draw) -> Any:
    """Sees whether a layer is called in training mode."""
    parameter = inspect.signature(layer.call).parameters.get("training")
    default = parameter is None or bool(parameter.default)

    def around(original: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            training = named.get("training", given[1] if len(given) > 1 else default)
            if training and step.draws is not None:
                step.draws[name] = draw
            return original(*given, **named)

        return call

    return around
