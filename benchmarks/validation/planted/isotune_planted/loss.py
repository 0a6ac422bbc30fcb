"""Faults of the loss, and of the gradients that it gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from isotune_planted.faults import fault, pick

Loss = Callable[[Tensor, Tensor, float], Tensor]  # (logits, labels, smoothing)


@fault("loss", "label_smoothing")
def smoothing_left_out(model: Any, draw: np.random.Generator) -> None:
    _replace(model, lambda logits, labels, _smoothing: functional.cross_entropy(logits, labels))


@fault("loss")
def smoothing_doubled(model: Any, draw: np.random.Generator) -> None:
    _replace(model, lambda logits, labels, amount: functional.cross_entropy(logits, labels, label_smoothing=2 * amount))


@fault("loss")
def smoothing_over_other_classes(model: Any, draw: np.random.Generator) -> None:
    """The target keeps 1 - a, the others share a: the definition of several textbooks, not that of the libraries."""

    def loss(logits: Tensor, labels: Tensor, amount: float) -> Tensor:
        classes = logits.shape[1]
        target = torch.full_like(logits, amount / (classes - 1)).scatter(1, labels[:, None], 1 - amount)
        return -(target * functional.log_softmax(logits, 1)).sum(1).mean()

    _replace(model, loss)


@fault("loss")
def summed_over_the_batch(model: Any, draw: np.random.Generator) -> None:
    _replace(model, lambda *given: _usual(*given) * len(given[1]))


@fault("loss")
def labels_off_by_one(model: Any, draw: np.random.Generator) -> None:
    _replace(model, lambda logits, labels, amount: _usual(logits, (labels + 1) % logits.shape[1], amount))


@fault("loss")
def logits_with_a_temperature(model: Any, draw: np.random.Generator) -> None:
    temperature = pick(draw, [0.5, 0.9, 2.0])
    _replace(model, lambda logits, labels, amount: _usual(logits / temperature, labels, amount))


@fault("loss")
def softmax_twice(model: Any, draw: np.random.Generator) -> None:
    """Probabilities where logits are expected."""
    _replace(model, lambda logits, labels, amount: _usual(logits.softmax(1), labels, amount))


@fault("loss")
def first_image_not_counted(model: Any, draw: np.random.Generator) -> None:
    _replace(model, lambda logits, labels, amount: _usual(logits[1:], labels[1:], amount))


@fault("gradients")
def gradients_halved(model: Any, draw: np.random.Generator) -> None:
    """Divided by a number of accumulated steps that is not there."""
    _gradients(model, lambda gradient: gradient / 2)


@fault("gradients")
def gradients_saturate(model: Any, draw: np.random.Generator) -> None:
    """What is large is cut off, element by element, in backward."""
    _gradients(model, lambda gradient: gradient.clamp(-1e-3, 1e-3))


def _gradients(model: Any, change: Callable[[Tensor], Tensor]) -> None:
    for parameter in model.net.parameters():
        if parameter.requires_grad:
            parameter.register_hook(change)


def _usual(logits: Tensor, labels: Tensor, amount: float) -> Tensor:
    return functional.cross_entropy(logits, labels, label_smoothing=amount)


def _replace(model: Any, loss: Loss) -> None:
    def whole(images: Tensor, labels: Tensor, mask: Tensor | None, label_smoothing: float) -> Tensor:
        assert mask is None
        return loss(model.forward(images), labels, label_smoothing)

    model.loss = whole
