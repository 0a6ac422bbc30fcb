"""One optimizer on one Keras model, and the step that the engine made of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, SupportsFloat

import numpy as np

from isotune.adapters._keras.axes.optimizers import slots
from isotune.adapters._keras.layers import Tensor, is_buffer
from isotune.adapters._keras.network import Network
from isotune.adapters.base import Array, Recipe, Trainer


class Trainable(Protocol):
    """What a trainer uses of a model; `KerasModel` is one."""

    network: Network

    def numeric(self) -> AbstractContextManager[None]: ...
    def freeze(self, trained: frozenset[str]) -> None: ...
    def checked(self, images: Array) -> Array: ...
    def named_tensors(self) -> dict[str, Tensor]: ...


class KerasTrainer(Trainer):
    """Freezes what the recipe does not train, and steps."""

    def __init__(self, model: Trainable, recipe: Recipe, optimizer: Any, step: Callable[..., SupportsFloat]) -> None:
        self.model, self.recipe, self.optimizer, self._step = model, recipe, optimizer, step
        self._variables = model.network.trainable_variables

    def step(
        self, images: Array, labels: Array, learning_rate: float, feature_mask: Array | None = None
    ) -> SupportsFloat:
        with self.model.numeric():
            self.model.freeze(self.recipe.trained)  # another trainer may have been at work on the model
            penalty = getattr(self.optimizer, "penalty", float)()
            loss = self._step(self.model.checked(images), np.asarray(labels, np.int64), learning_rate, feature_mask)
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
