"""Residual branches of an `nn.Module`, and a pass with some of them left out.

A forward adds a branch to its shortcut as it likes: `x + f(x)`, `x += shortcut`, with or without a module of its own.
torch tells a `TorchFunctionMode` of every addition, in the order of the pass; one pass of tensors without data
(`dataflow.nodes`) says which of them is a residual sum and which of its operands the branch (`residual`). In a training
step the same additions come in the same order, and what the branch hands to the sum is multiplied by its mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from isotune.adapters._torch.dataflow import nodes
from isotune.adapters.residual import branches, unknown
from isotune.errors import UsageError

_IN_PLACE = Tensor.add_
_ADDITIONS = (torch.add, Tensor.add, _IN_PLACE)  # + and += come as the latter
_IMAGES = 2  # in a pass without data


@dataclass(frozen=True)
class _Place:
    """A residual sum among the additions of a pass."""

    branch: int
    operand: int
    shape: tuple[int, ...]  # of an image's sum


@dataclass(frozen=True)
class Branches:
    """Of a network: the layers that end them, and where they are added."""

    layers: tuple[str, ...]  # names of `parts`
    places: Mapping[int, _Place]  # by the number of the addition
    additions: int


@dataclass(frozen=True)
class _Addition:
    """One that was seen: autograd's functions."""

    operands: tuple[Any, Any]
    sum: Any
    shape: tuple[int, ...]


def find(net: nn.Module, size: tuple[int, int]) -> Branches:
    """Those of `net` on images of `size` (height, width). UsageError: not known exactly; it drops some by itself."""
    if own := [name for name, module in net.named_modules() if _drops(module)]:
        raise UsageError(
            f"stochastic depth: the network has its own, in {own[0]}; leave the option out, or stochastic_depth out of"
            " the protocol"
        )
    with _Seen() as seen:
        traced = nodes(net, size)
    if traced is None:
        raise unknown("its forward cannot be followed without data")
    end, by_function = traced
    added = {by_function[each.sum]: number for number, each in enumerate(seen.additions) if each.sum in by_function}
    known = branches(by_function[end])
    places = {}
    for number, branch in enumerate(known):
        place = added.get(branch.sum)
        if place is None:
            raise unknown(f"what adds {branch.layer} to its shortcut is not seen")
        addition = seen.additions[place]
        operands = [by_function.get(function) for function in addition.operands]
        if operands != list(branch.sum.inputs) or addition.shape[0] != _IMAGES:
            raise unknown(f"what adds {branch.layer} to its shortcut is not one sum an image")
        places[place] = _Place(number, branch.operand, addition.shape[1:])
    return Branches(tuple(str(branch.layer) for branch in known), places, len(seen.additions))


def _drops(module: nn.Module) -> bool:
    """torchvision's and timm's modules."""
    rates = {"StochasticDepth": "p", "DropPath": "drop_prob"}
    return bool(getattr(module, rates.get(type(module).__name__, ""), 0))


@contextmanager
def masked(known: Branches, masks: Tensor) -> Iterator[None]:
    """While inside, one pass of the network takes place, with masks [N, branches]. UsageError: it is another pass than
    the one that the branches were found in."""
    mode = _Masked(known, masks)
    with mode:
        yield
    if mode.count != known.additions:
        raise unknown(f"a step makes {mode.count} additions, where {known.additions} were seen")


def _adds(function: Any, args: tuple[Any, ...]) -> bool:
    """Whether it is an addition of two tensors that may be residual."""
    return function in _ADDITIONS and len(args) == 2 and all(isinstance(a, Tensor) and a.ndim > 1 for a in args)


class _Seen(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.additions: list[_Addition] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _adds(function, args):
            return function(*args, **kwargs)
        operands = args[0].grad_fn, args[1].grad_fn  # before an addition in place
        result = function(*args, **kwargs)
        self.additions.append(_Addition(operands, result.grad_fn, tuple(result.shape)))
        return result


class _Masked(TorchFunctionMode):
    def __init__(self, known: Branches, masks: Tensor) -> None:
        super().__init__()
        self._known, self._masks = known, masks
        self.count = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _adds(function, args):
            return function(*args, **kwargs)
        place = self._known.places.get(self.count)
        self.count += 1
        if place is None:
            return function(*args, **kwargs)
        operands = list(args)
        branch = operands[place.operand]
        mask = self._masks[:, place.branch].view(-1, *[1] * (branch.ndim - 1)).to(branch.dtype)
        if function is _IN_PLACE and place.operand == 0:
            branch.mul_(mask)
        else:
            operands[place.operand] = branch * mask
        result = function(*operands, **kwargs)
        if tuple(result.shape[1:]) != place.shape:
            raise unknown(f"a step adds {tuple(result.shape[1:])}, where {place.shape} was seen")
        return result
