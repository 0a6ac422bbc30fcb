"""Dropout that a forward calls as a function: `functional.dropout(x, p, self.training)` owns no module to set to zero.

It is seen on passes of tensors without data (`dataflow.passed`), in inference and in training. What is called in
training alone is left out of training. What drops in inference too, a forgotten `training=`, stays: that is the very
thing that is wrong.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

_FUNCTIONS = (
    functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d, functional.alpha_dropout,
    functional.feature_alpha_dropout,
)  # fmt: skip
_SIGNATURES = {function: inspect.signature(function) for function in _FUNCTIONS}
_ATTENTION = functional.scaled_dot_product_attention
_PLACE = 4  # of dropout_p among attention's arguments


class _Dropping(TorchFunctionMode):
    """While it is on, `rates` gets those of the calls that drop something."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if rate := _rate(function, args, kwargs):
            self.rates.append(rate)
        return function(*args, **kwargs)


class _Kept(TorchFunctionMode):
    """While it is on, nothing is dropped."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _rate(function, args, kwargs):
            return function(*args, **kwargs)
        if function is _ATTENTION:
            args = args[:_PLACE]
            return function(*args, **{key: value for key, value in kwargs.items() if key != "dropout_p"})
        return _SIGNATURES[function].bind(*args, **kwargs).arguments["input"]


def _rate(function: Any, args: Any, kwargs: Any) -> float:
    """Of a call; 0: it drops nothing."""
    if function is _ATTENTION:
        return float(args[_PLACE] if len(args) > _PLACE else kwargs.get("dropout_p", 0.0))
    if function not in _SIGNATURES:
        return 0.0
    bound = _SIGNATURES[function].bind(*args, **kwargs)
    bound.apply_defaults()
    return float(bound.arguments["p"]) if bound.arguments["training"] else 0.0


def remove_called(net: nn.Module, passed: Callable[[bool], object]) -> list[float]:
    """Have `net` call no dropout in training, in place; the rates of what it called.

    passed: takes tensors without data through it, in training mode or not; it may fail, and nothing is known then.
    """
    training, inference = (_called(passed, mode) for mode in (True, False))
    if not training or inference:
        return []
    own = net.forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        with _Kept():
            return own(*args, **kwargs)

    net.forward = forward
    return training


def _called(passed: Callable[[bool], object], training: bool) -> list[float]:
    dropping = _Dropping()
    with dropping:
        passed(training)
    return dropping.rates
