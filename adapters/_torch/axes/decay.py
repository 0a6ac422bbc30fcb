"""Weight decay: in the gradient, the loss or beside both, and on which tensors. Realised, and how to write it.

torch's coupled decay wd is L2 of wd/2*sum(w^2); a penalty of wd*sum(w^2), as Keras's regularizers.L2(wd) adds to the
loss, decays twice as fast, and clipping sees its gradient. Decoupled decay is torch's and Keras's lr*wd*w, or wd*w
whatever the rate (Loshchilov and Hutter 2019, whose schedule is a factor of its own; tensorflow_addons
weight_decay_optimizers.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isotune.adapters.remedies import Table
from isotune.conventions import Conventions
from isotune.protocols import Optimizer

if TYPE_CHECKING:
    from torch import Tensor

    from isotune.adapters._torch.layers import Slot


def is_decoupled(spec: Optimizer, conventions: Conventions) -> bool:
    """Whether decay is a step of its own; AdamW's always is."""
    return conventions.weight_decay_form in ("decoupled", "decoupled-unscaled") or spec.name == "adamw"


def in_loss(spec: Optimizer, conventions: Conventions) -> bool:
    """Whether decay is a penalty of wd*sum(w^2), which clipping sees."""
    return conventions.weight_decay_form == "in-loss" and not is_decoupled(spec, conventions)


def shrinking(strength: float, rate: float, conventions: Conventions) -> float:
    """By what decoupled decay shortens a tensor in a step at a learning rate."""
    return strength if conventions.weight_decay_form == "decoupled-unscaled" else rate * strength


def parted(trained: Sequence[Slot], conventions: Conventions) -> tuple[list[Tensor], list[Tensor]]:
    """(tensors that decay, those that are left alone)."""
    only_kernels = conventions.weight_decay_on == "kernels"
    decayed = [slot.tensor for slot in trained if slot.kind == "kernel" or not only_kernels]
    return decayed, [slot.tensor for slot in trained if slot.kind != "kernel" and only_kernels]


# -- the lines to write


_DECOUPLED = """
import torch

strengths = [group["weight_decay"] for group in optimizer.param_groups]
for group in optimizer.param_groups:
    group["weight_decay"] = 0.0


@torch.no_grad()
def decay(optimizer, _args, _kwargs):
    for group, strength in zip(optimizer.param_groups, strengths):
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.mul_(1 - group["lr"] * strength)


optimizer.register_step_pre_hook(decay)
"""


_UNSCALED = _DECOUPLED.replace('group["lr"] * strength', "strength")


_IN_LOSS = """
strengths = [group["weight_decay"] for group in optimizer.param_groups]
for group in optimizer.param_groups:
    group["weight_decay"] = 0.0


def add_penalty(optimizer, _args, _kwargs):
    \"\"\"The gradient of strength * (w ** 2).sum().\"\"\"
    for group, strength in zip(optimizer.param_groups, strengths):
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad.add_(parameter.detach(), alpha=2 * strength)


optimizer.register_step_pre_hook(add_penalty)
"""


_ONLY_KERNELS = """
from torch import nn

kernels = {id(module.weight) for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
for group in list(optimizer.param_groups):
    others = [parameter for parameter in group["params"] if id(parameter) not in kernels]
    group["params"] = [parameter for parameter in group["params"] if id(parameter) in kernels]
    settings = {name: value for name, value in group.items() if name != "params"}
    optimizer.add_param_group({**settings, "params": others, "weight_decay": 0.0})
"""


REMEDIES: Table = {
    "weight_decay_form": {
        "coupled": ("", "SGD, Adam and RMSprop do so by themselves; for AdamW take Adam."),
        "decoupled": (_DECOUPLED, "For Adam, `torch.optim.AdamW` is the same."),
        "in-loss": (
            _IN_LOSS,
            "Twice the `weight_decay` of SGD, Adam or RMSprop is the same where nothing is clipped. Where gradients"
            " are, add the penalty to the loss.",
        ),
        "decoupled-unscaled": (_UNSCALED, "For AdamW, set its own `weight_decay` to 0 after these lines."),
    },
    "weight_decay_on": {
        "all": ("", "With one group of parameters torch does so by itself."),
        "kernels": (_ONLY_KERNELS, ""),
    },
}
