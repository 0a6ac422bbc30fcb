"""Canonical layers of an `nn.Module`: names, kinds, blocks, slots and layouts.

A layer is a module that directly owns parameters, or a norm, or a part of one (`parts`); its floating-point persistent
buffers belong to it. Layers are numbered in the order of execution (`dataflow`); the classifier is called `head` and
comes last. What a pass does not show, a norm without parameters, follows the layer registered before it. torch keeps a
kernel as [out, in/groups, h, w] and a dense matrix as [out, in]; a `Slot` holds the way to the canonical layout
(`isotune.weights`) and back. `num_batches_tracked` and integer index tables are no weights, and no slots.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from isotune.adapters._torch.dataflow import Dataflow
from isotune.adapters._torch.parts import Part, parts
from isotune.adapters.flattening import Flattened
from isotune.weights import HEAD, Layer, Limit

Array = np.ndarray
_UNKNOWN = Dataflow()
_Change = Callable[[Array], Array]


@dataclass(frozen=True)
class Slot:
    """One tensor of a layer."""

    name: str  # canonical: "007.norm.scale"
    tensor: Tensor  # torch's own, changed in place when loading
    trainable: bool  # a parameter that the library trains, not a buffer
    to_canonical: _Change
    from_canonical: _Change

    @property
    def kind(self) -> str:
        """The slot's own name, "kernel"."""
        return self.name.rpartition(".")[2]

    @property
    def shape(self) -> tuple[int, ...]:
        """Canonical shape."""
        return self.to_canonical(np.broadcast_to(np.empty((), np.float32), tuple(self.tensor.shape))).shape


@dataclass(frozen=True)
class ModuleLayer:
    """A layer with the module that owns its tensors."""

    layer: Layer
    module: nn.Module
    slots: tuple[Slot, ...]


def classifier_name(net: nn.Module, within: nn.Module | None = None) -> str | None:
    """Name of the last dense layer (or 1x1 convolution: SqueezeNet, DLA) of `net`, looked for in `within`."""
    inside = set((within or net).modules())
    last = None
    for name, module in net.named_modules():
        if module in inside and isinstance(module, nn.Linear | nn.Conv2d):
            last = name
    return last


def canonical_layers(net: nn.Module, head: str | None, dataflow: Dataflow = _UNKNOWN) -> list[ModuleLayer]:
    """The layers of `net` in canonical order. head: name of the classifier's module, None when there is none."""
    by_name = {part.name: part for part in parts(net)}
    classifier = by_name.pop(head, None) if head is not None else None
    ordered = _in_order(list(by_name), [step.layer for step in dataflow.steps])
    blocks = _blocks(net, list(by_name.values()), ordered)
    # a dense layer on vectors is a convolution over a whole map
    kinds = {name: "conv" if name in dataflow.maps else by_name[name].kind for name in ordered}
    named = {name: f"{index:03d}.{kinds[name]}" for index, name in enumerate(ordered)}
    if classifier is not None:
        by_name[classifier.name], named[classifier.name] = classifier, HEAD
        kinds[classifier.name], blocks[classifier.name] = "dense", -1
    inputs = {step.layer: tuple(named[other] for other in step.inputs if other in named) for step in dataflow.steps}
    between = {step.layer: step.between for step in dataflow.steps}
    layers = []
    for name, canonical_name in named.items():
        layer = Layer(canonical_name, kinds[name], blocks[name], name, inputs.get(name, ()), between.get(name, ()))
        window = dataflow.maps.get(name) if name != head else None
        layers.append(ModuleLayer(layer, by_name[name].module, tuple(_slots(layer, by_name[name], window))))
    return layers


def of_layers(limits: Sequence[Limit] | None, owners: Sequence[ModuleLayer]) -> tuple[Limit, ...] | None:
    """Limits behind layers, by canonical names."""
    names = {owner.layer.library_name: owner.layer.name for owner in owners}
    return None if limits is None else tuple(limit.behind(names) for limit in limits)


def _in_order(registered: list[str], executed: list[str]) -> list[str]:
    """Names as executed; one that was not seen to run follows the one registered before it."""
    ordered = [name for name in executed if name in set(registered)]
    seen = set(ordered)
    for before, name in zip(["", *registered], registered, strict=False):
        if name not in seen:
            ordered.insert(ordered.index(before) + 1 if before in ordered else 0, name)
    return ordered


def _slots(layer: Layer, part: Part, window: Flattened | None) -> Iterator[Slot]:
    for _, slot, tensor, is_parameter in part.slots:
        to: _Change = _same
        back: _Change = _same
        if slot == "kernel":
            to, back = _layout(tuple(tensor.shape), layer.kind, window)
        elif layer.kind in ("scale", "token"):
            to, back = _vector(tuple(tensor.shape))
        elif layer.kind == "position":
            to, back = (lambda a: a[0]), (lambda a: a[None])
        yield Slot(f"{layer.name}.{slot}", tensor, is_parameter and tensor.requires_grad, to, back)


