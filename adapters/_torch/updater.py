"""What a trainer does with gradients: clips, decays and steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isotune.adapters._torch.axes.clipping import clipper
from isotune.adapters._torch.axes.decay import in_loss, is_decoupled, shrinking
from isotune.adapters._torch.axes.optimizers import held, make_optimizer
from isotune.adapters._torch.compiler import without_compiler
from isotune.adapters._torch.layers import exact
from isotune.adapters.base import Array
from isotune.conventions import Conventions
from isotune.errors import UsageError
from isotune.protocols import Optimizer

# torch's names of the slots, and the literature's
SLOTS = {
    "momentum_buffer": "velocity",
    "exp_avg": "first_moment",
    "exp_avg_sq": "second_moment",
    "square_avg": "second_moment",
}
COUNT = "step"  # a slot that is no array


class Updater:
    """Clips, decays and steps: one optimizer on the tensors it is given.

    decayed, other: tensors that weight decay acts on, and those that it leaves alone. rate_of: by what the learning
    rate of a tensor is multiplied. scaler: by which the loss was multiplied; gradients are divided by it before they
    are clipped, and where one is not finite, nothing is changed.
    """

    def __init__(
        self,
        spec: Optimizer,
        conventions: Conventions,
        decayed: list[Tensor],
        other: list[Tensor],
        *,
        rate_of: Callable[[Tensor], float] = lambda _: 1.0,
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
        groups: dict[tuple[bool, float], list[Tensor]] = {}
        for tensors, decays in ((decayed, True), (other, False)):
            for tensor in tensors:
                groups.setdefault((decays, rate_of(tensor)), []).append(tensor)
        self._rates = [rate for _, rate in groups]
        with without_compiler():
            self.optimizer = make_optimizer(spec, conventions, [
                {"params": tensors, "weight_decay": 0.0 if beside or not decays else decay}
                for (decays, _), tensors in groups.items()
            ])  # fmt: skip
        self._shrinks = [decays for decays, _ in groups]
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
        for group, factor in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = learning_rate * factor
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
                for group, shrinks in zip(optimizer.param_groups, self._shrinks, strict=True):
                    decaying = [tensor for tensor in group["params"] if shrinks and tensor.grad is not None]
                    if decaying:
                        by = shrinking(self._decoupled_decay, group["lr"], self._conventions)
                        torch._foreach_mul_(decaying, 1 - by)

    def snapshot(self) -> dict[str, Array]:
        """Slots by the tensor's number, and counts; as in `Trainer.snapshot`."""
        arrays: dict[str, Array] = {"counts": np.array([self._asked, self._taken])}
        for number, tensor in enumerate(self._tensors):
            for name, value in self.optimizer.state.get(tensor, {}).items():
                if value is not None:
                    arrays[f"{number}/{name}"] = exact(value)
        for number, group in enumerate(self.optimizer.param_groups):
            if "steps" in group:  # of `formulas`; torch counts for every tensor
                arrays[f"steps/{number}"] = np.array(group["steps"])
        if self._scaler is not None:
            arrays["scaling"] = np.array([self._scaler.get_scale(), self._scaler.state_dict()["_growth_tracker"]])
        return arrays

    def check(self, arrays: Mapping[str, Array]) -> None:
        """UsageError: they are not the `snapshot` of one like this."""
        for name, array in arrays.items():
            number, _, slot = name.partition("/")
            if number.isdecimal() and slot != COUNT:
                fits = int(number) < len(self._tensors) and array.shape == tuple(self._tensors[int(number)].shape)
                if not fits:
                    raise UsageError(f"the optimizer has no slot {name} of shape {array.shape}")
        if "counts" not in arrays or ("scaling" in arrays) != (self._scaler is not None):
            raise UsageError("the optimizer counts otherwise")

    def restore(self, arrays: Mapping[str, Array]) -> None:
        """Take up what `check` let pass, before the first step."""
        self._asked, self._taken = map(int, arrays["counts"])
        for name, array in arrays.items():
            number, _, slot = name.partition("/")
            if number.isdecimal():
                value = torch.from_numpy(np.array(array))
                if slot != COUNT:  # in memory as the tensor is; the count stays on the CPU
                    tensor = self._tensors[int(number)].detach()
                    value = torch.empty_like(tensor, dtype=value.dtype).copy_(value)
                self.optimizer.state[self._tensors[int(number)]][slot] = value
            elif number == "steps":
                self.optimizer.param_groups[int(slot)]["steps"] = int(array)
        if self._scaler is not None:
            scale, tracker = arrays["scaling"]
            state = self._scaler.state_dict()
            self._scaler.load_state_dict(state | {"scale": float(scale), "_growth_tracker": int(tracker)})

    def slots(self, tensor: Tensor) -> dict[str, Tensor]:
        """The optimizer's state of one tensor under the literature's names; empty before the first step."""
        state = self.optimizer.state.get(tensor, {})
        return {SLOTS[name]: value for name, value in state.items() if name in SLOTS and value is not None}
