"""Keras on JAX: jitted pure functions over the variables' values.

Each number of images is compiled anew (a short last batch once more). The training step takes and gives back the
variables' buffers (donated, so memory does not grow) and is entered into the Keras variables after each step.
float64 needs JAX's x64 mode, which the numeric mode of the model switches on around every call.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import jax
import keras
import numpy as np

from isotune.adapters._keras.network import mean_of, parted, with_losses

Array = np.ndarray
Loss = Callable[[Any, Any], Any]  # (logits, labels) -> scalar


class JaxEngine:
    """Runs a `Network`; see `KerasModel` for what each method gives."""

    def __init__(self, network: Any, size: tuple[int, int], compiled: bool) -> None:
        self.network = network  # always compiled by XLA
        self._infer = jax.jit(self._forward)

    def _forward(self, values: list[Any], images: Any) -> Any:
        # all variables in one fixed order: what is trainable may change between calls
        with keras.StatelessScope(state_mapping=list(zip(self.network.variables, values, strict=True))):
            return self.network(images, training=False)

    def infer(self, images: Array) -> tuple[Array, Array]:
        features, logits = self._infer([variable.value for variable in self.network.variables], images)
        return np.asarray(features), np.asarray(logits)

    def _differentiator(self, loss: Loss, training: bool) -> Callable[..., Any]:
        def value(trained: list[Any], others: list[Any], images: Any, labels: Any, mask: Any, branches: Any) -> Any:
            masks = {"feature_mask": mask, "branch_masks": branches}
            (_, logits), others, added = self.network.stateless_call(
                trained, others, images, training=training, return_losses=True, **masks
            )
            return with_losses(loss(logits, labels), added), others

        return jax.value_and_grad(value, has_aux=True)

    def make_gradients(self, loss: Loss) -> Callable[[Array, Array], tuple[Any, list[Any]]]:
        differentiate = jax.jit(self._differentiator(loss, True))
        trained, others = self.network.trainable_variables, self.network.non_trainable_variables

        def gradients(images: Array, labels: Array) -> tuple[Any, list[Any]]:
            values = [variable.value for variable in trained], [variable.value for variable in others]
            (value, _), gradients = differentiate(*values, images, labels, None, None)
            return value, gradients

        return gradients

    def make_step(
        self, optimizer: Any, loss: Loss, training: bool, parts: int
    ) -> Callable[[Array, Array, float, Array | None, Array | None], Any]:
        differentiate = self._differentiator(loss, training)
        trained_variables = self.network.trainable_variables
        other_variables = self.network.non_trainable_variables
        optimizer_variables = optimizer.variables
        rate_index = next(i for i, v in enumerate(optimizer_variables) if v is optimizer.learning_rate)
        rate_dtype = optimizer.learning_rate.dtype

        def train(state: Any, images: Any, labels: Any, rate: Any, mask: Any, branches: Any) -> Any:
            trained, others, slots = state
            slots = [*slots[:rate_index], rate, *slots[rate_index + 1 :]]
            passes = []
            for part in parted(jax.numpy.split, parts, images, labels, mask, branches):
                (value, others), gradients = differentiate(trained, others, *part)
                passes.append((value, gradients))
            value, gradients = mean_of(passes)
            trained, slots = optimizer.stateless_apply(slots, gradients, trained)
            return value, (trained, others, slots)

        compiled = jax.jit(train, donate_argnums=0)
        everything = (trained_variables, other_variables, optimizer_variables)

        def step(images: Array, labels: Array, rate: float, mask: Array | None, branches: Array | None) -> Any:
            state = tuple([variable.value for variable in group] for group in everything)
            value, state = compiled(state, images, labels, np.asarray(rate, rate_dtype), mask, branches)
            for group, values in zip(everything, state, strict=True):
                for variable, new in zip(group, values, strict=True):
                    variable._value = new  # assign() would check and convert each; shapes cannot have changed
            return value

        return step

    def synchronize(self) -> None:
        jax.block_until_ready([variable.value for variable in self.network.variables])  # type: ignore[no-untyped-call]

    def device_memory(self) -> int | None:
        stats = jax.devices()[0].memory_stats()
        return int(stats["peak_bytes_in_use"]) if stats and jax.devices()[0].platform != "cpu" else None


def configure(threads: int | None) -> None:
    """JAX takes all cores that the process may use; there is no supported setting. On an accelerator float32 means
    float32, which is not JAX's default for products."""
    if jax.default_backend() != "cpu":
        jax.config.update("jax_default_matmul_precision", "highest")  # type: ignore[no-untyped-call]


def environment() -> dict[str, str]:
    return {
        "device": jax.devices()[0].device_kind,
        "threads": f"{len(os.sched_getaffinity(0))} cores allowed" if hasattr(os, "sched_getaffinity") else "all",
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "matmul_precision": str(jax.config.jax_default_matmul_precision or "default"),  # type: ignore[attr-defined]
    }
