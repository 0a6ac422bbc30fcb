"""Keras on JAX: a step is a function of all state, and the model's variables hold nothing while `fit` runs.

For the time of a full step they are given what the step was given, and what it made of it. The pass itself is traced,
so that its values cannot be seen; the same function is called once more with the same state, random draws included, and
what that gives is thrown away.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras

from isotune.adapters._keras.watching.network import array_of
from isotune.adapters._keras.watching.optimizers import within
from isotune.adapters._keras.watching.replacing import replaced


def is_stateless() -> bool:
    return bool(keras.backend.backend() == "jax")


def hold(model: Any, state: Any) -> None:
    """Give the variables the values of a state: trained, others, optimizer's, metrics'."""
    groups = (
        model.trainable_variables,
        model.non_trainable_variables,
        model.optimizer.variables,
        model.metrics_variables,
    )
    for variables, values in zip(groups, state, strict=True):
        for variable, value in zip(variables, values, strict=True):
            variable._value = value  # assign() would check each, and shapes cannot have changed


def release(model: Any) -> None:
    """As `fit` leaves them: a step may use the memory of what it was given."""
    model._purge_model_variables(
        trainable_variables=True, non_trainable_variables=True, optimizer_variables=True, metrics_variables=True
    )


def rate(model: Any, optimizer: Any) -> float:
    """The learning rate that the next step has, from the state between steps."""
    inner = within(optimizer)
    state = getattr(model, "_jax_state", None)
    if not state or model._jax_state_synced:
        return float(array_of(inner.learning_rate))
    known = [
        (variable, value)
        for variable, value in zip(model.optimizer.variables, state["optimizer_variables"], strict=True)
        if variable is inner._iterations or variable is inner._learning_rate  # a schedule is a function of the first
    ]
    with keras.StatelessScope(state_mapping=known):
        return float(array_of(inner.learning_rate))


def trained(model: Any) -> list[Any]:
    """What the trained variables are worth, between steps too."""
    state = getattr(model, "_jax_state", None)
    if not state or model._jax_state_synced:
        return [variable.value for variable in model.trainable_variables]
    return list(state["trainable_variables"])


@contextlib.contextmanager
def stepping(model: Any, hooks: Callable[[], contextlib.AbstractContextManager[None]]) -> Iterator[None]:
    """`train_step` in which the variables hold the state, and whose pass is shown under `hooks`."""
    standard = type(model).train_step is keras.Model.train_step

    def around(original: Any) -> Any:
        def train_step(state: Any, data: Any) -> Any:
            hold(model, state)
            if standard:
                images, labels, weights = keras.utils.unpack_x_y_sample_weight(data)
                trained, others, slots, metrics = state
                with hooks():
                    model.compute_loss_and_updates(
                        trained, others, metrics, images, labels, weights, training=True, optimizer_variables=slots
                    )
            logs, after = original(state, data)
            hold(model, after)
            return logs, after

        return train_step

    with replaced(model, "train_step", around):
        yield
