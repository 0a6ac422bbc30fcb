"""A watched network: its tensors under canonical names, and its BatchNorms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from isotune.adapters._torch.dataflow import Dataflow, trace
from isotune.adapters._torch.layers import ModuleLayer, Slot, canonical, canonical_layers, classifier_name
from isotune.recordings import Norm, Streamed, TensorEntry

Array = np.ndarray


class WatchedNetwork:
    """The tensors of a network in the order of execution; of registration where one pass cannot show it."""

    def __init__(self, net: nn.Module, image_size: tuple[int, int] | None) -> None:
        dataflow = trace(net, image_size) if image_size else Dataflow()
        self.in_order = bool(dataflow.steps)
        self.net = net
        self.layers: list[ModuleLayer] = canonical_layers(net, classifier_name(net), dataflow)
        self._own = {id(tensor): name for name, tensor in [*net.named_parameters(), *net.named_buffers()]}
        self.slots: list[tuple[ModuleLayer, Slot]] = [(layer, slot) for layer in self.layers for slot in layer.slots]
        self.by_tensor = {id(slot.tensor): slot for _, slot in self.slots}

    def entries(self, optimizer: torch.optim.Optimizer) -> list[TensorEntry]:
        stepped = {id(tensor) for group in optimizer.param_groups for tensor in group["params"]}
        return [
            TensorEntry(
                name=slot.name, own=self._own.get(id(slot.tensor), ""), kind=owner.layer.kind, shape=slot.shape,
                dtype=str(slot.tensor.dtype).removeprefix("torch."), buffer=not isinstance(slot.tensor, nn.Parameter),
                trained=slot.tensor.requires_grad and id(slot.tensor) in stepped, block=owner.layer.block,
            )
            for owner, slot in self.slots
        ]  # fmt: skip

    def weights(self) -> list[Streamed]:
        """Parameters; they are copied when their turn comes."""
        weights = [slot for _, slot in self.slots if isinstance(slot.tensor, nn.Parameter)]
        return [streamed(slot.name, slot, slot.tensor) for slot in weights]

    def buffers(self) -> list[Streamed]:
        return [
            streamed(slot.name, slot, slot.tensor)
            for _, slot in self.slots
            if not isinstance(slot.tensor, nn.Parameter)
        ]

    def averaged(self, other: nn.Module) -> list[Streamed]:
        """The tensors of another network that bears the same names, or the same behind `module.`; those that it has."""
        theirs = {
            name.removeprefix("module."): tensor for name, tensor in [*other.named_parameters(), *other.named_buffers()]
        }
        known = [(slot, theirs.get(self._own.get(id(slot.tensor), ""))) for _, slot in self.slots]
        return [
            streamed(slot.name, slot, tensor)
            for slot, tensor in known
            if tensor is not None and tensor.shape == slot.tensor.shape
        ]

    def gradients(self) -> list[Streamed]:
        return [
            streamed(slot.name, slot, slot.tensor.grad)
            for _, slot in self.slots
            if isinstance(slot.tensor, nn.Parameter) and slot.tensor.grad is not None
        ]

    def norms(self) -> Iterator[tuple[str, _BatchNorm]]:
        """BatchNorms that keep running statistics, by canonical name."""
        for owner in self.layers:
            if isinstance(owner.module, _BatchNorm) and owner.module.running_mean is not None:
                yield owner.layer.name, owner.module

    def norm_states(self) -> dict[str, Norm]:
        return {
            name: Norm(
                training=module.training,
                frozen=not any(each.requires_grad for each in module.parameters(recurse=False)),
                momentum=module.momentum,
                epsilon=module.eps,
            )
            for name, module in self.norms()
        }


def streamed(name: str, slot: Slot, tensor: Tensor) -> Streamed:
    """A tensor of the slot's form, copied to NumPy in canonical layout when its turn comes."""
    dtype = "float64" if tensor.dtype == torch.float64 else "float32"
    return Streamed(name, slot.shape, dtype, lambda: canonical(slot, tensor))


def first_tensor(values: Any) -> Tensor | None:
    """The first floating-point tensor among a module's arguments or results."""
    if isinstance(values, Tensor):
        return values if values.is_floating_point() else None
    if isinstance(values, dict):
        values = list(values.values())
    if isinstance(values, list | tuple):
        return next((tensor for each in values if (tensor := first_tensor(each)) is not None), None)
    return None


def nhwc(tensor: Tensor, images: int | None = None) -> Array:
    """A copy in NumPy, [N, C, H, W] as [N, H, W, C]. images: so many at most."""
    tensor = tensor.detach()[:images]
    tensor = tensor.to("cpu", torch.float64 if tensor.dtype == torch.float64 else torch.float32)
    return np.ascontiguousarray(tensor.numpy().transpose(0, 2, 3, 1) if tensor.ndim == 4 else tensor.numpy())
