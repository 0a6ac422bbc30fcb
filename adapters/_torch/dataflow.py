"""The dataflow of an `nn.Module`, read off autograd's graph of one pass of tensors without data.

Whatever the modules look like and wherever `forward` calls functions instead of them, autograd knows which parameter
enters which operation. The pass happens on the device `meta`, so it costs Python's time only.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from isotune.adapters._torch.axes.piecewise import STEEPNESS
from isotune.adapters._torch.compiler import without_compiler
from isotune.adapters._torch.graph.ending import ending
from isotune.adapters._torch.graph.flattening import map_of
from isotune.adapters._torch.graph.limits import limit
from isotune.adapters._torch.parts import parts
from isotune.adapters.base import Ending
from isotune.adapters.execution_order import Node, Step, execution_order, limits
from isotune.adapters.flattening import Flattened
from isotune.conventions import Conventions, agreed
from isotune.weights import Limit

_Size = tuple[int, int]
Calls = Mapping[str, tuple[Any, ...]]  # axis -> the values in which it is called, each once
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
    maps: dict[str, Flattened] = field(default_factory=dict)  # dense layers that read vectors: what these were made of
    calls: Calls = field(default_factory=dict)  # activations, modules' and those called as functions
    limits: tuple[Limit, ...] | None = None  # None: not known
    ending: Ending | None = None  # what makes probabilities of the outputs; None: not known


def trace(net: nn.Module, size: _Size) -> Dataflow:
    """The dataflow of `net` in inference mode, for images of `size` (height, width)."""
    owners: dict[int, str] = {}
    leaves = _leaves(net, owners)
    image = _image(leaves, size)
    maps: dict[str, Flattened] = {}
    with _watching_vectors(net, maps), watched_calls() as calls:
        output = _through(net, leaves, image, training=False)
    if not isinstance(output, Tensor) or output.grad_fn is None:
        return Dataflow()
    graph = _graph(output.grad_fn, image, owners).get(output.grad_fn, Node())
    return Dataflow(execution_order(graph), maps, calls, limits(graph), ending(output))


def nodes(net: nn.Module, size: _Size) -> tuple[Any, dict[Any, Node]] | None:
    """autograd's function of what `net` gives in training mode, and the nodes of that and of all before it by their
    functions, layers as in `Dataflow`; None: its forward does not run without data, or gives no tensor."""
    owners: dict[int, str] = {}
    leaves = _leaves(net, owners)
    image = _image(leaves, size)
    output = _through(net, leaves, image, training=True)
    if not isinstance(output, Tensor) or output.grad_fn is None:
        return None
    return output.grad_fn, _graph(output.grad_fn, image, owners)


def passed(net: nn.Module, size: _Size, *, training: bool) -> None:
    """Take tensors without data through `net`, for whatever looks at its calls; what fails is left at that."""
    leaves = _leaves(net, {})
    _through(net, leaves, _image(leaves, size), training=training)


def _leaves(net: nn.Module, owners: dict[int, str]) -> dict[str, Tensor]:
    """What stands in for the network's tensors, by name; `owners` gets the parts of the parameters' by `id`."""
    leaves: dict[str, Tensor] = {}
    for part in parts(net):
        for name, _, tensor, is_parameter in part.slots:
            if is_parameter:
                path = f"{part.owner}.{name}" if part.owner else name
                leaves[path] = torch.empty_like(tensor, device="meta", requires_grad=tensor.is_floating_point())
                owners[id(leaves[path])] = part.name
    for path, module in net.named_modules():  # each once: a module of two names would keep what stands in for a while
        for name, buffer in module.named_buffers(path, recurse=False):
            leaves[name] = torch.empty_like(buffer, device="meta")
    return leaves


def _image(leaves: Mapping[str, Tensor], size: _Size) -> Tensor:
    dtype = next((leaf.dtype for leaf in leaves.values() if leaf.is_floating_point()), torch.float32)
    return torch.empty((2, 3, *size), device="meta", dtype=dtype, requires_grad=True)


def _through(net: nn.Module, leaves: dict[str, Tensor], image: Tensor, *, training: bool) -> Any:
    """None: a foreign forward does something that needs data."""
    try:
        with without_compiler(), _mode(net, training), torch.enable_grad():
            return torch.func.functional_call(net, leaves, (image,), tie_weights=False)
    except Exception:  # whatever it is: the order of registration is left
        return None


@contextmanager
def _mode(net: nn.Module, training: bool) -> Iterator[None]:
    modes = [(module, module.training) for module in net.modules()]
    net.train(training)
    try:
        yield
    finally:
        for module, before in modes:
            module.training = before


@contextmanager
def _watching_vectors(net: nn.Module, maps: dict[str, Flattened]) -> Iterator[None]:
    """While inside, `maps` gets the dense layers that read [N, D]: 1x1, or the map that was flattened into D."""

    def watch(name: str) -> Any:
        def see(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if inputs[0].ndim == 2:
                maps[name] = map_of(inputs[0])

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


def _graph(end: Any, image: Tensor, owners: dict[int, str]) -> dict[Any, Node]:
    """autograd's graph as nodes, by its functions. What does not depend on the image (a kernel being standardised) is
    part of the operation that reads it."""
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
            nodes[function] = Node(inputs, layers, shape, name := _name(function), limit(name, function))
    return nodes


def _name(function: Any) -> str:
    """autograd's name of an operation, "AvgPool2D" of AvgPool2DBackward0; empty for what only changes a shape."""
    name = re.sub(r"(Backward)?\d*$", "", type(function).__name__)
    return "" if name in _SILENT else name


def _canonical(leaf: Tensor) -> tuple[int, ...]:
    shape = tuple(leaf.shape)
    return (*shape[2:], shape[1], shape[0]) if len(shape) == 4 else shape[::-1]


def _size(shape: tuple[int, ...]) -> int:
    return torch.Size(shape).numel()


# -- activations that a forward calls as functions
#
# A module can be replaced; `functional.gelu(x)` in a forward cannot. torch tells a `TorchFunctionMode` of every
# function that is called while it is on, those of modules among them.


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
