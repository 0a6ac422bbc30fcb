"""One optimizer on one Keras model, and the step that the engine made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, SupportsFloat

import keras
import numpy as np

from isotune.adapters._keras.axes.optimizers import slots
from isotune.adapters._keras.layers import Tensor, is_buffer
from isotune.adapters._keras.network import Network
from isotune.adapters.base import Array, Recipe, Trainer
from isotune.adapters.residual import check_masks
from isotune.errors import UsageError


class Trainable(Protocol):
    """What a trainer uses of a model; `KerasModel` is one."""

    network: Network

    def numeric(self) -> AbstractContextManager[None]: ...
    def freeze(self, trained: frozenset[str]) -> None: ...
    def checked(self, images: Array, *, mixed: bool = False) -> Array: ...
    def branches(self) -> tuple[str, ...]: ...
    def named_tensors(self) -> dict[str, Tensor]: ...


class KerasTrainer(Trainer):
    """Freezes what the recipe does not train, and steps."""

    def __init__(self, model: Trainable, recipe: Recipe, optimizer: Any, step: Callable[..., SupportsFloat]) -> None:
        self.model, self.recipe, self.optimizer, self._step = model, recipe, optimizer, step
        self._variables = model.network.trainable_variables

    def step(
        self,
        images: Array,
        labels: Array,
        learning_rate: float,
        feature_mask: Array | None = None,
        branch_masks: Array | None = None,
    ) -> SupportsFloat:
        if branch_masks is not None:
            check_masks(branch_masks, images, self.model.branches())
        with self.model.numeric():
            self.model.freeze(self.recipe.trained)  # another trainer may have been at work on the model
            penalty = getattr(self.optimizer, "penalty", float)()
            labels = labels if labels.ndim == 2 else np.asarray(labels, np.int64)
            images = self.model.checked(images, mixed=True)
            loss = self._step(images, labels, learning_rate, feature_mask, branch_masks)
            return float(loss) + penalty if penalty else loss

    def state(self) -> dict[str, Array]:
        named = self.model.named_tensors()
        names = {id(tensor.variable): name for name, tensor in named.items()}
        state: dict[str, Array] = {}
        with self.model.numeric():
            for slot, arrays in slots(self.recipe.optimizer, self.optimizer).items():
                for variable, array in zip(self._variables, arrays, strict=True):
                    name = names[id(variable)]
                    state[f"{name}/{slot}"] = named[name].canonical(array).copy()
            for name, tensor in named.items():
                if is_buffer(name):
                    state[name] = tensor.read().copy()
        return state

    def snapshot(self) -> dict[str, Array]:
        """As in `base`: every variable of the network, generators of dropout and the like among them, and of the
        optimizer, by number, since Keras counts in their names."""
        with self.model.numeric():
            return {name: keras.ops.convert_to_numpy(variable) for name, variable in self._everything().items()}

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        variables = self._everything()
        here = {name: tuple(variable.shape) for name, variable in variables.items()}
        there = {name: array.shape for name, array in snapshot.items()}
        if differing := [name for name in {**here, **there} if here.get(name) != there.get(name)]:
            raise UsageError(f"the variable {differing[0]} is another one")
        with self.model.numeric():
            for name, variable in variables.items():
                variable.assign(snapshot[name])

    def _everything(self) -> dict[str, Any]:
        groups = {"network": self.model.network.variables, "optimizer": self.optimizer.variables}
        return {f"{group}/{number}": v for group, those in groups.items() for number, v in enumerate(those)}
