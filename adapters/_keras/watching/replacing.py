"""Methods of one object that see what passes through them: `around` gets the former one and gives the new."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from isotune.adapters._keras.watching.network import array_of
from isotune.recordings import OpenStep

_IMAGES = 4  # whose layers' outputs are kept


@contextlib.contextmanager
def replaced(owner: Any, name: str, around: Callable[[Any], Any]) -> Iterator[None]:
    """A method of one object replaced by what `around` makes of it. Past `__setattr__`, which Keras uses to track."""
    former = owner.__dict__.get(name)
    owner.__dict__[name] = around(getattr(owner, name))
    try:
        yield
    finally:
        if former is None:
            owner.__dict__.pop(name, None)
        else:
            owner.__dict__[name] = former


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    former = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(former)


def losing(step: OpenStep) -> Any:
    def around(original: Any) -> Any:
        def compute_loss(*given: Any, **named: Any) -> Any:
            loss = original(*given, **named)
            values = dict(zip(("x", "y", "y_pred"), given, strict=False)) | named
            labels = values.get("y")
            array = None if labels is None or isinstance(labels, dict | list | tuple) else array_of(labels)
            step.tell(labels=array, loss=float(array_of(loss)))
            return loss

        return compute_loss

    return around


def passing(step: OpenStep) -> Any:
    def around(original: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            first = given[0] if given else next(iter(named.values()), None)
            step.add_pass(_nhwc(first) if hasattr(first, "shape") else None)
            result: Any = original(*given, **named)
            if hasattr(result, "shape") and len(result.shape) == 2:
                step.output("logits", array_of(_detached(result)))
            return result

        return call

    return around


def norming(step: OpenStep, name: str, layer: Any, used: dict[str, bool]) -> Any:
    def around(original: Any) -> Any:
        def call(inputs: Any, *given: Any, **named: Any) -> Any:
            training = bool(named.get("training", given[0] if given else False)) and layer.trainable
            used[name] = used.get(name, False) or training
            if training:
                values = array_of(_detached(inputs)).astype(np.float64)
                values = np.moveaxis(values, layer.axis, -1).reshape(-1, values.shape[layer.axis])
                step.batch_statistics(name, values.mean(0), values.var(0), len(values))
            return original(inputs, *given, **named)

        return call

    return around


def keeping(step: OpenStep, name: str) -> Any:
    def around(original: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            output = original(*given, **named)
            if hasattr(output, "shape") and step.passes <= 1:
                step.layer(name, _nhwc(output)[:_IMAGES])
            return output

        return call

    return around


def _nhwc(value: Any) -> np.ndarray:
    array = array_of(_detached(value))
    first = keras.config.image_data_format() == "channels_first"
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 and first else array


def _detached(value: Any) -> Any:
    return value.detach() if hasattr(value, "detach") else value
