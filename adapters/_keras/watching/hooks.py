"""The callback and the wrapper. Between full steps nothing of the network is touched.

A full step runs eagerly, since a compiled one shows nothing on the way; for its time the optimizer's `apply`, the
model's `compute_loss` and the layers' `call` are replaced on the objects themselves, and put back after it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from isotune.adapters._keras.watching import optimizers, stateless, surroundings
from isotune.adapters._keras.watching.network import WatchedNetwork, array_of
from isotune.adapters._keras.watching.replacing import eagerly, keeping, losing, norming, passing, replaced
from isotune.errors import UsageError
from isotune.recordings import OpenStep, Writer


def watching(model: Any, optimizer: Any, writer: Writer | None) -> KerasWatching:
    """What `isotune.watch` gives for a `keras.Model`."""
    return KerasWatching(model, optimizer, writer)


class KerasWatching(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """A callback for `fit`; of a loop of one's own, `step` wraps the function of a step. writer: None: does nothing."""

    def __init__(self, model: Any, optimizer: Any, writer: Writer | None) -> None:
        super().__init__()
        self._watched, self._given, self._writer = model, optimizer, writer
        self._network: WatchedNetwork | None = None
        self._full = contextlib.ExitStack()
        self._open: OpenStep | None = None
        self._described: Any = None

    def __enter__(self) -> KerasWatching:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Seal the recording."""
        if self._writer is not None:
            self._writer.close()

    @property
    def _optimizer(self) -> Any:
        optimizer = self._given if self._given is not None else getattr(self._watched, "optimizer", None)
        if optimizer is None:
            raise UsageError("watch(model, optimizer, folder): give the optimizer, or compile the model with one")
        return optimizer

    # -- fit

    def on_train_begin(self, logs: Any = None) -> None:
        if self._writer is None:
            return
        if getattr(self._watched, "steps_per_execution", 1) != 1:
            raise UsageError("steps_per_execution is more than 1: steps within one cannot be watched; compile with 1")
        self._writer.expect((self.params or {}).get("steps"))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._writer is None or self._writer.closed:
            return
        self._before = self._rate()
        if not self._writer.full:
            return
        if stateless.is_stateless():
            self._watched.jax_state_sync()
            self._full.callback(stateless.release, self._watched)
            self._full.enter_context(stateless.stepping(self._watched, self._pass_hooked))
        self._full.enter_context(self._eager_function())
        self._full.enter_context(self._recorded())

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._writer is not None and not self._writer.closed:
            self._after(None if not logs else logs.get("loss"))

    def on_train_end(self, logs: Any = None) -> None:
        self._full.close()
        self.close()

    @contextlib.contextmanager
    def _eager_function(self) -> Iterator[None]:
        model = self._watched
        former = model.run_eagerly, model.train_function, getattr(model, "jit_compile", None)
        model.run_eagerly, model.jit_compile = True, False
        model.make_train_function(force=True)
        try:
            yield
        finally:
            model.run_eagerly, model.train_function, model.jit_compile = former

    # -- a loop of one's own

    def step(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function of one step of training, watched: it calls the model, and `optimizer.apply` once.

        It may be compiled: in full steps it runs eagerly. UsageError: on JAX such a step keeps its state by itself,
        where nothing sees it.
        """
        if self._writer is not None and stateless.is_stateless():
            raise UsageError(
                "a step of one's own in Keras on JAX is a function of state that it keeps by itself, which cannot be"
                " watched; give the callback to model.fit"
            )

        def watched(*given: Any, **named: Any) -> Any:
            if self._writer is None or self._writer.closed:
                return function(*given, **named)
            self._before = self._rate()
            if not self._writer.full:
                result = function(*given, **named)
            else:
                with eagerly(), self._recorded():
                    result = function(*given, **named)
            self._after(None)
            return result

        return watched

    def loss(self, loss: Any, labels: Any = None) -> Any:
        """Tell the loss of the last pass, and its labels ([N], or one-hot [N, K]); gives the loss."""
        if self._writer is not None and (step := self._open) is not None:
            step.tell(labels=None if labels is None else array_of(labels), loss=float(array_of(loss)))
        return loss

    # -- every step

    def _rate(self) -> float:
        if stateless.is_stateless():
            return stateless.rate(self._watched, self._optimizer)
        return float(array_of(optimizers.within(self._optimizer).learning_rate))

    def _after(self, loss: Any) -> None:
        writer, step = self._writer, self._open
        assert writer is not None
        if writer.sampled:
            if self._network is None:
                self._describe(writer)
            trained = self._watched.trainable_variables
            trained = stateless.trained(self._watched) if stateless.is_stateless() else trained
            weights = np.sqrt(sum(float((array_of(each).astype(float) ** 2).sum()) for each in trained))
            told = {} if loss is None else {"loss": float(loss)}
            writer.sample({"weight norm": float(weights), "learning rate": self._before, **told})
        passes, images = (step.passes, step.images) if step is not None else (None, None)
        self._full.close()
        writer.passed(self._before, images, passes)
        if writer.over:
            writer.close()

    # -- full steps

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[None]:
        writer = self._writer
        assert writer is not None
        if self._network is None:
            self._describe(writer)
        network = self._network
        assert network is not None
        self._open = step = writer.begin()
        step.eager = True
        self._used: dict[str, bool] = {}
        self._described = None
        step.random["before"] = surroundings.random_states(self._watched)
        step.keep("batchnorm-before", network.buffers())
        try:
            with self._hooked(step, network):
                yield
            if self._described is not None:
                step.norms = network.norm_states(self._used)
                slots = optimizers.slots(self._optimizer, network)
                step.keep("after", [*network.weights(), *slots, *network.buffers()])
                step.random["after"] = surroundings.random_states(self._watched)
                step.finish(self._described)
        finally:
            self._open = None

    def _describe(self, writer: Writer) -> None:
        if not self._watched.built:
            raise UsageError("the model is not built: call it once, or give it an Input, before it is watched")
        network = WatchedNetwork(self._watched)
        writer.describe(
            "keras", type(self._watched).__name__, network.entries(),
            surroundings.configuration(self._watched, self._optimizer), in_order=network.in_order,
            per_step=7 * sum(each.size for each in network.weights()),
        )  # fmt: skip
        self._network = network

    @contextlib.contextmanager
    def _hooked(self, step: OpenStep, network: WatchedNetwork) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            replace = stack.enter_context
            replace(replaced(self._optimizer, "apply", self._applying(step, network)))
            replace(replaced(optimizers.within(self._optimizer), "_clip_gradients", self._clipping(step, network)))
            if not stateless.is_stateless():  # there the pass is shown apart
                replace(self._pass_hooked())
            yield

    @contextlib.contextmanager
    def _pass_hooked(self) -> Iterator[None]:
        step, network, writer = self._open, self._network, self._writer
        assert step is not None
        assert network is not None
        assert writer is not None
        with contextlib.ExitStack() as stack:
            replace = stack.enter_context
            replace(replaced(self._watched, "compute_loss", losing(step)))
            replace(replaced(self._watched, "call", passing(step)))
            for name, layer in network.norms():
                replace(replaced(layer, "call", norming(step, name, layer, self._used)))
            if step.number in writer.layers:
                for part in network.parts:
                    if part.form not in ("depthwise",):
                        replace(replaced(network.owners[part.owner], "call", keeping(step, part.layer.name)))
            yield

    def _applying(self, step: OpenStep, network: WatchedNetwork) -> Any:
        def around(original: Any) -> Any:
            def apply(grads: Any, trainable_variables: Any = None) -> Any:
                optimizer = self._optimizer
                variables = list(trainable_variables if trainable_variables is not None
                                 else optimizers.within(optimizer)._trainable_variables)  # fmt: skip
                named = [(network.by_variable.get(id(v)), g) for v, g in zip(variables, grads, strict=True)]
                for name, gradient in named:
                    if name and gradient is not None:
                        array = array_of(gradient).astype(np.float64)
                        step.raw[name] = float(np.sqrt((array**2).sum())), float(np.abs(array).max(initial=0.0))
                self._described = optimizers.described(optimizer, network, self._rate())
                step.keep("before", [*network.weights(), *optimizers.slots(optimizer, network)])
                self._stepped = [name for name, gradient in named if gradient is not None]
                return original(grads, trainable_variables)

            return apply

        return around

    def _clipping(self, step: OpenStep, network: WatchedNetwork) -> Any:
        """Gradients as the update gets them."""

        def around(original: Any) -> Any:
            def clip(grads: Any) -> Any:
                clipped = original(grads)
                named = zip(self._stepped, clipped, strict=True)
                step.keep("gradients", [network.streamed(name, gradient) for name, gradient in named if name])
                return clipped

            return clip

        return around
