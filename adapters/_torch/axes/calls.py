"""Activations that a forward calls as functions: read off in a pass, and given another form while the network runs.

A module can be replaced; `functional.gelu(x)` in a forward cannot. torch tells a `TorchFunctionMode` of every function
that is called while it is on, those of modules among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from isotune.adapters._torch.axes.piecewise import STEEPNESS
from isotune.conventions import Conventions, agreed

Calls = Mapping[str, tuple[Any, ...]]  # axis -> the values in which it is called, each once


@contextmanager
def seen() -> Iterator[dict[str, tuple[Any, ...]]]:
    """What is called while inside."""
    calls: dict[str, tuple[Any, ...]] = {}
    with _Seen(calls):
        yield calls


def described(axes: Mapping[str, Any], calls: Calls) -> dict[str, Any]:
    """axes: as read off the modules. With what is called."""
    known = {axis: [value for value in (axes.get(axis),) if value not in (None, "own")] for axis in calls}
    return {**axes, **{axis: agreed(axis, [*known[axis], *called]) for axis, called in calls.items()}}


def of_functions(calls: Calls, conventions: Conventions, own: Mapping[str, Any]) -> Calls:
    """calls: of a network whose modules are under `conventions`; without what only says how these were changed. own:
    its axes as read off the modules before."""
    changed = _wanted(conventions)
    return {axis: seen for axis, seen in calls.items() if axis not in changed or own.get(axis) in (None, "own")}


def realise(net: nn.Module, conventions: Conventions, calls: Calls) -> bool:
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
            if function is called:
                self._calls[axis] = tuple(dict.fromkeys((*self._calls.get(axis, ()), value(args, kwargs))))
        return function(*args, **kwargs)


class _Instead(TorchFunctionMode):
    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__()
        self._by_function = {_FUNCTIONS[axis][0]: (_FUNCTIONS[axis][2], value) for axis, value in values.items()}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (known := self._by_function.get(function)) is None:
            return function(*args, **(kwargs or {}))
        instead, value = known
        return instead(args[0] if args else (kwargs or {})["input"], value)


# -- of each axis: torch's function, the value that a call has, and a call with another value


def _gelu_form(args: Any, kwargs: Any) -> str:
    return "tanh" if kwargs.get("approximate", "none") == "tanh" else "exact"


def _gelu(values: torch.Tensor, form: str) -> torch.Tensor:
    return functional.gelu(values, approximate="tanh" if form == "tanh" else "none")


def _slope(args: Any, kwargs: Any) -> float:
    return float(args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01))


def _hard(values: torch.Tensor, form: str) -> torch.Tensor:
    return functional.hardsigmoid(values) if form == "sixth" else (values * STEEPNESS[form] + 0.5).clamp(0, 1)


_FUNCTIONS: dict[str, tuple[Any, Callable[[Any, Any], Any], Callable[[torch.Tensor, Any], torch.Tensor]]] = {
    "gelu": (functional.gelu, _gelu_form, _gelu),
    "leaky_relu_slope": (functional.leaky_relu, _slope, functional.leaky_relu),
    "hard_sigmoid": (functional.hardsigmoid, lambda _args, _kwargs: "sixth", _hard),
}