def _layout(shape: tuple[int, ...], kind: str, window: Flattened | None) -> tuple[_Change, _Change]:
    """Ways between torch's layout of a kernel and the canonical one. window: the map that a dense layer reads."""
    if kind == "conv" and len(shape) == 2:
        read = window or Flattened()
        return lambda a: read.canonical(a.T), lambda a: read.rows(a).T
    if kind in ("conv", "transposed"):
        return lambda a: a.transpose(2, 3, 1, 0), lambda a: a.transpose(3, 2, 0, 1)
    if len(shape) == 4:  # a 1x1 convolution that is the classifier: [out, in, 1, 1]
        return lambda a: a[:, :, 0, 0].T, lambda a: a.T[:, :, None, None]
    return lambda a: a.T, lambda a: a.T


def _vector(shape: tuple[int, ...]) -> tuple[_Change, _Change]:
    return lambda a: a.reshape(-1), lambda a: a.reshape(shape)


def _same(array: Array) -> Array:
    return array


class BuffersKept:
    """A network's buffers as they are now, to be put back, also where a forward gives a new tensor their name.
    without: `id` of those that are left out."""

    def __init__(self, net: nn.Module, without: Collection[int] = ()) -> None:
        self._kept = [
            (module, name, buffer, buffer.clone())
            for module in net.modules()
            for name, buffer in module._buffers.items()
            if buffer is not None and id(buffer) not in without
        ]

    def put_back(self) -> None:
        with torch.no_grad():
            for module, name, buffer, values in self._kept:
                if not torch.equal(buffer, values):
                    buffer.copy_(values)
                module._buffers[name] = buffer


def canonical(slot: Slot, tensor: Tensor) -> Array:
    """A tensor of the slot's form (the weight, its gradient, its optimizer state) in canonical layout."""
    return np.ascontiguousarray(slot.to_canonical(to_array(tensor)))


def to_array(tensor: Tensor) -> Array:
    """A copy in NumPy: float64 stays, other floating types become float32."""
    dtype = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    return np.array(tensor.detach().to(device="cpu", dtype=dtype).numpy())


def exact(tensor: Tensor) -> Array:
    """In NumPy, in the tensor's own dtype and torch's order of axes; a view where it can be."""
    return np.require(tensor.detach().cpu().numpy(), requirements="C")


def is_map(module: nn.Module, output: Tensor) -> bool:
    """Whether what a layer gives is a map with its channels first."""
    per_channel = isinstance(module, nn.Conv2d | _BatchNorm | nn.GroupNorm) or type(module).__name__.endswith("2d")
    return per_channel and output.ndim == 4


def on_output(owner: ModuleLayer, see: Callable[[Tensor], Tensor | None]) -> Any:
    """Have `see` look at what the layer gives, before an activation of its own, and put what it returns in its place;
    the handle that ends it."""

    def looked_at(output: Any) -> Tensor | None:
        return see(output) if isinstance(output, Tensor) else None

    module = owner.module
    drop = getattr(module, "drop", None)
    if owner.layer.kind == "norm" and isinstance(drop, nn.Module) and hasattr(module, "act"):
        return drop.register_forward_pre_hook(lambda _module, inputs: looked_at(inputs[0]))  # None leaves the input
    return module.register_forward_hook(lambda _module, _inputs, output: looked_at(output))


# -- blocks


def _blocks(net: nn.Module, of_network: list[Part], ordered: list[str]) -> dict[str, int]:
    """Block of each layer, numbered from 0.

    Libraries nest their blocks differently (`features.3`, `blocks.1.0`, `layer1.0`, `stages.0.blocks.1`,
    `encoder.layers.encoder_layer_0`), so they are found by structure: from the network downwards, sequences of
    composite modules and stages (classes that hold such a sequence as `blocks`, `layers` or `stages`) are opened,
    and the first thing that is neither is a block. Layers that stand loose on the way, a stem or the last
    convolution, form a block with the norms that follow them. A token or a table of positions belongs to the block of
    what runs before it.
    """
    numbers: dict[str, int] = {}
    last_key, number, last_loose = None, -1, False
    for part in of_network:
        if part.kind in ("token", "position"):
            continue
        key, loose = _block_key(net, part.owner)
        joins = loose and last_loose and part.kind not in ("conv", "transposed", "dense")
        if key != last_key and not joins:
            number += 1
        numbers[part.name], last_key, last_loose = number, key, loose
    before = 0
    for name in ordered:
        before = numbers.setdefault(name, before)
    return numbers


def _block_key(net: nn.Module, name: str) -> tuple[str, bool]:
    """(name of the block that the layer is in, whether the layer stands loose)."""
    node, path = net, ""
    for depth, part in enumerate(name.split(".") if name else (), start=1):
        node = node.get_submodule(part)
        path = f"{path}.{part}" if path else part
        if (path != name or _is_composite(node)) and not _is_opened(node, depth):
            return path, False
    return name, True


def _is_opened(module: nn.Module, depth: int) -> bool:
    children = list(module.children())
    if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        plain = type(module) in (nn.Sequential, nn.ModuleList, nn.ModuleDict)
        return any(_is_composite(child) for child in children) or (plain and depth == 1)
    if any(_is_sequence_of_blocks(getattr(module, name, None)) for name in ("blocks", "layers", "stages")):
        return True
    names = [name for name, _ in module.named_children()]
    return bool(names) and all(name[0] == "b" and name[1:].isdecimal() for name in names)  # timm's RegStage


def _is_sequence_of_blocks(module: object) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList) and any(map(_is_composite, module.children()))


def _is_composite(module: nn.Module) -> bool:
    """Whether a child of the module owns tensors."""
    return any(True for child in module.children() for _ in child.parameters())
