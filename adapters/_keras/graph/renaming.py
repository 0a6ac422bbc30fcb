"""A file whose layers are called otherwise than a Keras model's (`isotune.weights.matching`)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from isotune.adapters._keras.dataflow import trace
from isotune.adapters._keras.files import is_classifier
from isotune.adapters._keras.hdf5 import Content
from isotune.adapters.base import Names
from isotune.weights import matching
from isotune.weights.matching import Shape

Arrays = list[np.ndarray]


def renamed(content: Content, base: Any, owners: list[Any], names: Names) -> tuple[dict[str, Arrays], str]:
    """The file's layers by the model's names, and in words what that goes by.

    base: the model without its classifier, which the file may have behind its last layer. owners: the layers of `base`
    that have tensors. names: as of `Adapter.load_renamed`, of layers. Errors: as of `matching`.
    """
    file, own = dict(content.layers), {layer.name: layer for layer in owners}
    behind: dict[str, Arrays] = {}
    if not isinstance(names, Mapping) and len(file) > len(own):
        last = next(reversed(file)) if content.ordered else _lone_classifier(file, own, base.output_shape[-1])
        if last and is_classifier(file[last], base.output_shape[-1]):
            behind = {last: file.pop(last)}
    ours = _shapes((name, arrays) for name, arrays in file.items())
    theirs = _shapes((name, layer.weights) for name, layer in own.items())
    if isinstance(names, Mapping):
        matched = matching.mapped(names, ours, theirs)
    else:
        executed = dict.fromkeys(step.layer[0] for step in trace(base))
        orders = [theirs]
        if set(executed) == set(own):
            orders.append(_shapes((name, own[name].weights) for name in executed))
        matched = matching.by_order(ours, orders, kept=content.ordered, trusted=names is not None)
    there = {mine.rpartition(".")[0]: name.rpartition(".")[0] for mine, name in matched.names.items()}
    taken = {mine: file[name] for mine, name in there.items()}
    left = {name: arrays for name, arrays in file.items() if name not in set(there.values())}
    return taken | left | behind, matched.how


def _shapes(layers: Iterable[tuple[str, Iterable[Any]]]) -> dict[str, Shape]:
    """Of each tensor, by its layer and its place in it."""
    return {f"{name}.{place}": tuple(each.shape) for name, held in layers for place, each in enumerate(held)}


def _lone_classifier(file: Mapping[str, Arrays], own: Mapping[str, Any], features: int) -> str | None:
    """Of a file that is sorted, the one layer that may be the classifier and is like none of the model's."""
    shapes = [[tuple(variable.shape) for variable in layer.weights] for layer in own.values()]
    likely = [
        name
        for name, arrays in file.items()
        if is_classifier(arrays, features) and [array.shape for array in arrays] not in shapes
    ]
    return likely[0] if len(likely) == 1 else None
