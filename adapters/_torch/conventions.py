"""Network conventions realised on an `nn.Module`, and read off it, whatever library the modules come from.

Each group of axes has a module in `axes`, under the same name for every framework. `realise` changes a network in
place so that it computes under the values asked; `own` leaves the library's. `describe` says which values a network
has. `remove_randomness` takes dropout and stochastic depth out: what is random is drawn outside.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from isotune.adapters._torch.axes import activations, norms, padding, pooling, strides
from isotune.conventions import Conventions

_MODULES = (strides, padding, pooling, norms, activations)  # where a ResNet strides decides which windows do


def realise(net: nn.Module, conventions: Conventions) -> None:
    """Make `net` compute under `conventions`, in place."""
    for axes in _MODULES:
        axes.realise(net, conventions)


def describe(net: nn.Module) -> dict[str, Any]:
    """The network axes of `net` but for the input scaling. `own` or None: none such, or not all alike."""
    return {name: value for axes in _MODULES for name, value in axes.describe(net).items()}


def remove_randomness(net: nn.Module) -> None:
    """Set every probability of dropping something to zero, in place."""
    for module in net.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif type(module).__name__ == "StochasticDepth":
            module.p = 0.0  # type: ignore[assignment]
        elif type(module).__name__ == "DropPath":
            module.drop_prob = 0.0  # type: ignore[assignment]
        for name in ("drop_rate", "dropout", "attention_dropout"):  # what forward hands to F.dropout
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
