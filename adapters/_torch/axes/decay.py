"""Weight decay, coupled to the gradient or beside it, and on which tensors: realised, and how to write it."""

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
    return conventions.weight_decay_form == "decoupled" or spec.name == "adamw"


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
    },
    "weight_decay_on": {
        "all": ("", "With one group of parameters torch does so by itself."),
        "kernels": (_ONLY_KERNELS, ""),
    },
}
