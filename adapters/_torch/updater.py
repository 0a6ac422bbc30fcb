"""What a trainer does with gradients: clips, decays and steps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from isotune.adapters._torch.axes.clipping import clipper
from isotune.adapters._torch.axes.decay import in_loss, is_decoupled, shrinking
from isotune.adapters._torch.axes.optimizers import held, make_optimizer
from isotune.adapters._torch.compiler import without_compiler
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

    decayed, other: tensors that weight decay acts on, and those that it leaves alone. scaler: by which the loss was
    multiplied; gradients are divided by it before they are clipped, and where one is not finite, nothing is changed.
    """

    def __init__(
        self,
        spec: Optimizer,
        conventions: Conventions,
        decayed: list[Tensor],
        other: list[Tensor],
        *,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        self._scaler, self._asked, self._taken = scaler, 0, 0
        self._clip_norm = spec.clip_norm
        self._clip = clipper(conventions.clipping)
        self._decayed, self._tensors = decayed, [*decayed, *other]
        decay = held(spec.weight_decay, conventions)
        self._decoupled_decay = decay if is_decoupled(spec, conventions) else 0.0
        self._penalty = decay if in_loss(spec, conventions) else 0.0
        self._conventions = conventions
        beside = self._decoupled_decay or self._penalty
        groups = [
            {"params": tensors, "weight_decay": 0.0 if beside or not decays else decay}
            for tensors, decays in ((decayed, True), (other, False))
            if tensors
        ]
        with without_compiler():
            self.optimizer = make_optimizer(spec, conventions, groups)
        self.optimizer.register_step_pre_hook(self._before_update)

    @property
    def skipped(self) -> int:
        """Steps that the scaler left out."""
        return self._asked - self._taken

    def penalty(self) -> Tensor | None:
        """What weight decay adds to the loss, before the step; None: nothing."""
        if not self._penalty:
            return None
        with torch.no_grad():
            return self._penalty * sum(tensor.square().sum() for tensor in self._decaying())  # type: ignore[return-value]

    def _decaying(self) -> list[Tensor]:
        return [tensor for tensor in self._decayed if tensor.grad is not None]

    def step(self, learning_rate: float) -> None:
        """One step from the gradients in `.grad`, which clipping changes."""
        self._asked += 1
        if self._scaler is not None:
            self._scaler.unscale_(self.optimizer)
        if self._penalty:
            with torch.no_grad():
                decaying = self._decaying()
                gradients: Any = [tensor.grad for tensor in decaying]
                torch._foreach_add_(gradients, decaying, alpha=2 * self._penalty)
        if self._clip_norm is not None:
            self._clip([tensor.grad for tensor in self._tensors if tensor.grad is not None], self._clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        with without_compiler():
            if self._scaler is None:
                self.optimizer.step()
            else:
                self._scaler.step(self.optimizer)
                self._scaler.update()

    def _before_update(self, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """What belongs to a step that is taken, and not to one that is skipped."""
        self._taken += 1
        if self._decoupled_decay:
            with torch.no_grad():
                rate = optimizer.param_groups[0]["lr"]
                torch._foreach_mul_(self._decaying(), 1 - shrinking(self._decoupled_decay, rate, self._conventions))

    def slots(self, tensor: Tensor) -> dict[str, Tensor]:
        """The optimizer's state of one tensor under the literature's names; empty before the first step."""
        state = self.optimizer.state.get(tensor, {})
        return {SLOTS[name]: value for name, value in state.items() if name in SLOTS and value is not None}
