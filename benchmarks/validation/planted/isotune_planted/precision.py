"""Faults of precision: something is computed or kept in fewer bits than the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from isotune.adapters.base import Recipe
from isotune_planted.faults import ANY, SGD, fault, pick
from isotune_planted.normalisation import (
    batch_norm,
    batch_statistics,
    norms,
    per_channel,
    replace_forward,
    scale_and_shift,
)
from isotune_planted.optimizer import changed


@fault("weights", target="weights", models=ANY)
def weights_in_half(weights: dict[str, np.ndarray], draw: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: array.astype(np.float16).astype(array.dtype) for name, array in weights.items()}


@fault("layers")
def pointwise_convolutions_in_float32(model: Any, draw: np.random.Generator) -> None:
    chosen = [m for m in model.net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    for module in chosen or _convolutions(model):
        _narrow(module, torch.float32)


@fault("layers")
def one_convolution_in_bfloat16(model: Any, draw: np.random.Generator) -> None:
    _narrow(pick(draw, _convolutions(model)), torch.bfloat16)


@fault("layers", models=ANY)
def head_in_float32(model: Any, draw: np.random.Generator) -> None:
    _narrow([module for module in model.net.modules() if isinstance(module, nn.Linear)][-1], torch.float32)


@fault("training-mode layers")
def batch_statistics_in_float32(model: Any, draw: np.random.Generator) -> None:
    def forward(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
        if not norm.training:
            return batch_norm(norm, x)
        mean, variance = (value.to(x.dtype) for value in batch_statistics(x.float()))
        batch_norm(norm, x)  # for the running statistics
        return scale_and_shift(norm, (x - per_channel(mean)) / (per_channel(variance) + norm.eps).sqrt())

    replace_forward(model, forward)


@fault("BatchNorm buffers")
def buffers_in_half(model: Any, draw: np.random.Generator) -> None:
    def rounded(norm: nn.BatchNorm2d, _inputs: Any, _output: Tensor) -> None:
        if norm.training:
            for buffer in (norm.running_mean, norm.running_var):
                buffer.data.copy_(buffer.half().to(buffer.dtype))

    for norm in norms(model):
        norm.register_forward_hook(rounded)


@fault("loss", models=ANY)
def loss_in_float32(model: Any, draw: np.random.Generator) -> None:
    def loss(images: Tensor, labels: Tensor, mask: Tensor | None, label_smoothing: float) -> Tensor:
        logits = model.forward(images).float()
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing).to(model.dtype)

    model.loss = loss


@fault("gradients", models=ANY)
def gradients_rounded(model: Any, draw: np.random.Generator) -> None:
    """As when they are sent between devices in fewer bits."""
    dtype = pick(draw, [torch.float16, torch.bfloat16, torch.float32])
    for parameter in model.net.parameters():
        if parameter.requires_grad:
            parameter.register_hook(lambda gradient: gradient.to(dtype).to(gradient.dtype))


@fault("one step", recipes=(*SGD, "adam", "adamw", "rmsprop"), target="trainer")
def slots_in_bfloat16(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, slot_dtype=torch.bfloat16)


@fault("one step", "hyperparameters", recipes=("adam", "adamw", "rmsprop"), target="trainer")
def hyperparameters_in_float32(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, rounding=np.float32)


@fault("scaled input", "numeric_mode", target="declared")
def all_in_float32(draw: np.random.Generator) -> str:
    return "numeric_mode=float32"


def _convolutions(model: Any) -> list[Any]:
    return [module for module in model.net.modules() if isinstance(module, nn.Conv2d)]


def _narrow(module: Any, dtype: torch.dtype) -> None:
    """The module computes in dtype; what comes and goes is as before."""

    def narrowed(x: Tensor) -> Tensor:
        narrow = {name: parameter.to(dtype) for name, parameter in module.named_parameters(recurse=False)}
        if isinstance(module, nn.Linear):
            return functional.linear(x.to(dtype), narrow["weight"], narrow.get("bias")).to(x.dtype)
        return module._conv_forward(x.to(dtype), narrow["weight"], narrow.get("bias")).to(x.dtype)

    module.forward = narrowed
