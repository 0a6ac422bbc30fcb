"""From a forward pass to an excerpt: the records between layers, each as lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import resolve_name

from isotune.adapters._torch.excerpts import _modules
from isotune.adapters._torch.excerpts._tape import PART, Record, Tape, shape_of
from isotune.adapters._torch.layers import ModuleLayer, Slot, is_map, on_output
from isotune.adapters.base import INPUT, Array
from isotune.excerpts import Differentiated, Excerpt, Given, NotWritten, Operation, narrowed, written

_MAP, _OTHER = "torch.tensor(IN0).permute(0, 3, 1, 2)", "torch.tensor(IN0)"
_GRADIENT = Differentiated(
    made="torch.tensor(IN0)", leaf="OUT = torch.tensor(IN0, requires_grad=True)",
    # the second part is zero: a loss that nothing leads to has no gradient
    loss=("loss = (OUT ** 3).sum() + 0 * sum(each.sum() for each in [LEAVES])",),
    gradients=("gradients = torch.autograd.grad(loss, [LEAVES])",),
)  # fmt: skip
_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "truediv": "/", "matmul": "@"}
_WAYS = (  # from a canonical array to torch's layout
    "V", "V.transpose(3, 2, 0, 1)", "V.T", "V.reshape(-1, 1, 1)", "V.transpose(3, 2, 0, 1).reshape(V.shape[3], -1)",
    "V.T[:, :, None, None]", "V[None]", "V.reshape(1, 1, -1)", "V.reshape(-1, V.shape[3]).T",
)  # fmt: skip


def excerpt(model: Any, layer: str, images: Array, *, channels: int | None = None, training: bool = False) -> Excerpt:
    """The operations from the layers before `layer` on to what it gives.

    model: a `TorchModel`.
    channels: as many everywhere. training: BatchNorm uses the batch. NotWritten: no lines do it.
    """
    owner = next((each for each in model.module_layers if each.layer.name == layer and each.slots), None)
    if owner is None:
        raise NotWritten(f"{layer} is no layer that is called by itself")
    tape, places = _recorded(model, images, training)
    ends = [number for number, name in places.items() if name == layer]
    if not ends:
        raise NotWritten(f"{layer} gives what no operation of torch shows")
    end = ends[0]
    maps = {number: _gives_map(model, name, tape.outputs[number]) for number, name in places.items()}
    others = {id(slot.tensor): slot for each, slot in model.slots() if each is not owner}
    written = _Writer(tape, owner, others, channels, training, maps)
    return written.until(end, {number: name for number, name in places.items() if number != end})


def _gives_map(model: Any, name: str, output: Tensor) -> bool:
    owner = next((each for each in model.module_layers if each.layer.name == name), None)
    return output.ndim == 4 if owner is None else is_map(owner.module, output)


def _recorded(model: Any, images: Array, training: bool) -> tuple[Tape, dict[int, str]]:
    """A pass on tape, and which of its values layers give, the input among them."""
    tape, places = Tape(), dict[int, str]()

    def place(name: str, number: int | None) -> None:
        if number is not None and name not in places.values():
            places[number] = name

    with ExitStack() as stack:
        for owner in model.module_layers:
            if owner.slots and not any(True for child in owner.module.children() for _ in child.parameters()):
                handle = on_output(owner, lambda output, name=owner.layer.name: place(name, tape.number(output)))  # type: ignore[misc]
                stack.callback(handle.remove)
        begin = model.net.register_forward_pre_hook(lambda _module, inputs: place(INPUT, tape.name(inputs[0])))
        stack.callback(begin.remove)
        stack.enter_context(torch.no_grad())
        stack.enter_context(model._left_as_it_was([]))
        stack.enter_context(tape.around(module for module in model.net.modules() if _modules.has_call(module)))
        model.net.train(training)
        given = model.to_device(images)
        with tape:
            model.forward(given)
    return tape, places


class _Writer:
    """Writes the records that one value comes from."""

    def __init__(
        self,
        tape: Tape,
        owner: ModuleLayer,
        others: dict[int, Slot],
        channels: int | None,
        training: bool,
        maps: dict[int, bool],
    ) -> None:
        """others: slots of other layers by their tensors. maps: which values are maps with channels first, of those
        that layers give."""
        self._tape, self._owner, self._channels, self._training = tape, owner, channels, training
        self._others, self._read, self._maps = others, dict[str, Slot](), dict(maps)
        self._imports: dict[str, None] = {"import torch": None}

    def until(self, end: int, stops: dict[int, str]) -> Excerpt:
        needed = self._needed(end, stops)
        given = [number for number in needed if number in stops]
        done = [number for number in needed if number not in stops]
        numbers = {number: place for place, number in enumerate([*given, *done])}
        operations = tuple(self._operation(number, numbers) for number in done)
        imports = [*self._imports, "torch.set_default_dtype(torch.float64)"]
        return Excerpt(
            imports=tuple(imports), given=tuple(self._given(number, stops[number]) for number in given),
            operations=operations,
            tensors=dict(self._shapes()) | {name: each.shape for name, each in self._read.items()},
            others={name: each.name for name, each in self._read.items()},
            buffers=dict(self._buffers()), differentiated=_GRADIENT,
        )  # fmt: skip

    def _needed(self, end: int, stops: dict[int, str]) -> list[int]:
        """Numbers of the records that `end` comes from, itself and what is given included, in order."""
        needed, stack = set[int](), [end]
        while stack:
            number = stack.pop()
            if number in needed:
                continue
            needed.add(number)
            if number not in stops:
                stack += self._tape.records[number].given.values()
        return sorted(needed)

    def _given(self, number: int, name: str) -> Given:
        output = self._tape.outputs[number]
        is_map = self._is_map(number)
        shape = _canonical(output, is_map)
        return Given(name=name, shape=self._narrow(shape), line=f"OUT = {_MAP if is_map else _OTHER}")

    def _operation(self, number: int, numbers: dict[int, int]) -> Operation:
        record, output = self._tape.records[number], self._tape.outputs[number]
        inputs = tuple(dict.fromkeys(record.given.values()))
        named = {tensor: f"IN{inputs.index(value)}" for tensor, value in record.given.items()}
        is_map = self._is_map(number)
        return Operation(
            lines=tuple(self._lines(record, named)), inputs=tuple(numbers[value] for value in inputs),
            shape=self._narrow(_canonical(output, is_map)),
            taken="OUT.permute(0, 2, 3, 1).detach().numpy()" if is_map else "OUT.detach().numpy()",
            line=f"OUT = {_MAP if is_map else _OTHER}",
        )  # fmt: skip

    def _narrow(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape if self._channels is None or not shape else (*shape[:-1], self._channels)

    def _is_map(self, number: int) -> bool:
        """Whether a value is a map with its channels first: as a layer gives it, or as what it comes from is, unless
        it was permuted."""
        if number not in self._maps:
            record, output = self._tape.records[number], self._tape.outputs[number]
            four = isinstance(output, Tensor) and output.ndim == 4
            if four and resolve_name(record.done) == "torch.Tensor.permute":
                order = record.arguments[1:] if len(record.arguments) > 2 else record.arguments[-1]
                self._maps[number] = tuple(order) == (0, 3, 1, 2)
            else:
                self._maps[number] = four and any(map(self._is_map, record.given.values()))
        return self._maps[number]

    # -- lines

    def _lines(self, record: Record, named: dict[int, str]) -> Iterator[str]:
        if record.done is PART:
            yield f"OUT = IN0[{record.arguments[0]}]"
        elif record.done is None:
            raise NotWritten("a tensor from outside")
        elif isinstance(record.done, nn.Module):
            yield from self._of_module(record.done)
        else:
            yield f"OUT = {self._of_function(record, named)}"

    def _of_module(self, module: nn.Module) -> Iterator[str]:
        self._imports[_modules.imports(module)] = None
        made = _modules.call(module, self._channels if module is self._owner.module else None)
        if module is not self._owner.module:
            if any(True for _ in module.parameters()):
                raise NotWritten(f"the tensors of {type(module).__name__}")
            yield f"OUT = {made}(IN0)"
            return
        yield f"layer = {made}" + ("" if self._training or not isinstance(module, _BatchNorm) else ".eval()")
        attributes = {id(tensor): name for name, tensor in [*module.named_parameters(), *module.named_buffers()]}
        for slot in self._owner.slots:
            yield f"layer.{attributes[id(slot.tensor)]}.data = {self._tensor(slot)}"
        yield "OUT = layer(IN0)"

    def _of_function(self, record: Record, named: dict[int, str]) -> str:
        name = resolve_name(record.done)
        if name is None:
            raise NotWritten(f"the function {getattr(record.done, '__name__', record.done)}")
        if name.endswith(".__getitem__"):
            return f"{self._written(record.arguments[0], named)}[{_index(record.arguments[1])}]"
        args = [self._written(value, named) for value in record.arguments]
        keywords = [f"{key}={self._written(value, named)}" for key, value in record.keywords.items()]
        first, rest = (args[0], ", ".join([*args[1:], *keywords])) if args else ("", "")
        if name.endswith(".__get__"):
            return f"{first}.{name.split('.')[-2]}"
        method = name.removeprefix("torch.Tensor.")
        sign = _SIGNS.get(method.strip("_").removeprefix("i")) or _SIGNS.get(method.strip("_"))
        if method != name and sign and len(args) == 2 and not keywords:
            return f"{first} {sign} {args[1]}"
        if method != name:
            return (
                f"torch.Tensor.{method}({', '.join([*args, *keywords])})"
                if "__" in method
                else (f"{first}.{method}({rest})")
            )
        if name.startswith("torch.nn.functional."):
            self._imports["from torch.nn import functional"] = None
            name = name.removeprefix("torch.nn.")
        return f"{name}({', '.join([*args, *keywords])})"

    def _written(self, value: Any, named: dict[int, str]) -> str:
        if isinstance(value, Tensor):
            return named.get(id(value)) or self._constant(value)
        if isinstance(value, torch.dtype | torch.device):
            return repr(value) if isinstance(value, torch.dtype) else "None"
        if isinstance(value, tuple | list) and any(isinstance(part, Tensor) for part in value):
            return f"[{', '.join(self._written(part, named) for part in value)}]"
        return written(value)

    # -- tensors

    def _constant(self, value: Tensor) -> str:
        """A tensor that does not come from what is read: the layer's, another layer's, or a number."""
        if slot := next((slot for slot in self._owner.slots if slot.tensor is value), None):
            return self._tensor(slot)
        if (slot := self._others.get(id(value))) is not None:
            self._read[name := f"{slot.kind}_{slot.name.partition('.')[0]}"] = slot
            return self._tensor(slot, name)
        if value.numel() == 1:
            return repr(value.item())
        raise NotWritten("a tensor that is no layer's, and not made from what is read")

    def _shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        module = self._owner.module
        depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
        for slot in self._owner.slots:
            shape = slot.shape
            if self._channels is not None:
                shape = narrowed(slot.kind, shape, self._channels, depthwise=depthwise)
            yield slot.kind, shape

    def _buffers(self) -> Iterator[tuple[str, str]]:
        attributes = {id(tensor): name for name, tensor in self._owner.module.named_buffers()}
        for slot in self._owner.slots:
            if id(slot.tensor) in attributes:
                yield slot.kind, f"layer.{attributes[id(slot.tensor)]}.numpy()"

    def _tensor(self, slot: Slot, name: str = "") -> str:
        """The way from the slot's array to torch's tensor: tried, not reasoned."""
        array = np.arange(np.prod(slot.shape, dtype=int), dtype=np.float64).reshape(slot.shape)
        wanted = slot.from_canonical(array)
        for way in _WAYS:
            try:
                made = eval(way, {"V": array})
            except (ValueError, IndexError):
                continue
            if made.shape == wanted.shape and np.array_equal(made, wanted):
                return f"torch.tensor({way.replace('V', name or slot.kind)})"
        raise NotWritten(f"the layout of {slot.name}")


def _canonical(output: Any, is_map: bool) -> tuple[int, ...]:
    shape = shape_of(output)
    return (shape[0], *shape[2:], shape[1]) if is_map else shape


def _index(index: Any) -> str:
    return ", ".join(map(written, index if isinstance(index, tuple) else (index,)))
