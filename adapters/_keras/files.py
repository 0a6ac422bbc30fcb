"""Keras's checkpoint files, read as plain arrays: `.weights.h5`, `.h5` and `.keras`.

All three are HDF5 in one of two layouts (`.keras` is a zip with `model.weights.h5` in it); only arrays and names are
read (`hdf5`), and no layer, function or configuration in a file is ever made, which is stricter than Keras's safe mode.

- Keras 3 (keras/src/saving/saving_lib.py): a group `.../vars` for each layer, datasets `0`, `1`, ... in the order of
  `layer.weights`, the layer's name in the attribute `name`.
- Keras 1 and 2 (keras/src/legacy/saving/legacy_h5_format.py): the attribute `layer_names`, and for each layer a
  group with `weight_names`; whole models keep it under `model_weights`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from isotune import cache
from isotune.adapters._keras.hdf5 import held, natural, sealed
from isotune.errors import WeightsMismatch

Array = np.ndarray
Head = list[Array] | None


def read_layers(path: Path) -> dict[str, list[Array]]:
    """Layer name -> its arrays in Keras's order, for each layer that owns any, nested models opened.

    Errors: UsageError for a file that is missing, cut off, or not one of these, and for NaN and infinite values.
    """
    return held(path).layers


def write_weights(model: Any, path: Path, conventions: Mapping[str, Any]) -> None:
    """Write a Keras model's weights, atomically, with the conventions and a digest in attributes that Keras ignores."""
    with cache.draft_file(path) as draft:
        whole = draft.with_name(f"{draft.stem}.weights.h5")  # Keras insists on the suffix
        try:
            model.save_weights(whole)
            sealed(whole, json.dumps(dict(conventions), sort_keys=True))
            whole.replace(draft)
        finally:
            whole.unlink(missing_ok=True)


def fit_layers(kept: dict[str, list[Array]], layers: list[Any], features: int, what: str) -> tuple[Head, str]:
    """Set the weights of the Keras `layers`, all of them, from a file's; gives the head's [kernel, bias], and what is
    to be said of how layers were found.

    Layers are found by name. Names that Keras numbers itself (`conv2d_17`) depend on what a process built before, so
    where the file has not all of one kind they are paired in the order of their numbers, all of that kind. One layer
    may be left over: a classifier of `features` inputs, dense or a 1x1 convolution.
    Errors: WeightsMismatch that names the first layer that differs, and both shapes.
    """

    def refuse(difference: str, *, surplus: bool = False) -> NoReturn:
        layers = [_trained(arrays) for arrays in kept.values()]
        raise WeightsMismatch(f"{what}: {difference}", layers=layers, surplus=surplus)

    pairs = _paired([layer.name for layer in layers], kept)
    for layer in layers:
        if layer.name not in pairs:
            owned = ", ".join(f"{v.name} {tuple(v.shape)}" for v in layer.weights)
            refuse(f"layer {layer.name!r} of the model ({owned}) is missing from the file")
        if difference := _difference(layer, kept[pairs[layer.name]]):
            refuse(difference)
    left = {name: arrays for name, arrays in kept.items() if name not in set(pairs.values())}
    head = [name for name, arrays in left.items() if is_classifier(arrays, features)]
    if extra := [name for name in left if name not in head[-1:]]:
        shapes = ", ".join(str(array.shape) for array in left[extra[0]])
        refuse(f"the file has {len(extra)} layers that the model lacks, first {extra[0]!r} ({shapes})", surplus=True)
    for layer in layers:
        given = zip(kept[pairs[layer.name]], layer.weights, strict=True)
        layer.set_weights([array.reshape(tuple(v.shape)) for array, v in given])
    numbered = [(mine, theirs) for mine, theirs in pairs.items() if mine != theirs]
    said = f"{len(numbered)} layers are numbered otherwise and were paired in the order of their numbers, "
    said = said + "{1!r} for {0!r}".format(*numbered[0]) if numbered else ""
    return ([left[head[-1]][0].reshape(features, -1), left[head[-1]][1]] if head else None), said


def _paired(mine: list[str], theirs: Iterable[str]) -> dict[str, str]:
    """The model's layers, as far as the file has them, with their names there."""
    kinds: dict[str, list[str]] = {}
    for name in theirs:
        kinds.setdefault(_stem(name), []).append(name)
    alike: dict[str, list[str]] = {}
    for name in mine:
        alike.setdefault(_stem(name), []).append(name)
    pairs: dict[str, str] = {}
    for stem, wanted in alike.items():
        there = kinds.get(stem, [])
        if set(wanted) <= set(there):
            pairs |= {name: name for name in wanted}
        else:
            pairs |= dict(zip(sorted(wanted, key=natural), sorted(there, key=natural), strict=False))
    return pairs


def _stem(name: str) -> str:
    return re.sub(r"_?\d+$", "", name)


def _difference(layer: Any, arrays: list[Array]) -> str:
    """How a file's arrays differ from the layer's variables in number or shape; "" where they fit."""
    if len(arrays) != len(layer.weights):
        return (
            f"layer {layer.name!r} has {len(arrays)} tensors in the file"
            f" ({', '.join(str(array.shape) for array in arrays)}), {len(layer.weights)} in the model"
            f" ({', '.join(str(tuple(v.shape)) for v in layer.weights)})"
        )
    for array, variable in zip(arrays, layer.weights, strict=True):
        if array.shape != tuple(variable.shape):
            return (
                f"{variable.name} of layer {layer.name!r} is {array.shape} in the file,"
                f" {tuple(variable.shape)} in the model"
            )
    return ""


def _trained(arrays: list[Array]) -> list[tuple[int, ...]]:
    """Shapes of what is trained in a layer: all but a BatchNorm's mean and variance, and a Normalization's tensors."""
    shapes = [array.shape for array in arrays]
    if len(shapes) > 2 and len(set(shapes)) == 1 and len(shapes[0]) == 1:  # [scale], shift, mean, variance
        return shapes[:-2]
    return [] if () in shapes else shapes


def is_classifier(arrays: list[Array], features: int) -> bool:
    """Whether a layer's arrays are those of a classifier of so many inputs, dense or a 1x1 convolution."""
    if len(arrays) != 2 or arrays[0].ndim not in (2, 4):
        return False
    *window, inputs, classes = arrays[0].shape
    return inputs == features and all(side == 1 for side in window) and arrays[1].shape == (classes,)
