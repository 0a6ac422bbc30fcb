"""Keras's checkpoint files, read as plain arrays: `.weights.h5`, `.h5` and `.keras`.

All three are HDF5 in one of two layouts (`.keras` is a zip with `model.weights.h5` in it); only arrays and names are
read, and no layer, function or configuration in a file is ever made, which is stricter than Keras's safe mode.

- Keras 3 (keras/src/saving/saving_lib.py): a group `.../vars` for each layer, datasets `0`, `1`, ... in the order of
  `layer.weights`, the layer's name in the attribute `name`.
- Keras 1 and 2 (keras/src/legacy/saving/legacy_h5_format.py): the attribute `layer_names`, and for each layer a
  group with `weight_names`; whole models keep it under `model_weights`.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import h5py
import numpy as np

from isotune import cache
from isotune.conventions import written_conventions
from isotune.errors import Misfit, UsageError

Array = np.ndarray
_CONVENTIONS = "isotune.conventions"
_NOT_LAYERS = ("optimizer", "metrics", "seed_generator", "compile_metrics")  # what else Keras 3 keeps in a file


def read_layers(path: Path) -> dict[str, list[Array]]:
    """Layer name -> its arrays in Keras's order, for each layer that owns any, nested models opened.

    Errors: UsageError for a file that is missing, cut off, or not one of these.
    """
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive:
                content: Any = io.BytesIO(archive.read("model.weights.h5"))
        else:
            content = path
        with h5py.File(content, "r") as file:
            root = file.get("model_weights", file)
            found = dict(_legacy(root) if "layer_names" in root.attrs else _current(root))
    except FileNotFoundError:
        raise UsageError(f"{path}: there is no such file") from None
    except (OSError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile) as error:
        reason = re.sub(r"\s+", " ", str(error))
        raise UsageError(f"{path}: not a whole Keras file, perhaps cut off ({reason})") from None
    if not found:
        raise UsageError(f"{path}: holds no weights of Keras layers")
    return found


def _current(root: Any) -> Iterator[tuple[str, list[Array]]]:
    groups: list[tuple[str, Any]] = []

    def visit(name: str, item: Any) -> None:
        parts = name.split("/")
        if isinstance(item, h5py.Group) and parts[-1] == "vars" and len(item) and not set(parts) & set(_NOT_LAYERS):
            groups.append((name, item))

    root.visititems(visit)
    for name, group in sorted(groups, key=lambda pair: natural(pair[0])):
        arrays = [_array(group, key) for key in sorted(group, key=int)]
        yield str(group.attrs.get("name", name.split("/")[-2] if "/" in name else name)), arrays


def _legacy(root: Any) -> Iterator[tuple[str, list[Array]]]:
    for layer_name in _names(root, "layer_names"):
        group = root[layer_name]
        weight_names = _names(group, "weight_names")
        # a nested model is one entry, its weights named after its layers
        owners = [name.split("/")[-2] if "/" in name else layer_name for name in weight_names]
        is_nested = len(set(owners)) > 1
        layers: dict[str, list[Array]] = {}
        for owner, weight_name in zip(owners, weight_names, strict=True):
            layers.setdefault(owner if is_nested else layer_name, []).append(_array(group, weight_name))
        yield from layers.items()


def _names(group: Any, attribute: str) -> list[str]:
    """A list of names; long ones are split over `NAME0`, `NAME1`, ..."""
    keys = (
        [attribute]
        if attribute in group.attrs
        else sorted((key for key in group.attrs if re.fullmatch(attribute + r"\d+", key)), key=natural)
    )
    values = [value for key in keys for value in group.attrs[key]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _array(group: Any, name: str) -> Array:
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.file != group.file:
        raise ValueError(f"{name} is not an array in this file")
    return np.asarray(dataset, np.float64 if dataset.dtype == np.float64 else np.float32)


def write_weights(model: Any, path: Path, conventions: Mapping[str, Any]) -> None:
    """Write a Keras model's weights, atomically, with the conventions in an attribute that Keras does not look at."""
    with cache.draft_file(path) as draft:
        whole = draft.with_name(f"{draft.stem}.weights.h5")  # Keras insists on the suffix
        try:
            model.save_weights(whole)
            with h5py.File(whole, "r+") as file:
                file.attrs[_CONVENTIONS] = json.dumps(dict(conventions), sort_keys=True)
            whole.replace(draft)
        finally:
            whole.unlink(missing_ok=True)


def read_conventions(path: Path) -> dict[str, Any]:
    """What `write_weights` wrote of conventions; empty for a file of anybody else."""
    if path.suffix != ".h5":
        return {}
    with h5py.File(path, "r") as file:
        text = file.attrs.get(_CONVENTIONS)
    return written_conventions(text if isinstance(text, str) else None, path)


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key under which conv2d_10 comes after conv2d_9."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def fit_layers(found: dict[str, list[Array]], layers: list[Any], features: int, what: str) -> list[Array] | None:
    """Set the weights of the Keras `layers`, all of them, from a file's; gives the head's [kernel, bias].

    Layers are found by name. Names that Keras numbers itself (`conv2d_17`) depend on what a process built
    before, so layers that are not found so are paired with what is left in the order of their numbers. One
    layer may be left over: a classifier of `features` inputs, dense or a 1x1 convolution.
    Errors: Misfit that names the first layer that differs, and both shapes.
    """

    def refuse(difference: str, *, surplus: bool = False) -> NoReturn:
        layers = [_trained(arrays) for arrays in found.values()]
        raise Misfit(f"{what}: {difference}", layers=layers, surplus=surplus)

    left = dict(found)
    pairs = {layer.name: left.pop(layer.name) for layer in layers if layer.name in left}
    for layer in layers:
        if layer.name not in pairs:
            alike = sorted((name for name in left if _stem(name) == _stem(layer.name)), key=natural)
            if not alike:
                owned = ", ".join(f"{v.name} {tuple(v.shape)}" for v in layer.weights)
                refuse(f"layer {layer.name!r} of the model ({owned}) is missing from the file")
            pairs[layer.name] = left.pop(alike[0])
        if difference := _difference(layer, pairs[layer.name]):
            refuse(difference)
    head = [name for name, arrays in left.items() if _is_classifier(arrays, features)]
    if extra := [name for name in left if name not in head[-1:]]:
        shapes = ", ".join(str(array.shape) for array in left[extra[0]])
        refuse(f"the file has {len(extra)} layers that the model lacks, first {extra[0]!r} ({shapes})", surplus=True)
    for layer in layers:
        layer.set_weights(
            [array.reshape(tuple(v.shape)) for array, v in zip(pairs[layer.name], layer.weights, strict=True)]
        )
    return [left[head[-1]][0].reshape(features, -1), left[head[-1]][1]] if head else None


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


def _is_classifier(arrays: list[Array], features: int) -> bool:
    if len(arrays) != 2 or arrays[0].ndim not in (2, 4):
        return False
    *window, inputs, classes = arrays[0].shape
    return inputs == features and all(side == 1 for side in window) and arrays[1].shape == (classes,)
