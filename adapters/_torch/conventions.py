"""Network conventions realised on an `nn.Module`, and read off it, whatever library the modules come from.

Each group of axes has a module in `axes`, under the same name for every framework. `realise` changes a network in
place so that it computes under the values asked; `own` leaves the library's. `describe` says which values a network
has. `remove_randomness` takes dropout and stochastic depth out: what is random is drawn outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from isotune.adapters._torch.axes import activations, norms, padding, piecewise, pooling, strides
from isotune.adapters._torch.axes.piecewise import STEEPNESS
from isotune.conventions import Conventions, agreed

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


def remove_randomness(net: nn.Module) -> list[str]:
    """Set every probability of dropping something to zero, in place; what was not, in words."""
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
    return [f"{what} {_up_to(rates)}" for what, rates in removed.items()]


def _up_to(rates: list[float]) -> str:
    return f"{rates[0]:g}" if len(set(rates)) == 1 else f"up to {max(rates):g}"


# -- activations that a forward calls as functions
#
# A module can be replaced; `functional.gelu(x)` in a forward cannot. torch tells a `TorchFunctionMode` of every
# function that is called while it is on, those of modules among them.

Calls = Mapping[str, tuple[Any, ...]]  # axis -> the values in which it is called, each once


@contextmanager
def watched_calls() -> Iterator[dict[str, tuple[Any, ...]]]:
    """What is called while inside."""
    calls: dict[str, tuple[Any, ...]] = {}
    with _Seen(calls):
        yield calls


def with_calls(axes: Mapping[str, Any], calls: Calls) -> dict[str, Any]:
    """axes: as read off the modules. With what is called."""
    known = {axis: [value for value in (axes.get(axis),) if value not in (None, "own")] for axis in calls}
    return {**axes, **{axis: agreed(axis, [*known[axis], *called]) for axis, called in calls.items()}}


def of_functions(calls: Calls, conventions: Conventions, own: Mapping[str, Any]) -> Calls:
    """calls: of a network whose modules are under `conventions`; without what only says how these were changed. own:
    its axes as read off the modules before."""
    changed = _wanted(conventions)
    return {axis: seen for axis, seen in calls.items() if axis not in changed or own.get(axis) in (None, "own")}


def realise_calls(net: nn.Module, conventions: Conventions, calls: Calls) -> bool:
    """Give what `net` calls the form that `conventions` say. calls: under its modules as they are now. False: nothing
    is called otherwise."""
    values = _wanted(conventions)
    if all(called == (values[axis],) for axis, called in calls.items() if axis in values):
        return False
    own = net.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        with _Instead(values):
            return own(*args, **kwargs)

    net.forward = forward
    return True


def _wanted(conventions: Conventions) -> dict[str, Any]:
    """Of these axes, those that are not left to the network."""
    return {axis: value for axis in _FUNCTIONS if (value := getattr(conventions, axis)) not in (None, "own")}


class _Seen(TorchFunctionMode):
    def __init__(self, calls: dict[str, tuple[Any, ...]]) -> None:
        super().__init__()
        self._calls = calls

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for axis, (called, value, _) in _FUNCTIONS.items():
            if function in called:
                self._calls[axis] = tuple(dict.fromkeys((*self._calls.get(axis, ()), value(args, kwargs))))
        return function(*args, **kwargs)


class _Instead(TorchFunctionMode):
    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._by_function = {
            function: (_FUNCTIONS[axis][2], value) for axis, value in values.items() for function in _FUNCTIONS[axis][0]
        }

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (known := self._by_function.get(function)) is None:
            return function(*args, **(kwargs or {}))
        instead, value = known
        return instead(args[0] if args else (kwargs or {})["input"], value)


# of each axis: torch's functions, the value that a call has, and a call with another value


def _gelu_form(args: Any, kwargs: Any) -> str:
    return "tanh" if kwargs.get("approximate", "none") == "tanh" else "exact"


def _gelu(values: torch.Tensor, form: str) -> torch.Tensor:
    return functional.gelu(values, approximate="tanh" if form == "tanh" else "none")


def _slope(args: Any, kwargs: Any) -> float:
    return float(args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01))


def _hard(values: torch.Tensor, form: str) -> torch.Tensor:
    return functional.hardsigmoid(values) if form == "sixth" else (values * STEEPNESS[form] + 0.5).clamp(0, 1)


_nn = torch._C._nn  # what torch's functions call, of which alone a mode is told
_Change = Callable[[torch.Tensor, Any], torch.Tensor]
_FUNCTIONS: dict[str, tuple[tuple[Any, ...], Callable[[Any, Any], Any], _Change]] = {
    "gelu": ((functional.gelu,), _gelu_form, _gelu),
    "leaky_relu_slope": ((functional.leaky_relu, _nn.leaky_relu, _nn.leaky_relu_), _slope, functional.leaky_relu),
    "hard_sigmoid": (
        (functional.hardsigmoid, _nn.hardsigmoid, _nn.hardsigmoid_), lambda _args, _kwargs: "sixth", _hard
    ),
}  # fmt: skip
