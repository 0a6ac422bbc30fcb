"""Faults of BatchNorm: what normalises, what is kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from isotune.adapters.base import Recipe
from isotune_planted.faults import USUAL, fault, pick
from isotune_planted.normalisation import (
    batch_norm,
    batch_statistics,
    norms,
    per_channel,
    replace_forward,
    scale_and_shift,
)


@fault("layers", "batchnorm_epsilon", models=(*USUAL, "resnet50"))
def epsilon_changed(model: Any, draw: np.random.Generator) -> None:
    epsilon = pick(draw, [2e-3, 1e-4, 1e-6])
    for norm in norms(model):
        norm.eps = epsilon


@fault("layers")
def one_epsilon_changed(model: Any, draw: np.random.Generator) -> None:
    pick(draw, norms(model)).eps = 1e-3


@fault("layers")
def epsilon_outside_the_root(model: Any, draw: np.random.Generator) -> None:
    def forward(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
        mean, variance = batch_statistics(x) if norm.training else (norm.running_mean, norm.running_var)
        return scale_and_shift(norm, (x - per_channel(mean)) / (per_channel(variance).sqrt() + norm.eps))

    replace_forward(model, forward)


@fault("layers")
def scale_forgotten(model: Any, draw: np.random.Generator) -> None:
    """One norm only shifts."""
    chosen = pick(draw, norms(model))
    chosen.register_forward_hook(
        lambda norm, _inputs, output: (
            (output - per_channel(norm.bias)) / per_channel(norm.weight) + per_channel(norm.bias)
        )
    )


@fault("weights", target="weights")
def scale_and_variance_exchanged(weights: dict[str, np.ndarray], draw: np.random.Generator) -> dict[str, np.ndarray]:
    names = sorted(name.removesuffix(".variance") for name in weights if name.endswith(".norm.variance"))
    if names:
        scale, variance = (f"{names[len(names) // 2]}.{slot}" for slot in ("scale", "variance"))
        weights[scale], weights[variance] = weights[variance], weights[scale]
    return weights


@fault("training-mode layers")
def running_statistics_in_training(model: Any, draw: np.random.Generator) -> None:
    for norm in norms(model):
        norm.eval().train = _stays  # type: ignore[method-assign]


@fault("training-mode layers")
def ghost_batches(model: Any, draw: np.random.Generator) -> None:
    """Either half of the batch is normalised by itself, as on two devices without synchronisation."""

    def forward(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
        if not norm.training:
            return batch_norm(norm, x)
        return torch.cat([batch_norm(norm, half) for half in x.chunk(2)])

    replace_forward(model, forward)


@fault("training-mode layers")
def normalised_by_the_unbiased_variance(model: Any, draw: np.random.Generator) -> None:
    def forward(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
        if not norm.training:
            return batch_norm(norm, x)
        mean, variance = batch_statistics(x)
        count = x.numel() / x.shape[1]
        batch_norm(norm, x)  # for the running statistics
        unbiased = variance * count / (count - 1)
        return scale_and_shift(norm, (x - per_channel(mean)) / (per_channel(unbiased) + norm.eps).sqrt())

    replace_forward(model, forward)


@fault("BatchNorm buffers", "batchnorm_momentum")
def momentum_changed(model: Any, draw: np.random.Generator) -> None:
    """Among others Keras's 0.9 in the place of torch's 0.1."""
    momentum = pick(draw, [0.9, 0.05, 0.01, 0.001])
    for norm in norms(model):
        norm.momentum = momentum


@fault("BatchNorm buffers", "batchnorm_running_variance")
def biased_variance_kept(model: Any, draw: np.random.Generator) -> None:
    def forward(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
        if not norm.training:
            return batch_norm(norm, x)
        mean, variance = batch_statistics(x)
        with torch.no_grad():
            for buffer, new in ((norm.running_mean, mean), (norm.running_var, variance)):
                buffer.mul_(1 - norm.momentum).add_(new, alpha=norm.momentum)
        return scale_and_shift(norm, (x - per_channel(mean)) / (per_channel(variance) + norm.eps).sqrt())

    replace_forward(model, forward)


@fault("BatchNorm buffers", "frozen_batchnorm", recipes=("frozen",), target="trainer")
def frozen_norms_updated(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    """torch's `requires_grad = False` without `eval()`."""
    trainer._still_norms = []


@fault("BatchNorm buffers", "batchnorm_momentum")
def buffers_never_updated(model: Any, draw: np.random.Generator) -> None:
    for norm in norms(model):
        norm.momentum = 0.0


@fault("BatchNorm buffers")
def buffers_updated_twice(model: Any, draw: np.random.Generator) -> None:
    """As when the forward pass runs a second time, for a metric."""

    def again(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        if norm.training:
            with torch.no_grad():
                batch_norm(norm, inputs[0])

    for norm in norms(model):
        norm.register_forward_hook(again)


@fault("BatchNorm buffers")
def deviation_kept_for_variance(model: Any, draw: np.random.Generator) -> None:
    def forward(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
        before = norm.running_var.clone()
        output = batch_norm(norm, x)
        if norm.training:
            with torch.no_grad():
                new = (norm.running_var - (1 - norm.momentum) * before) / norm.momentum
                norm.running_var.data.copy_((1 - norm.momentum) * before + norm.momentum * new.sqrt())
        return output

    replace_forward(model, forward)


def _stays(_mode: bool = True) -> None:
    """A `train` that does nothing."""
