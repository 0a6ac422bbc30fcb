"""A protocol's optimizers written a second time, tensor by tensor, so that each of their details can be changed.

Under the conventions asked for, these are the adapter's optimizers (`planted:MODEL:fault=rewritten` is sound); a
fault is one keyword.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isotune.conventions import Conventions


class Plain:
    """In the place of a trainer's updater: `step(learning_rate)` and `slots(tensor)`.

    changed: what differs from the protocol and its conventions, by the names of __init__'s arguments.
    """

    def __init__(self, trainer: Any, recipe: Any, conventions: Conventions, **changed: Any) -> None:
        spec = recipe.optimizer
        self.tensors = [(slot.tensor, slot.kind) for slot in trainer._trained]
        self.name, self.clip_norm = spec.name, spec.clip_norm
        self.weight_decay = spec.weight_decay
        self.in_loss = conventions.weight_decay_form == "in-loss" and spec.name != "adamw"
        self.decay_rate: float | None = 1.0 if conventions.weight_decay_form == "decoupled-unscaled" else None
        self.decoupled = (
            self.decay_rate is not None or conventions.weight_decay_form == "decoupled" or spec.name == "adamw"
        )
        self.only_kernels = conventions.weight_decay_on == "kernels"
        self.clip_each = conventions.clipping == "per-variable"
        self.clip_value = None
        self.momentum, self.nesterov = getattr(spec, "momentum", 0.0), getattr(spec, "nesterov", False)
        self.rate_inside = conventions.momentum_form == "rate-inside"
        self.dampening = 0.0
        self.beta1, self.beta2 = getattr(spec, "beta1", 0.0), getattr(spec, "beta2", 0.0)
        self.rho, self.epsilon = getattr(spec, "rho", 0.0), getattr(spec, "epsilon", 0.0)
        self.epsilon_before = conventions.adam_epsilon == "before-correction"
        self.inside_root = conventions.rmsprop_epsilon == "inside-root"
        self.corrected = True
        self.rounding = np.float32 if conventions.hyperparameters == "float32" else np.float64
        self.slot_dtype: torch.dtype | None = None
        self.rate_factor = 1.0
        self.keeps_first_rate = False
        for name, value in changed.items():
            assert hasattr(self, name), name
            setattr(self, name, value)
        for name in ("weight_decay", "momentum", "beta1", "beta2", "rho"):
            setattr(self, name, float(self.rounding(getattr(self, name))))
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self.steps = 0
        self.first_rate: float | None = None

    def slots(self, tensor: Tensor) -> dict[str, Tensor]:
        return self.state.get(tensor, {})

    @torch.no_grad()
    def penalty(self) -> Tensor | None:
        """What decay adds to the loss."""
        if not self.in_loss:
            return None
        decaying = (tensor for tensor, kind in self.tensors if kind == "kernel" or not self.only_kernels)
        return self.weight_decay * sum(tensor.square().sum() for tensor in decaying)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        self.steps += 1
        self.first_rate = learning_rate if self.first_rate is None else self.first_rate
        rate = self.rate_factor * (self.first_rate if self.keeps_first_rate else learning_rate)
        with_gradients = [(tensor, kind, tensor.grad) for tensor, kind in self.tensors if tensor.grad is not None]
        decays = [0.0 if self.only_kernels and kind != "kernel" else self.weight_decay for _, kind, _ in with_gradients]
        if self.in_loss:
            for (tensor, _, gradient), decay in zip(with_gradients, decays, strict=True):
                gradient.add_(2 * decay * tensor)
        self._clip([gradient for *_, gradient in with_gradients])
        for (tensor, _, gradient), decay in zip(with_gradients, decays, strict=True):
            if decay and self.decoupled:
                tensor.mul_(1 - (rate if self.decay_rate is None else self.decay_rate) * decay)
            elif decay and not self.in_loss:
                gradient = gradient + decay * tensor  # noqa: PLW2901
            self._update(tensor, gradient, self.state.setdefault(tensor, {}), rate)

    def _clip(self, gradients: list[Tensor]) -> None:
        if self.clip_value is not None:
            for gradient in gradients:
                gradient.clamp_(-self.clip_value, self.clip_value)
        if self.clip_norm is None:
            return
        norms = [float(gradient.pow(2).sum()) for gradient in gradients]
        for gradient, own in zip(gradients, norms, strict=True):
            norm = math.sqrt(own if self.clip_each else sum(norms))
            if norm > self.clip_norm:
                gradient.mul_(self.clip_norm / norm)

    def _update(self, tensor: Tensor, gradient: Tensor, state: dict[str, Tensor], rate: float) -> None:
        if self.name == "sgd":
            self._move(tensor, gradient, state, rate)
        elif self.name == "rmsprop":
            second = self._average(state, "second_moment", gradient**2, self.rho)
            root = (second + self.epsilon).sqrt() if self.inside_root else second.sqrt() + self.epsilon
            self._move(tensor, gradient / root, state, rate)
        else:
            first = self._average(state, "first_moment", gradient, self.beta1)
            second = self._average(state, "second_moment", gradient**2, self.beta2)
            one, two = (1 - beta**self.steps if self.corrected else 1.0 for beta in (self.beta1, self.beta2))
            if self.epsilon_before:
                tensor.sub_(rate * math.sqrt(two) / one * first / (second.sqrt() + self.epsilon))
            else:
                tensor.sub_(rate / one * first / ((second / two).sqrt() + self.epsilon))

    def _move(self, tensor: Tensor, direction: Tensor, state: dict[str, Tensor], rate: float) -> None:
        if not self.momentum:
            tensor.sub_(rate * direction)
            return
        new = direction * rate if self.rate_inside else direction
        old = state.get("velocity")
        velocity = new if old is None else self.momentum * old + (1 - self.dampening) * new
        state["velocity"] = velocity = self._kept(velocity.clone())
        move = new + self.momentum * velocity if self.nesterov else velocity
        tensor.sub_(move if self.rate_inside else rate * move)

    def _average(self, state: dict[str, Tensor], name: str, new: Tensor, share: float) -> Tensor:
        old = state.get(name)
        state[name] = self._kept((1 - share) * new + (0 if old is None else share * old))
        return state[name]

    def _kept(self, slot: Tensor) -> Tensor:
        return slot if self.slot_dtype is None else slot.to(self.slot_dtype).to(slot.dtype)
