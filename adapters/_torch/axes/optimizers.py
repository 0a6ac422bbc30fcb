"""The optimizers of a protocol under every convention: which class computes, and how to write it.

Where a convention's value is torch's own, `torch.optim` computes; the rest is in `formulas`, which is torch throughout.
Decay and clipping have modules of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions
from isotune.protocols import SGD, Adam, Optimizer, RMSprop

if TYPE_CHECKING:
    import torch


def held(value: float, conventions: Conventions) -> float:
    """A hyper-parameter in the precision that the conventions ask for."""
    return float(np.float32(value)) if conventions.hyperparameters == "float32" else value


def make_optimizer(spec: Optimizer, conventions: Conventions, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """torch's own optimizer where the conventions are torch's, else one of `formulas`.

    groups: of tensors, with the coupled decay; the learning rate is set at every step.
    """
    import torch

    from isotune.adapters._torch.axes.formulas import EpsilonBeforeCorrectionAdam, RateInsideSGD, VariantRMSprop

    inside = conventions.momentum_form == "rate-inside"
    match spec:
        case SGD():
            momentum = held(spec.momentum, conventions)
            if inside and momentum:
                return RateInsideSGD(groups, momentum=momentum, nesterov=spec.nesterov)
            return torch.optim.SGD(groups, lr=0.0, momentum=momentum, nesterov=spec.nesterov)
        case Adam():
            betas = (held(spec.beta1, conventions), held(spec.beta2, conventions))
            if conventions.adam_epsilon == "before-correction":
                return EpsilonBeforeCorrectionAdam(groups, betas=betas, eps=spec.epsilon)
            return torch.optim.Adam(groups, lr=0.0, betas=betas, eps=spec.epsilon)
        case RMSprop():
            rho, momentum = held(spec.rho, conventions), held(spec.momentum, conventions)
            if conventions.rmsprop_epsilon == "inside-root" or (inside and momentum):
                inside_root = conventions.rmsprop_epsilon == "inside-root"
                return VariantRMSprop(
                    groups, alpha=rho, eps=spec.epsilon, momentum=momentum, inside_root=inside_root, rate_inside=inside
                )
            return torch.optim.RMSprop(groups, lr=0.0, alpha=rho, eps=spec.epsilon, momentum=momentum)


# -- the lines to write


_RATE_INSIDE = '''
def set_learning_rate(optimizer, rate):
    """Instead of a scheduler: the velocity keeps the rates that its gradients came with."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            velocity = optimizer.state[parameter].get("momentum_buffer")
            if velocity is not None:
                velocity.mul_(group["lr"] / rate)
        group["lr"] = rate
'''


_EPSILON_BEFORE_CORRECTION = '''
epsilons = [group["eps"] for group in optimizer.param_groups]
steps = [0]


def shrink_epsilon(optimizer, _args, _kwargs):
    """torch adds epsilon to the corrected root; so much there is epsilon beside the root as it is."""
    steps[0] += 1
    for group, epsilon in zip(optimizer.param_groups, epsilons):
        group["eps"] = epsilon / (1 - group["betas"][1] ** steps[0]) ** 0.5


optimizer.register_step_pre_hook(shrink_epsilon)
'''


_EPSILON_INSIDE_ROOT = '''
import torch


class EpsilonInsideRoot(torch.optim.Optimizer):
    """RMSprop with the step g / sqrt(v + eps)."""

    def __init__(self, params, lr=1e-3, alpha=0.9, eps=1e-7, momentum=0.0, weight_decay=0.0):
        super().__init__(params, dict(lr=lr, alpha=alpha, eps=eps, momentum=momentum, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in (p for p in group["params"] if p.grad is not None):
                state = self.state[parameter]
                for slot in ("square_avg", "momentum_buffer"):
                    state.setdefault(slot, torch.zeros_like(parameter))
                gradient = parameter.grad + group["weight_decay"] * parameter
                square = state["square_avg"].mul_(group["alpha"])
                square.addcmul_(gradient, gradient, value=1 - group["alpha"])
                velocity = state["momentum_buffer"].mul_(group["momentum"])
                velocity.add_(gradient / (square + group["eps"]).sqrt())
                parameter.add_(velocity, alpha=-group["lr"])


given = optimizer.param_groups
names = ("params", "lr", "alpha", "eps", "momentum", "weight_decay")
optimizer = EpsilonInsideRoot([{name: group[name] for name in names} for group in given])
'''


_ROUNDED = """
import numpy as np

for group in optimizer.param_groups:
    for name in ("momentum", "alpha", "weight_decay"):
        if name in group:
            group[name] = float(np.float32(group[name]))
    if "betas" in group:
        group["betas"] = tuple(float(np.float32(beta)) for beta in group["betas"])
"""


REMEDIES: Table = {
    "momentum_form": {
        "rate-outside": ("", ITSELF.format("torch")),
        "rate-inside": (_RATE_INSIDE, "For SGD and RMSprop with momentum; no rate may be 0."),
    },
    "adam_epsilon": {
        "after-correction": ("", ITSELF.format("torch")),
        "before-correction": (_EPSILON_BEFORE_CORRECTION, "For a new optimizer, of Adam or AdamW."),
    },
    "rmsprop_epsilon": {
        "outside-root": ("", ITSELF.format("torch")),
        "inside-root": (_EPSILON_INSIDE_ROOT, "For a new optimizer, of RMSprop."),
    },
    "hyperparameters": {"float64": ("", ITSELF.format("torch")), "float32": (_ROUNDED, "")},
}
