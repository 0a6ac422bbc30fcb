"""One optimizer on one torch model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import reduce
from operator import add
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from isotune.adapters._torch.axes import decay, norms
from isotune.adapters._torch.layers import ModuleLayer, Slot, canonical, exact, to_array
from isotune.adapters._torch.numeric import Precision
from isotune.adapters._torch.step_graph import Recorder, StepGraph
from isotune.adapters._torch.updater import Updater
from isotune.adapters.base import Array, LossScaling, Recipe, Trainer
from isotune.adapters.residual import check_masks
from isotune.conventions import Conventions
from isotune.errors import UsageError, nearest
from isotune.weights import Layer

_NUMBERS, _DRAWS, _DEVICE_DRAWS = "numbers", "draws", "draws on the device"  # of a snapshot


class Trainable(Protocol):
    """What a trainer uses of a model; `TorchModel` is one."""

    net: nn.Module
    device: torch.device
    conventions: Conventions
    precision: Precision
    module_layers: list[ModuleLayer]

    def layers(self) -> list[Layer]: ...
    def slots(self) -> Iterator[tuple[ModuleLayer, Slot]]: ...
    def loss(
        self, images: Tensor, labels: Tensor, mask: Tensor | None, label_smoothing: float, branch_masks: Tensor | None
    ) -> Tensor: ...
    def branches(self) -> tuple[str, ...]: ...
    def recorder(self) -> Recorder | None: ...
    def computing(self) -> AbstractContextManager[None]: ...
    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]: ...
    def set_mode(self, mode: object, switch: Callable[[], object]) -> None: ...
    def to_device(self, images: Array, *, mixed: bool = False) -> Tensor: ...
    def to_labels(self, labels: Array) -> Tensor: ...
    def to_mask(self, mask: Array) -> Tensor: ...


class TorchTrainer(Trainer):
    """Freezes what the recipe does not train, and steps.

    Frozen tensors require no gradient, so that autograd does not even walk through layers below the lowest
    trained one. A step waits for nothing: the loss that it returns is still on the device. On a GPU its two passes
    become a graph (`step_graph`); graph: that one, None where there is none.
    """

    def __init__(self, model: Trainable, recipe: Recipe) -> None:
        names = {layer.name for layer in model.layers()}
        if unknown := sorted(recipe.trained - names):
            raise UsageError(f"cannot train {unknown[0]!r}, no such layer; {nearest(unknown[0], names)}")
        self._model = model
        self._trained = []
        for owner, slot in model.slots():
            if slot.trainable:
                slot.tensor.grad = None
                slot.tensor.requires_grad_(owner.layer.name in recipe.trained)
                if owner.layer.name in recipe.trained:
                    self._trained.append(slot)
        if not self._trained:
            raise UsageError("nothing is left to train: no trained layer has tensors")
        conventions = recipe.conventions or model.conventions
        self._scaler = model.precision.scaler()
        parted = decay.parted(self._trained, conventions)
        factors = dict(recipe.rates)
        rates = {id(slot.tensor): factors.get(owner.layer.name, 1.0) for owner, slot in model.slots()}
        self._updater = Updater(
            recipe.optimizer, conventions, *parted, rate_of=lambda tensor: rates[id(tensor)], scaler=self._scaler
        )
        self._still_norms = norms.still(
            model.module_layers, recipe.trained, model.conventions, statistics=recipe.batchnorm == "training"
        )
        self._smoothing, self._cleared, self._parts = recipe.label_smoothing, recipe.cleared, recipe.parts
        self._loss = model.compile(model.loss)
        self.graph: StepGraph | None = None
        if recipe.cleared and (recorder := model.recorder()) is not None:
            trained = [slot.tensor for slot in self._trained]
            self.graph = StepGraph(self._passes, trained, list(model.net.buffers()), recorder)

    def step(
        self,
        images: Array,
        labels: Array,
        learning_rate: float,
        feature_mask: Array | None = None,
        branch_masks: Array | None = None,
    ) -> Tensor:
        model = self._model
        if branch_masks is not None:
            check_masks(branch_masks, images, model.branches())
        model.set_mode(self, self._train)
        with model.computing():
            masks = (None if mask is None else model.to_mask(mask) for mask in (feature_mask, branch_masks))
            inputs = model.to_device(images, mixed=True), model.to_labels(labels), *masks
            if self.graph is not None:
                loss = self.graph(*inputs)
            else:
                for slot in self._trained if self._cleared else ():
                    slot.tensor.grad = None
                loss = self._passes(*inputs)
            penalty = self._updater.penalty()
            self._updater.step(learning_rate)
        return loss if penalty is None else loss + penalty

    def _passes(self, *inputs: Tensor | None) -> Tensor:
        """The loss; gradients are left in `.grad`. inputs: as of `step_graph.Passes`."""
        losses = []
        cut = ([None] * self._parts if each is None else each.chunk(self._parts) for each in inputs)
        for images, labels, mask, branch_masks in zip(*cut, strict=True):
            loss: Tensor = self._loss(images, labels, mask, self._smoothing, branch_masks)
            loss = loss / self._parts if self._parts > 1 else loss
            (loss if self._scaler is None else self._scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        return reduce(add, losses)

    def loss_scaling(self) -> LossScaling | None:
        if self._scaler is None:
            return None
        return LossScaling(self._scaler.get_scale(), self._updater.skipped)

    def _train(self) -> None:
        self._model.net.train()
        for norm in self._still_norms:
            norm.eval()

    def state(self) -> dict[str, Array]:
        """Slots as in `base`, in canonical layout; an optimizer's slots are there from its first step on."""
        state = {
            f"{slot.name}/{name}": canonical(slot, tensor)
            for slot in self._trained
            for name, tensor in self._updater.slots(slot.tensor).items()
        }
        for layer, slot in self._model.slots():
            if isinstance(layer.module, _BatchNorm) and slot.kind in ("mean", "variance"):
                state[slot.name] = to_array(slot.tensor)
        return state

    def snapshot(self) -> dict[str, Array]:
        """As in `base`. Of the network also the numbers that its modules keep as plain attributes, which a network of
        the user's own may count in, and the generator's state, which dropout that options ask for draws from."""
        net, device = self._model.net, self._model.device
        arrays = {f"network/{name}": exact(tensor) for name, tensor in _tensors(net)}
        arrays[_NUMBERS] = np.frombuffer(json.dumps(_numbers(net)).encode(), np.uint8)
        arrays[_DRAWS] = exact(torch.get_rng_state())
        if device.type == "cuda":
            arrays[_DEVICE_DRAWS] = exact(torch.cuda.get_rng_state(device))
        return arrays | {f"optimizer/{name}": array for name, array in self._updater.snapshot().items()}

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        net, tensors = self._model.net, dict(_tensors(self._model.net))
        kept = {name.removeprefix("network/"): a for name, a in snapshot.items() if name.startswith("network/")}
        slots = {name.removeprefix("optimizer/"): a for name, a in snapshot.items() if name.startswith("optimizer/")}
        here = {name: (tuple(tensor.shape), exact(tensor.new_empty(0)).dtype) for name, tensor in tensors.items()}
        there = {name: (array.shape, array.dtype) for name, array in kept.items()}
        if differing := [name for name in {**here, **there} if here.get(name) != there.get(name)]:
            raise UsageError(f"the network's tensor {differing[0]!r} is another one")
        self._updater.check(slots)
        with torch.no_grad():
            for name, array in kept.items():
                tensors[name].copy_(torch.from_numpy(np.array(array)))
        self._updater.restore(slots)
        modules = dict(net.named_modules())
        for name, value in json.loads(bytes(snapshot[_NUMBERS])).items():
            module, _, attribute = name.rpartition(".")
            if vars(modules[module]).get(attribute) != value:
                setattr(modules[module], attribute, value)
        torch.set_rng_state(torch.from_numpy(np.array(snapshot[_DRAWS])))
        if _DEVICE_DRAWS in snapshot:
            torch.cuda.set_rng_state(torch.from_numpy(np.array(snapshot[_DEVICE_DRAWS])), self._model.device)


def _tensors(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from net.named_parameters()
    yield from net.named_buffers()


def _numbers(net: nn.Module) -> dict[str, float]:
    """Plain attributes of the modules that are numbers, whose state is not in a tensor; by module and name."""
    return {
        f"{name}.{attribute}": value
        for name, module in net.named_modules()
        for attribute, value in vars(module).items()
        if type(value) in (int, float)
    }
