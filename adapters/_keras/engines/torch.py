"""Keras on PyTorch: eager, or `torch.compile` of the forward pass and loss."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from isotune.adapters._keras.network import adds_losses, mean_of, parted, with_losses
from isotune.adapters._torch.compiler import compiled as compiled_by_shape

Array = np.ndarray
Loss = Callable[[Any, Any], Any]  # (logits, labels) -> scalar


class TorchEngine:
    """Runs a `Network`; see `KerasModel` for what each method gives."""

    def __init__(self, network: Any, size: tuple[int, int], compiled: bool) -> None:
        self.network = network
        self.device = network.variables[0].value.device
        self.adds_losses = adds_losses(network)  # asked once: Keras goes through all layers for them
        self.forward = compiled_by_shape(network) if compiled else network

    def _tensor(self, array: Array) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    def infer(self, images: Array) -> tuple[Array, Array]:
        with torch.no_grad():
            features, logits = self.forward(self._tensor(images), training=False)
        return features.cpu().to(_exact(features)).numpy(), logits.cpu().to(_exact(logits)).numpy()

    def _loss_and_gradients(
        self, images: Array, labels: Array, loss: Loss, training: bool, *masks: Array | None
    ) -> tuple[Any, list[Any]]:
        """masks: of the features, of the branches."""
        given = dict(zip(("feature_mask", "branch_masks"), masks, strict=False))
        tensors = {name: self._tensor(mask) for name, mask in given.items() if mask is not None}
        _, logits = self.forward(self._tensor(images), training=training, **tensors)
        value = loss(logits, self._tensor(labels))
        if self.adds_losses:
            value = with_losses(value, self.network.losses)
        sources = [variable.value for variable in self.network.trainable_variables]
        gradients = torch.autograd.grad(value, sources, allow_unused=True, materialize_grads=True)
        return value.detach(), list(gradients)

    def make_gradients(self, loss: Loss) -> Callable[[Array, Array], tuple[Any, list[Any]]]:
        return lambda images, labels: self._loss_and_gradients(images, labels, loss, True)

    def make_step(
        self, optimizer: Any, loss: Loss, training: bool, parts: int
    ) -> Callable[[Array, Array, float, Array | None, Array | None], Any]:
        variables = self.network.trainable_variables

        def step(images: Array, labels: Array, rate: float, *masks: Array | None) -> Any:
            given = parted(np.split, parts, images, labels, *masks)
            passes = [
                self._loss_and_gradients(some, theirs, loss, training, *masked) for some, theirs, *masked in given
            ]
            value, gradients = mean_of(passes)
            with torch.no_grad():
                optimizer.learning_rate.assign(rate)
                optimizer.apply(gradients, variables)
            return value

        return step

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def device_memory(self) -> int | None:
        return torch.cuda.max_memory_allocated() if self.device.type == "cuda" else None


def _exact(tensor: torch.Tensor) -> torch.dtype:
    """A dtype that NumPy has and that holds the tensor's values."""
    return torch.float32 if tensor.dtype in (torch.bfloat16, torch.float16) else tensor.dtype


def configure(threads: int | None) -> None:
    """The number of threads; and on a GPU float32 means float32, which is not torch's default for convolutions."""
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    if threads is not None:
        torch.set_num_threads(threads)


def environment() -> dict[str, str]:
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": str(torch.get_num_threads()),
        "deterministic": str(torch.are_deterministic_algorithms_enabled()),
        "tf32": str(torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32),
        "omp": os.environ.get("OMP_NUM_THREADS", ""),
    }
