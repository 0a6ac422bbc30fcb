"""What a trainer does with gradients: clips, decays and steps."""

from __future__ import annotations

import torch
from torch import Tensor

from isotune.adapters._torch.axes.clipping import clipper
from isotune.adapters._torch.axes.decay import is_decoupled
from isotune.adapters._torch.axes.optimizers import held, make_optimizer
from isotune.conventions import Conventions
from isotune.protocols import Optimizer

# torch's names of the slots, and the literature's
SLOTS = {
    "momentum_buffer": "velocity",
    "exp_avg": "first_moment",
    "exp_avg_sq": "second_moment",
    "square_avg": "second_moment",
}


class Updater:
    """Clips, decays and steps: one optimizer on the tensors it is given.

    decayed, other: tensors that weight decay acts on, and those that it leaves alone.
    """

    def __init__(self, spec: Optimizer, conventions: Conventions, decayed: list[Tensor], other: list[Tensor]) -> None:
        self._clip_norm = spec.clip_norm
        self._clip = clipper(conventions.clipping)
        self._decayed, self._tensors = decayed, [*decayed, *other]
        decay = held(spec.weight_decay, conventions)
        decoupled = is_decoupled(spec, conventions)
        self._decoupled_decay = decay if decoupled else 0.0
        groups = [
            {"params": tensors, "weight_decay": 0.0 if decoupled or not decays else decay}
            for tensors, decays in ((decayed, True), (other, False))
            if tensors
        ]
        self.optimizer = make_optimizer(spec, conventions, groups)

    def step(self, learning_rate: float) -> None:
        """One step from the gradients in `.grad`, which clipping changes."""
        if self._clip_norm is not None:
            self._clip([tensor.grad for tensor in self._tensors if tensor.grad is not None], self._clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        if self._decoupled_decay:
            with torch.no_grad():
                torch._foreach_mul_(
                    [tensor for tensor in self._decayed if tensor.grad is not None],
                    1 - learning_rate * self._decoupled_decay,
                )
        self.optimizer.step()

    def slots(self, tensor: Tensor) -> dict[str, Tensor]:
        """The optimizer's state of one tensor under the literature's names; empty before the first step."""
        state = self.optimizer.state.get(tensor, {})
        return {SLOTS[name]: value for name, value in state.items() if name in SLOTS and value is not None}
