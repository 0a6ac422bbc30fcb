"""The optimizers' formulas that torch has not, and the step that clips, decays and updates.

In the notation of the protocol (g gradient, w tensor, r learning rate, wd weight decay, t steps from 1):

| name | convention | formula | who |
|---|---|---|---|
| sgd | momentum_form rate-outside | v = m*v + g; w -= r*v, Nesterov w -= r*(g + m*v) | torch/optim/sgd.py |
| sgd | rate-inside | v = m*v + r*g; w -= v, Nesterov w -= m*v + r*g | keras/src/optimizers/sgd.py |
| adam(w) | adam_epsilon after-correction | w -= r/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps) | torch/optim/adam.py |
| adam(w) | before-correction | w -= r*sqrt(1-b2^t)/(1-b1^t) * m / (sqrt(v) + eps) | keras/src/optimizers/adam.py |
| rmsprop | rmsprop_epsilon outside-root | d = g / (sqrt(v) + eps) | torch/optim/rmsprop.py |
| rmsprop | inside-root | d = g / sqrt(v + eps) | keras/src/optimizers/rmsprop.py |
| rmsprop | momentum_form | as sgd's, with d in the gradient's place | both |
| all | weight_decay_form coupled | g += wd*w, after clipping | torch/optim/sgd.py |
| all | decoupled (adamw always) | w *= 1 - r*wd, before the step | torch/optim/adamw.py, keras base_optimizer.py |
| all | in-loss | g += 2*wd*w, before clipping | keras/src/regularizers/regularizers.py, L2 |
| all | decoupled-unscaled | w *= 1 - wd, before the step | tensorflow_addons weight_decay_optimizers.py |

Keras writes the velocity with the opposite sign; here it is what is subtracted. Clipping comes first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class _Formula(torch.optim.Optimizer):
    """Gathers a group's tensors, gradients (with the coupled decay) and slots, and hands them to `update`."""

    slot_names: tuple[str, ...]

    def __init__(self, groups: Iterable[dict[str, Any]], **defaults: Any) -> None:
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0, **defaults})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            tensors = [tensor for tensor in group["params"] if tensor.grad is not None]
            if not tensors:
                continue
            gradients: Any = [tensor.grad for tensor in tensors]
            if group["weight_decay"]:
                gradients = torch._foreach_add(gradients, tensors, alpha=group["weight_decay"])
            slots = [[self._slot(tensor, name) for tensor in tensors] for name in self.slot_names]
            group["steps"] = group.get("steps", 0) + 1
            self.update(group, tensors, gradients, *slots)

    def _slot(self, tensor: Tensor, name: str) -> Tensor:
        state = self.state[tensor]
        if name not in state:
            state[name] = torch.zeros_like(tensor, memory_format=torch.preserve_format)
        slot: Tensor = state[name]
        return slot

    def update(self, group: dict[str, Any], tensors: Any, gradients: Any, *slots: Any) -> None:
        raise NotImplementedError


class RateInsideSGD(_Formula):
    """SGD whose velocity holds the learning rate (Keras): a changed rate acts on new gradients only."""

    slot_names = ("momentum_buffer",)

    def update(self, group: dict[str, Any], tensors: Any, gradients: Any, *slots: Any) -> None:
        (velocities,) = slots
        _carry(velocities, group["momentum"], gradients, group["lr"])
        if group["nesterov"]:
            torch._foreach_add_(tensors, velocities, alpha=-group["momentum"])
            torch._foreach_add_(tensors, gradients, alpha=-group["lr"])
        else:
            torch._foreach_add_(tensors, velocities, alpha=-1)


class EpsilonBeforeCorrectionAdam(_Formula):
    """Adam with epsilon beside sqrt(v), before the bias correction (Keras; "epsilon hat" of Kingma and Ba 2015)."""

    slot_names = ("exp_avg", "exp_avg_sq")

    def update(self, group: dict[str, Any], tensors: Any, gradients: Any, *slots: Any) -> None:
        first, second = slots
        beta1, beta2 = group["betas"]
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        scale = torch._foreach_sqrt(second)
        torch._foreach_add_(scale, group["eps"])
        rate = group["lr"] * (1 - beta2 ** group["steps"]) ** 0.5 / (1 - beta1 ** group["steps"])
        torch._foreach_addcdiv_(tensors, first, scale, -rate)


class VariantRMSprop(_Formula):
    """RMSprop with epsilon inside the root, or the learning rate inside the velocity (Keras), or both."""

    @property
    def slot_names(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("square_avg", "momentum_buffer") if self.defaults["momentum"] else ("square_avg",)

    def update(self, group: dict[str, Any], tensors: Any, gradients: Any, *slots: Any) -> None:
        squares = slots[0]
        torch._foreach_mul_(squares, group["alpha"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["alpha"])
        if group["inside_root"]:
            scale = torch._foreach_add(squares, group["eps"])
            torch._foreach_sqrt_(scale)
        else:
            scale = torch._foreach_sqrt(squares)
            torch._foreach_add_(scale, group["eps"])
        steps = torch._foreach_div(gradients, scale)
        rate = group["lr"]
        if group["momentum"]:
            velocities = slots[1]
            _carry(velocities, group["momentum"], steps, rate if group["rate_inside"] else 1.0)
            steps, rate = velocities, 1.0 if group["rate_inside"] else rate
        torch._foreach_add_(tensors, steps, alpha=-rate)


def _carry(velocities: Any, momentum: float, steps: Any, rate: float) -> None:
    """v = momentum*v + rate*step, in place."""
    torch._foreach_mul_(velocities, momentum)
    torch._foreach_add_(velocities, steps, alpha=rate)
