"""Network conventions realised on an `nn.Module`, and read off it, whatever library the modules come from.

Each group of axes has a module in `axes`, under the same name for every framework. `realise` changes a network in
place so that it computes under the values asked; `own` leaves the library's. `describe` says which values a network
has. `remove_randomness` takes dropout and stochastic depth out: what is random is drawn outside.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from isotune.adapters._torch.axes import activations, norms, padding, piecewise, pooling, strides
from isotune.conventions import Conventions

_MODULES = (strides, padding, pooling, norms, activations, piecewise)  # where a ResNet strides decides which windows do


def realise(net: nn.Module, conventions: Conventions) -> None:
    """Make `net` compute under `conventions`, in place."""
    for axes in _MODULES:
        axes.realise(net, conventions)


def describe(net: nn.Module) -> dict[str, Any]:
    """The network axes of `net` but for the input scaling. `own` or None: none such, or not all alike."""
    return {name: value for axes in _MODULES for name, value in axes.describe(net).items()}


def placeless(net: nn.Module) -> frozenset[str]:
    """Axes of whose values `net` is the same network whatever is asked: what would realise them has no place in it."""
    return frozenset(pooling.placeless(net) | strides.placeless(net))


def remove_randomness(net: nn.Module) -> dict[str, list[float]]:
    """Set every probability of dropping something to zero, in place; what is dropped -> the rates that were not."""
    removed: dict[str, list[float]] = {}

    def remove(what: str, module: nn.Module, name: str) -> None:
        if rate := getattr(module, name):
            removed.setdefault(what, []).append(float(rate))
        setattr(module, name, 0.0)

    for module in net.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            remove("dropout", module, "p")
        elif type(module).__name__ == "StochasticDepth":
            remove("stochastic depth", module, "p")
        elif type(module).__name__ == "DropPath":
            remove("stochastic depth", module, "drop_prob")
        for name in ("drop_rate", "dropout", "attention_dropout"):  # what forward hands to F.dropout
            if isinstance(getattr(module, name, None), float):
                remove("dropout", module, name)
    return removed
