"""Averages of the weights: the optimizer's own (`use_ema`), and one that a loop keeps beside.

BatchNorm's statistics, and whatever else an average does not hold, are the model's own beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from isotune.adapters._keras.watching.network import WatchedNetwork
from isotune.adapters._keras.watching.optimizers import within
from isotune.errors import UsageError
from isotune.recordings import Streamed


def of_optimizer(optimizer: Any, network: WatchedNetwork) -> list[Streamed]:
    """The averages that an optimizer keeps of the variables that it steps; none where it keeps none."""
    inner = within(optimizer)
    if not inner.use_ema or not inner.built:
        return []
    pairs = zip(inner._trainable_variables, inner._model_variables_moving_average, strict=True)
    return _streamed([(variable, average) for variable, average in pairs if average is not None], network)


def of_loop(average: Any, model: Any, network: WatchedNetwork) -> list[Streamed]:
    """What `checked` took, as it is now; none where it holds nothing yet."""
    if hasattr(average, "average"):  # tf.train.ExponentialMovingAverage, whose averages come with its first update
        held = [(each, average.average(each.value)) for each in model.weights]
        return _streamed([(variable, value) for variable, value in held if value is not None], network)
    return _streamed(_paired(average() if callable(average) else average, model), network)


def checked(average: Any, model: Any) -> Any:
    """An average that a loop keeps, as `of_loop` reads it: a model of the same weights, an object with `average`, a
    list of arrays or variables, a function that gives one. UsageError: it is none of these."""
    if isinstance(average, keras.Model):
        _paired(average.weights, model)
        return lambda: average.weights
    if not callable(getattr(average, "average", None)) and not callable(average):
        _paired(average, model)
    return average


def _paired(values: Any, model: Any) -> list[tuple[Any, Any]]:
    """(variable, value), in the order of `model.weights`, or of `model.trainable_weights` where there are as many."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise UsageError(
            "average(average): give a model of the same weights, a list of arrays in the order of model.weights, a"
            " function that gives one, or tf.train.ExponentialMovingAverage"
        )
    for variables in (model.weights, model.trainable_weights):
        if [tuple(variable.shape) for variable in variables] == [tuple(np.shape(value)) for value in values]:
            return list(zip(variables, values, strict=True))
    raise UsageError(
        f"average(average): its {len(values)} arrays are not of the shapes of the model's {len(model.weights)} weights,"
        f" nor of the {len(model.trainable_weights)} that are trained"
    )


def _streamed(pairs: list[tuple[Any, Any]], network: WatchedNetwork) -> list[Streamed]:
    named = [(network.by_variable.get(id(variable)), value) for variable, value in pairs]
    averages = [network.streamed(name, value) for name, value in named if name]
    if not averages:
        return []
    held = {each.name for each in averages}
    return [*averages, *(each for each in network.buffers() if each.name not in held)]
