"""The dataflow of an `nn.Module`, read off autograd's graph of one pass of tensors without data.

Whatever the modules look like and wherever `forward` calls functions instead of them, autograd knows which parameter
enters which operation. The pass happens on the device `meta`, so it costs Python's time only.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from isotune.adapters._torch.compiler import without_compiler
from isotune.adapters._torch.conventions import Calls, watched_calls
from isotune.adapters._torch.parts import parts
from isotune.adapters.execution_order import Node, Step, execution_order

_Size = tuple[int, int]
_SILENT = (
    "View",
    "UnsafeView",
    "ReshapeAlias",
    "Permute",
    "Transpose",
    "T",
    "Clone",
    "ToCopy",
    "Expand",
    "Alias",
    "Slice",
    "Select",
    "Unsqueeze",
    "Squeeze",
)


@dataclass(frozen=True)
class Dataflow:
    """What one pass shows. Empty for a network whose forward cannot run without data."""

    steps: list[Step] = field(default_factory=list)  # layers are names of `parts`
    maps: dict[str, _Size] = field(default_factory=dict)  # dense layers that read vectors: the map these were made of
    calls: Calls = field(default_factory=dict)  # activations, modules' and those called as functions


def trace(net: nn.Module, size: _Size) -> Dataflow:
    """The dataflow of `net` in inference mode, for images of `size` (height, width)."""
    leaves: dict[str, Tensor] = {}
    owners: dict[int, str] = {}
    for part in parts(net):
        for name, _, tensor, is_parameter in part.slots:
            if is_parameter:
                path = f"{part.owner}.{name}" if part.owner else name
                leaves[path] = torch.empty_like(tensor, device="meta", requires_grad=tensor.is_floating_point())
                owners[id(leaves[path])] = part.name
    for name, buffer in net.named_buffers():
        leaves[name] = torch.empty_like(buffer, device="meta")
    dtype = next((leaf.dtype for leaf in leaves.values() if leaf.is_floating_point()), torch.float32)
    image = torch.empty((2, 3, *size), device="meta", dtype=dtype, requires_grad=True)
    maps: dict[str, _Size] = {}
    try:
        with (
            without_compiler(),
            _inference(net),
            _watching_vectors(net, maps),
            watched_calls() as calls,
            torch.enable_grad(),
        ):
            output = torch.func.functional_call(net, leaves, (image,))
    except Exception:  # whatever a foreign forward does that needs data: the order of registration is left
        return Dataflow()
    if not isinstance(output, Tensor) or output.grad_fn is None:
        return Dataflow()
    return Dataflow(execution_order(_graph(output.grad_fn, image, owners)), maps, calls)


@contextmanager
def _inference(net: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _watching_vectors(net: nn.Module, maps: dict[str, _Size]) -> Iterator[None]:
    """While inside, `maps` gets the dense layers that read [N, D]: 1x1, or the map that was flattened into D."""

    def watch(name: str) -> Any:
        def see(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if inputs[0].ndim == 2:
                # of a view: the shape it is of
                before: tuple[int, ...] = getattr(inputs[0].grad_fn, "_saved_self_sym_sizes", ())
                maps[name] = (before[2], before[3]) if len(before) == 4 else (1, 1)

        return see

    with contextlib.ExitStack() as stack:
        for name, module in net.named_modules():
            if isinstance(module, nn.Linear):
                stack.enter_context(_removed(module.register_forward_pre_hook(watch(name))))
        yield


@contextmanager
def _removed(handle: Any) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


def _graph(end: Any, image: Tensor, owners: dict[int, str]) -> Node:
    """autograd's graph as nodes. What does not depend on the image (a kernel being standardised) is part of the
    operation that reads it."""
    nodes: dict[Any, Node] = {}
    constants: dict[Any, list[Tensor]] = {}  # of what does not depend on the image: the parameters in it
    stack = [end]
    while stack:
        function = stack[-1]
        given = [other for other, _ in function.next_functions if other is not None]
        if waiting := [other for other in given if other not in nodes and other not in constants]:
            stack += waiting
            continue
        stack.pop()
        if function in nodes or function in constants:
            continue
        variable = getattr(function, "variable", None)
        if variable is image:
            nodes[function] = Node()
        elif variable is not None:
            constants[function] = [variable]
        else:
            parameters = [leaf for other in given for leaf in constants.get(other, ())]
            inputs = [nodes[other] for other in given if other in nodes]
            if not inputs:
                constants[function] = parameters
                continue
            layers = tuple(dict.fromkeys(owners[id(leaf)] for leaf in parameters if id(leaf) in owners))
            shape = max((_canonical(leaf) for leaf in parameters), key=_size, default=())
            nodes[function] = Node(inputs, layers, shape, _name(function))
    return nodes.get(end, Node())


def _name(function: Any) -> str:
    """autograd's name of an operation, "AvgPool2D" of AvgPool2DBackward0; empty for what only changes a shape."""
    name = re.sub(r"(Backward)?\d*$", "", type(function).__name__)
    return "" if name in _SILENT else name


def _canonical(leaf: Tensor) -> tuple[int, ...]:
    shape = tuple(leaf.shape)
    return (*shape[2:], shape[1], shape[0]) if len(shape) == 4 else shape[::-1]


def _size(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()
