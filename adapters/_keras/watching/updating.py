"""One step of an optimizer: gradients before and after they are clipped, weights and slots before, and the weights
behind it, where an average takes their place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from isotune.adapters._keras.watching import optimizers
from isotune.adapters._keras.watching.network import WatchedNetwork, array_of
from isotune.adapters._keras.watching.replacing import replaced
from isotune.recordings import OpenStep, Optimizer, Streamed


class Update:
    """What becomes of a step while it is `seen`.

    described: the optimizer as it was; None: it took no step. weights: as the step left them, in memory; None: they are
    in the network.
    """

    def __init__(self, optimizer: Any, network: WatchedNetwork, step: OpenStep, rate: Callable[[], float]) -> None:
        self._optimizer, self._network, self._step, self._rate = optimizer, network, step, rate
        self._names: list[str | None] = []  # of the tensors that have a gradient, in the order of the optimizer
        self.described: Optimizer | None = None
        self.weights: list[Streamed] | None = None

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        inner = optimizers.within(self._optimizer)
        with contextlib.ExitStack() as stack:
            stack.enter_context(replaced(self._optimizer, "apply", self._applying))
            stack.enter_context(replaced(inner, "_clip_gradients", self._clipping))
            if inner.use_ema and inner.ema_overwrite_frequency:
                stack.enter_context(replaced(inner, "_update_model_variables_moving_average", self._averaging))
            yield

    def _applying(self, original: Any) -> Any:
        def apply(grads: Any, trainable_variables: Any = None) -> Any:
            optimizer, network = self._optimizer, self._network
            variables = list(trainable_variables if trainable_variables is not None
                             else optimizers.within(optimizer)._trainable_variables)  # fmt: skip
            named = [(network.by_variable.get(id(v)), g) for v, g in zip(variables, grads, strict=True)]
            self.described = optimizers.described(optimizer, network, self._rate())
            self._step.keep("before", [*network.weights(), *optimizers.slots(optimizer, network)])
            self._names = [name for name, gradient in named if gradient is not None]
            return original(grads, trainable_variables)

        return apply

    def _clipping(self, original: Any) -> Any:
        def clip(grads: Any) -> Any:
            for name, gradient in zip(self._names, grads, strict=True):
                if name:
                    array = array_of(gradient).astype(np.float64)
                    self._step.raw[name] = float(np.sqrt((array**2).sum())), float(np.abs(array).max(initial=0.0))
            clipped = original(grads)
            named = zip(self._names, clipped, strict=True)
            self._step.keep("gradients", [self._network.streamed(name, gradient) for name, gradient in named if name])
            return clipped

        return clip

    def _averaging(self, original: Any) -> Any:
        def update(trainable_variables: Any) -> Any:
            inner = optimizers.within(self._optimizer)
            if (int(array_of(inner.iterations)) + 1) % inner.ema_overwrite_frequency == 0:
                self.weights = [_held(tensor) for tensor in self._network.weights()]
            return original(trainable_variables)

        return update


def _held(tensor: Streamed) -> Streamed:
    """A tensor as it is now."""
    array = tensor.read()
    return replace(tensor, read=lambda: array)
