"""Keras on TensorFlow: one traced graph for inference, one for gradients, one for a training step.

In float64, the mode of proofs, the step is cut in two: tracing a large network takes far longer than running it a
few times at a small size, and so one graph of gradients serves every loss and optimizer, which then runs eagerly.

Graphs take any number of images (the batch dimension is None in their signatures), so a short last batch traces
nothing anew. With `compiled`, XLA compiles them, once for each batch size that occurs.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import tensorflow as tf

from isotune.adapters._keras.axes.loss import Loss
from isotune.adapters._keras.network import mean_of, parted, with_losses

Array = np.ndarray


class TensorFlowEngine:
    """Runs a `Network`; see `KerasModel` for what each method gives."""

    def __init__(self, network: Any, size: tuple[int, int], compiled: bool) -> None:
        self.network = network
        self.compile = {"jit_compile": True} if compiled else {}
        self.images = tf.TensorSpec((None, *size, 3), tf.uint8, "images")
        self.labels = tf.TensorSpec((None,), tf.int64, "labels")
        self._infer = self._graph(lambda images: network(images, training=False), self.images)
        self._graphs: dict[tuple[Any, ...], Any] = {}  # of gradients, by loss, mode and what is trained

    def _graph(self, function: Callable[..., Any], *signature: tf.TensorSpec) -> Any:
        return tf.function(function, input_signature=signature, autograph=False, **self.compile)

    def infer(self, images: Array) -> tuple[Array, Array]:
        features, logits = self._infer(tf.constant(images))
        return features.numpy(), logits.numpy()

    def make_gradients(self, loss: Loss) -> Callable[[Array, Array], tuple[Any, list[Any]]]:
        differentiate = self._gradients(loss, True)
        return lambda images, labels: differentiate(tf.constant(images), tf.constant(labels), {})

    def _gradients(
        self,
        loss: Loss,
        training: bool,
        pixels: str = "uint8",
        classes: int | None = None,
        masked: tuple[str, ...] = (),
    ) -> Callable[[Any, Any, dict[str, Any]], tuple[Any, list[Any]]]:
        """(images, labels, masks) to the loss and its gradients; what is given: as `_given` takes it."""
        variables = self.network.trainable_variables
        dtype = tf.as_dtype(variables[0].dtype)
        key = (loss.form, training, pixels, classes, masked, *map(id, variables))
        if key not in self._graphs:

            def compute(images: Any, labels: Any, masks: dict[str, Any], smoothing: Any) -> Any:
                smoothed = functools.partial(loss, smoothing=smoothing)
                return self._differentiate(variables, images, labels, smoothed, training, **masks)

            given = self._given(dtype, pixels, classes, masked)
            self._graphs[key] = self._graph(compute, *given, tf.TensorSpec((), dtype, "smoothing"))
        return functools.partial(self._graphs[key], smoothing=tf.constant(loss.smoothing, dtype))

    def _given(self, dtype: tf.DType, pixels: str, classes: int | None, masked: tuple[str, ...]) -> tuple[Any, ...]:
        """What a graph of training is given: images, labels, masks. classes: of targets; None: labels."""
        images = tf.TensorSpec(self.images.shape, pixels, "images")
        labels = self.labels if classes is None else tf.TensorSpec((None, classes), dtype, "targets")
        # the masks have the features' dtype, whatever NumPy's is
        return images, labels, {name: tf.TensorSpec((None, None), dtype, name) for name in masked}

    def _differentiate(
        self,
        variables: list[Any],
        images: Any,
        labels: Any,
        loss: Callable[[Any, Any], Any],
        training: bool,
        **masks: Any,
    ) -> tuple[Any, Any]:
        """masks: as `Network.call` takes them."""
        values = [variable.value for variable in variables]
        # watching only what is trained keeps the backward pass out of a frozen beginning
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            value = loss(self.network(images, training=training, **masks)[1], labels)
            value = with_losses(value, self.network.losses)
        gradients = tape.gradient(value, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return value, gradients

    def make_step(
        self, optimizer: Any, loss: Loss, training: bool, parts: int
    ) -> Callable[[Array, Array, float, Array | None, Array | None], Any]:
        variables = self.network.trainable_variables
        dtype = tf.as_dtype(optimizer.learning_rate.dtype)

        def apply(passes: list[Any], rate: Any) -> Any:
            value, gradients = mean_of(passes)
            optimizer.learning_rate.assign(rate)
            optimizer.apply(gradients, variables)
            return value

        def train(images: Any, labels: Any, masks: dict[str, Any], rate: Any) -> Any:
            return apply(
                [
                    self._differentiate(variables, some, theirs, loss, training, **masked)
                    for some, theirs, masked in _parted(parts, images, labels, masks)
                ],
                rate,
            )

        @functools.cache
        def graph(*form: Any) -> Any:
            return self._graph(train, *self._given(dtype, *form), tf.TensorSpec((), dtype, "learning_rate"))

        def step(images: Array, labels: Array, rate: float, mask: Array | None, branches: Array | None) -> Any:
            several = {"feature_mask": mask, "branch_masks": branches}
            masks = {name: tf.constant(each, dtype) for name, each in several.items() if each is not None}
            classes = labels.shape[1] if labels.ndim == 2 else None
            form = images.dtype.name, classes, tuple(masks)
            given = tf.constant(images), tf.constant(labels, tf.int64 if classes is None else dtype), masks
            if dtype == tf.float64 and not self.compile:
                differentiate = self._gradients(loss, training, *form)
                return apply([differentiate(*part) for part in _parted(parts, *given)], rate)
            return graph(*form)(*given, tf.constant(rate, dtype))

        return step

    def synchronize(self) -> None:
        if tf.config.list_logical_devices("GPU"):
            tf.test.experimental.sync_devices()

    def device_memory(self) -> int | None:
        if not tf.config.list_logical_devices("GPU"):
            return None
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def _parted(parts: int, images: Any, labels: Any, masks: dict[str, Any]) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    for some, theirs, *masked in parted(tf.split, parts, images, labels, *masks.values()):
        yield some, theirs, dict(zip(masks, masked, strict=True))


def configure(threads: int | None) -> None:
    """Set the number of threads, before TensorFlow's runtime starts; afterwards it stays as it is, and
    `environment` says what it is. On a GPU float32 means float32, which is not TensorFlow's default."""
    if tf.config.list_physical_devices("GPU"):
        tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.get_logger().setLevel("ERROR")  # it warns when one process traces many models, which is a worker's work
    if threads is not None:
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(threads)


def environment() -> dict[str, str]:
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name) for gpu in gpus]
    return {
        "device": ", ".join(details) or "cpu",
        "threads": f"intra {tf.config.threading.get_intra_op_parallelism_threads() or 'all'},"
        f" inter {tf.config.threading.get_inter_op_parallelism_threads() or 'all'}",
        "xla_auto_clustering": tf.config.optimizer.get_jit() or "off",
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "tf32": str(tf.config.experimental.tensor_float_32_execution_enabled()),
    }
