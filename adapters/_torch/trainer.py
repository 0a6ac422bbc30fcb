"""One optimizer on one torch model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from isotune.adapters._torch.device import loud
from isotune.adapters._torch.layers import canonical, to_array
from isotune.adapters._torch.optimizers import Updater
from isotune.adapters.base import Array, Recipe, Trainer
from isotune.errors import UsageError, nearest

if TYPE_CHECKING:
    from isotune.adapters._torch.model import TorchModel


class TorchTrainer(Trainer):
    """Freezes what the recipe does not train, and steps.

    Frozen tensors require no gradient, so that autograd does not even walk through layers below the lowest
    trained one. A step waits for nothing: the loss that it returns is still on the device.
    """

    def __init__(self, model: TorchModel, recipe: Recipe) -> None:
        names = {layer.name for layer in model.layers()}
        if unknown := sorted(recipe.trained - names):
            raise UsageError(f"cannot train {unknown[0]!r}, no such layer; {nearest(unknown[0], names)}")
        self._model = model
        self._trained = []
        for found, slot in model.slots():
            if slot.trainable:
                slot.tensor.grad = None
                slot.tensor.requires_grad_(found.layer.name in recipe.trained)
                if found.layer.name in recipe.trained:
                    self._trained.append(slot)
        if not self._trained:
            raise UsageError("nothing is left to train: no trained layer has tensors")
        conventions = recipe.conventions or model.conventions
        only_kernels = conventions.weight_decay_on == "kernels"
        decayed = [slot.tensor for slot in self._trained if slot.kind == "kernel" or not only_kernels]
        other = [slot.tensor for slot in self._trained if slot.kind != "kernel" and only_kernels]
        self._updater = Updater(recipe.optimizer, conventions, decayed, other)
        tracking = frozenset(names) if model.conventions.frozen_batchnorm == "updates" else recipe.trained
        if recipe.batchnorm == "inference":
            tracking = frozenset()
        self._still_norms = [
            found.module
            for found in model.module_layers
            if isinstance(found.module, _BatchNorm) and found.layer.name not in tracking
        ]
        self._smoothing = recipe.label_smoothing
        self._loss = model.compile(model.loss)

    def step(self, images: Array, labels: Array, learning_rate: float, feature_mask: Array | None = None) -> Tensor:
        model = self._model
        model.set_mode(self, self._train)
        mask = None if feature_mask is None else model.to_mask(feature_mask)
        for slot in self._trained:
            slot.tensor.grad = None
        with loud(model.compiled):
            loss: Tensor = self._loss(model.to_device(images), model.to_labels(labels), mask, self._smoothing)
            loss.backward()  # type: ignore[no-untyped-call]
        self._updater.step(learning_rate)
        return loss.detach()

    def _train(self) -> None:
        self._model.net.train()
        for norm in self._still_norms:
            norm.eval()

    def state(self) -> dict[str, Array]:
        """Slots as in `base`, in canonical layout; an optimizer's slots are there from its first step on."""
        found = {
            f"{slot.name}/{name}": canonical(slot, tensor)
            for slot in self._trained
            for name, tensor in self._updater.slots(slot.tensor).items()
        }
        for layer, slot in self._model.slots():
            if isinstance(layer.module, _BatchNorm) and slot.kind in ("mean", "variance"):
                found[slot.name] = to_array(slot.tensor)
        return found
