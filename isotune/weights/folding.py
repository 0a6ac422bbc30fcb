"""A checkpoint's tensors for a network that has more or fewer of them.

Two networks of one architecture may differ in tensors that are neutral or redundant: a convolution before a BatchNorm
has a bias in Keras's ResNets and none in torch's, a BatchNorm has no scale in Keras's Inceptions. Under
`optional_tensors = checkpoint` the network takes the checkpoint's: an adapter asks `differences` and adds or removes
them. Under `own` the network stays as the library builds it, and `fit` carries the function over exactly: an absent
bias is 0, an absent scale 1; what the network lacks is folded into its neighbour.

| surplus | folded into | since |
|---|---|---|
| bias b of a convolution | mean of the BatchNorm that alone reads it: mean - b | (y + b) - mean |
| scale s of a BatchNorm | the convolution that it alone reads: kernel * s, bias * s, mean * s | s * (y - mean) |
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from isotune.errors import UsageError
from isotune.weights import HEAD, Array, Layer, Weights, check_fit

Layout = Mapping[str, tuple[int, ...]]


def differences(weights: Mapping[str, Array], layers: Sequence[Layer], layout: Layout) -> dict[tuple[str, str], bool]:
    """(layer, slot) of each optional tensor that one side has and the other lacks -> whether the checkpoint has it."""
    by_slot = {}
    for layer, slot in _optional(layers, {*layout, *weights}):
        name = f"{layer}.{slot}"
        if (name in weights) != (name in layout) and any(other.startswith(f"{layer}.") for other in weights):
            by_slot[layer, slot] = name in weights
    return by_slot


def fit(
    weights: Weights, layers: Sequence[Layer], layout: Layout, what: str, *, renewed: bool = False
) -> dict[str, Array]:
    """The tensors to load into a network of `layout` (canonical name -> shape), all of them but perhaps the head.

    renewed: the network has a new classifier, so that a head of another shape is left out; a checkpoint without a
    head fits any. what: the network's name for errors.
    Errors: UsageError that names the first tensor that differs, and both shapes.
    """
    tensors, wanted = dict(weights), dict(layout)
    kernel = f"{HEAD}.kernel"
    if kernel not in tensors or (renewed and tensors[kernel].shape != layout.get(kernel)):
        tensors = dict(weights.without_head())
        wanted = {name: shape for name, shape in layout.items() if not name.startswith(f"{HEAD}.")}
    surplus = []
    for (layer, slot), in_checkpoint in differences(tensors, layers, wanted).items():
        name = f"{layer}.{slot}"
        if in_checkpoint:
            surplus.append((layer, slot))
            wanted[name] = wanted.get(f"{layer}.{'kernel' if slot == 'bias' else 'mean'}", ())[-1:]
        else:
            tensors[name] = np.full(wanted[name], 1.0 if slot == "scale" else 0.0, np.float32)
    check_fit(tensors, wanted, what, weights.architecture)  # before folding, which would fail where shapes differ
    for layer, slot in surplus:
        (_fold_bias if slot == "bias" else _fold_scale)(tensors, layer, layers, what)
    return tensors


def _optional(layers: Sequence[Layer], names: set[str]) -> Iterator[tuple[str, str]]:
    """(layer, slot) of the tensors that may be absent: biases of convolutions, scales of BatchNorms."""
    for layer in layers:
        if layer.kind == "conv":
            yield layer.name, "bias"
        elif layer.kind == "norm" and f"{layer.name}.mean" in names:
            yield layer.name, "scale"


def _fold_bias(tensors: dict[str, Array], conv: str, layers: Sequence[Layer], what: str) -> None:
    readers = [layer for layer in layers if conv in layer.inputs]
    if len(readers) != 1 or readers[0].inputs != (conv,) or f"{readers[0].name}.mean" not in tensors:
        raise UsageError(
            f"{what}: the network has no place for {conv}.bias of the checkpoint, and no BatchNorm alone reads"
            f" {conv}, which could take it; use optional_tensors=checkpoint"
        )
    mean = f"{readers[0].name}.mean"
    tensors[mean] = _narrowed(tensors[mean].astype(np.float64) - tensors.pop(f"{conv}.bias"), tensors[mean])


def _fold_scale(tensors: dict[str, Array], norm: str, layers: Sequence[Layer], what: str) -> None:
    (read,) = [layer.inputs for layer in layers if layer.name == norm]
    if len(read) != 1 or sum(read[0] in layer.inputs for layer in layers) != 1 or f"{read[0]}.kernel" not in tensors:
        raise UsageError(
            f"{what}: the network has no place for {norm}.scale of the checkpoint, and no convolution feeds {norm}"
            " alone, which could take it; use optional_tensors=checkpoint"
        )
    scale = tensors.pop(f"{norm}.scale").astype(np.float64)
    for name in (f"{read[0]}.kernel", f"{read[0]}.bias", f"{norm}.mean"):
        if name in tensors:
            tensors[name] = _narrowed(tensors[name] * scale, tensors[name])


def _narrowed(array: Array, like: Array) -> Array:
    return array.astype(like.dtype)
