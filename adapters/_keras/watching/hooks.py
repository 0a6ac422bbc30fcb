"""The callback and the wrapper. Between full steps nothing of the network is touched.

A full step runs eagerly, since a compiled one shows nothing on the way; for its time the optimizer's `apply`, the
model's `compute_loss` and the layers' `call` are replaced on the objects themselves, and put back after it. With
`gradient_accumulation_steps` a step is what so many batches make together.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from isotune.adapters._keras.watching import averages, optimizers, stateless, surroundings
from isotune.adapters._keras.watching.draws import drawing, drawing_layers
from isotune.adapters._keras.watching.network import WatchedNetwork, array_of
from isotune.adapters._keras.watching.replacing import eagerly, keeping, losing, norming, passing, replaced
from isotune.adapters._keras.watching.updating import Update
from isotune.errors import UsageError
from isotune.recordings import OpenStep, Optimizer, Writer


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
        self._waiting: OpenStep | None = None  # a step that was taken, for the average after it
        self._described: Optimizer | None = None
        self._average: Any = None
        self._batches = 0  # of the coming step that were seen, of those that accumulate
        self._taken: tuple[int | None, int | None] = None, None  # images and passes of the last full step
        if writer is not None:
            writer.when_done(self._finish)

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
        if hasattr(optimizers.within(optimizer), "optimizers"):
            raise UsageError("a MultiOptimizer has a rate for each of its optimizers, which is not watched; give one")
        return optimizer

    def average(self, average: Any) -> None:
        """Record this average of the weights too, which the loop keeps itself: as it is when the next step begins.

        average: a model of the same weights, a list of arrays or variables in the order of `model.weights` (or of
        `model.trainable_weights`), a function that gives one, or a `tf.train.ExponentialMovingAverage`. That of an
        optimizer with `use_ema` is recorded without.
        UsageError: it is something else.
        """
        if self._writer is not None:
            self._average = averages.checked(average, self._watched)

    # -- fit

    def on_train_begin(self, logs: Any = None) -> None:
        if self._writer is None:
            return
        if getattr(self._watched, "steps_per_execution", 1) != 1:
            raise UsageError("steps_per_execution is more than 1: steps within one cannot be watched; compile with 1")
        self._begin_counting()
        batches = (self.params or {}).get("steps") or 0
        steps, rest = divmod(batches, self._accumulated)
        self._writer.expect(None if rest else steps or None)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self._writer is None or self._writer.closed:
            return
        self._finish()
        if self._writer.closed:
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
        if self._writer is not None:
            self._begin_counting()
        if self._writer is not None and stateless.is_stateless():
            raise UsageError(
                "a step of one's own in Keras on JAX is a function of state that it keeps by itself, which cannot be"
                " watched; give the callback to model.fit"
            )

        def watched(*given: Any, **named: Any) -> Any:
            if self._writer is not None and not self._writer.closed:
                self._finish()
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
        """Tell the loss of the last pass, and its labels ([N], or shares of classes [N, K]); gives it."""
        if self._writer is not None and (step := self._open) is not None:
            step.tell(labels=None if labels is None else array_of(labels), loss=float(array_of(loss)))
        return loss

    # -- every step

    def _rate(self) -> float:
        if stateless.is_stateless():
            return stateless.rate(self._watched, self._optimizer)
        return float(array_of(optimizers.within(self._optimizer).learning_rate))

    def _after(self, loss: Any) -> None:
        writer = self._writer
        assert writer is not None
        if writer.sampled and not self._batches:
            if self._network is None:
                self._describe(writer)
            trained = self._watched.trainable_variables
            trained = stateless.trained(self._watched) if stateless.is_stateless() else trained
            weights = np.sqrt(sum(float((array_of(each).astype(float) ** 2).sum()) for each in trained))
            told = {} if loss is None else {"loss": float(loss)}
            writer.sample({"weight norm": float(weights), "learning rate": self._before, **told})
        self._full.close()
        self._batches += 1
        if self._batches < self._accumulated:
            return
        self._batches = 0
        images, passes = self._taken
        self._taken = None, None
        writer.passed(self._before, images, passes)
        if writer.over and self._waiting is None:
            writer.close()

    @property
    def _accumulated(self) -> int:
        """Batches that make a step."""
        return int(optimizers.within(self._optimizer).gradient_accumulation_steps or 1)

    def _begin_counting(self) -> None:
        inner = optimizers.within(self._optimizer)
        self._batches = int(array_of(inner._iterations)) % self._accumulated

    def _finish(self) -> None:
        """The last step, with the average after it; and the recording where that was its last."""
        step, writer, self._waiting = self._waiting, self._writer, None
        if step is None:
            return
        assert writer is not None
        assert self._network is not None
        assert self._described is not None
        if self._average is not None and (held := averages.of_loop(self._average, self._watched, self._network)):
            step.keep("average", held)
        step.finish(self._described)
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
        if self._open is None:
            self._open = self._begun(writer, network)
        step = self._open
        update = Update(self._optimizer, network, step, self._rate)
        last = self._batches + 1 == self._accumulated  # of the batches that make a step
        try:
            with contextlib.ExitStack() as stack:
                if last:
                    stack.enter_context(update.seen())
                if not stateless.is_stateless():  # there the pass is shown apart
                    stack.enter_context(self._pass_hooked())
                yield
        except BaseException:
            self._open = None
            raise
        if last:
            self._open = None
            self._taken = step.images, step.passes
            if update.described is not None:
                self._end(step, network, update)

    def _begun(self, writer: Writer, network: WatchedNetwork) -> OpenStep:
        step = writer.begin()
        step.eager, step.draws = True, {}
        self._used: dict[str, bool] = {}
        step.random["before"] = surroundings.random_states(self._watched)
        step.keep("batchnorm-before", network.buffers())
        return step

    def _end(self, step: OpenStep, network: WatchedNetwork, update: Update) -> None:
        self._described = update.described
        step.norms = network.norm_states(self._used)
        weights = update.weights or network.weights()
        step.keep("after", [*weights, *optimizers.slots(self._optimizer, network), *network.buffers()])
        step.random["after"] = surroundings.random_states(self._watched)
        if self._average is None and (held := averages.of_optimizer(self._optimizer, network)):
            step.keep("average", held)
        self._waiting = step
        if self._average is None:  # else it is updated now
            self._finish()

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
    def _pass_hooked(self) -> Iterator[None]:
        step, network, writer = self._open, self._network, self._writer
        assert step is not None
        assert network is not None
        assert writer is not None
        with contextlib.ExitStack() as stack:
            replace = stack.enter_context
            replace(replaced(self._watched, "compute_loss", losing(step)))
            replace(replaced(self._watched, "call", passing(step)))
            for name, layer, draw in drawing_layers(self._watched):
                replace(replaced(layer, "call", drawing(step, name, layer, draw)))
            for name, layer in network.norms():
                replace(replaced(layer, "call", norming(step, name, layer, self._used)))
            if step.number in writer.layers:
                for part in network.parts:
                    if part.form not in ("depthwise",):
                        replace(replaced(network.owners[part.owner], "call", keeping(step, part.layer.name)))
            yield
