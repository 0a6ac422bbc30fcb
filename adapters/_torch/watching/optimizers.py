"""What an optimizer of torch says of itself, in the words of protocols and conventions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from isotune.adapters._torch.updater import SLOTS
from isotune.adapters._torch.watching.network import WatchedNetwork, streamed
from isotune.recordings import Optimizer, Streamed

_NAMES = {"lr": "learning_rate", "alpha": "rho", "eps": "epsilon"}
_KEPT = ("momentum", "dampening", "nesterov", "weight_decay", "amsgrad", "centered", "maximize")
_FAMILIES: dict[Any, tuple[str, dict[str, Any]]] = {
    torch.optim.SGD: ("sgd", {"momentum_form": "rate-outside", "weight_decay_form": "coupled"}),
    torch.optim.Adam: ("adam", {"adam_epsilon": "after-correction", "weight_decay_form": "coupled"}),
    torch.optim.AdamW: ("adam", {"adam_epsilon": "after-correction", "weight_decay_form": "decoupled"}),
    torch.optim.RMSprop: (
        "rmsprop",
        {"rmsprop_epsilon": "outside-root", "momentum_form": "rate-outside", "weight_decay_form": "coupled"},
    ),
}


def described(optimizer: torch.optim.Optimizer, network: WatchedNetwork) -> Optimizer:
    """The optimizer as it is now."""
    family, forms = _FAMILIES.get(type(optimizer), ("unknown", {}))
    if any(group.get("decoupled_weight_decay") for group in optimizer.param_groups):
        forms = forms | {"weight_decay_form": "decoupled"}
    groups, members = [], {}
    for number, group in enumerate(optimizer.param_groups):
        groups.append(dict(_hyper_parameters(group)))
        for tensor in group["params"]:
            if (slot := network.by_tensor.get(id(tensor))) is not None:
                members[slot.name] = number
    return Optimizer(
        own=type(optimizer).__name__, family=family, forms=forms, groups=tuple(groups), members=members,
        steps_taken=_steps_taken(optimizer),
    )  # fmt: skip


def _hyper_parameters(group: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in group.items():
        if name == "betas":
            yield from zip(("beta1", "beta2"), map(float, value), strict=True)
        elif name in _NAMES:
            yield _NAMES[name], float(value)
        elif name in _KEPT:
            yield name, value if isinstance(value, bool) else float(value)


def _steps_taken(optimizer: torch.optim.Optimizer) -> int:
    return max((int(state["step"]) for state in optimizer.state.values() if "step" in state), default=0)


def slots(optimizer: torch.optim.Optimizer, network: WatchedNetwork) -> list[Streamed]:
    """The optimizer's state, `TENSOR/velocity`; copied when its turn comes."""
    return [
        streamed(f"{slot.name}/{SLOTS[name]}", slot, value)
        for tensor, state in optimizer.state.items()
        if (slot := network.by_tensor.get(id(tensor))) is not None
        for name, value in state.items()
        if name in SLOTS and value is not None and value.shape == slot.tensor.shape
    ]
