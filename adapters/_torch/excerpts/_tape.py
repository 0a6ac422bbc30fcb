"""What a forward pass does, operation by operation: modules of torch.nn as they are called, and between them functions.

A `TorchFunctionMode` sees every function and method that is called with tensors; modules that can be written as the
call that makes them are one operation, whatever they call inside. A tensor that is changed in place is another value
from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode


@dataclass
class Record:
    """One operation. done: a function, or a module. inputs: numbers of the values that it takes, where Tensors stand
    in `arguments`."""

    done: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    given: dict[int, int] = field(default_factory=dict)  # id of a Tensor among the arguments -> number of its value


class Tape(TorchFunctionMode):
    """Records while it is entered. A value is a number: of the record that gives it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Record] = []
        self.outputs: list[Any] = []
        self._numbers: dict[int, int] = {}
        self._inside = 0  # modules that are one operation

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        if self._inside:
            return func(*args, **keywords)
        before = self._given(args, keywords)
        output = func(*args, **keywords)
        if isinstance(output, Tensor) or _holds_tensors(output):
            self._note(Record(func, args, keywords, before), output)
        return output

    def number(self, tensor: Tensor) -> int | None:
        """Of the value that the tensor is now; None: it comes from outside."""
        return self._numbers.get(id(tensor))

    def name(self, tensor: Tensor) -> int:
        """Take up a tensor from outside as a value; its number."""
        return self._note(Record(None, (), {}), tensor)

    @contextmanager
    def around(self, modules: Iterator[nn.Module]) -> Iterator[None]:
        """While inside, each of the modules is one operation when it is called with one tensor."""
        changed = []
        for module in modules:
            if "forward" not in vars(module):
                module.forward = self._whole(module, module.forward)
                changed.append(module)
        try:
            yield
        finally:
            for module in changed:
                del module.forward

    def _whole(self, module: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            if self._inside or kwargs or len(args) != 1 or not isinstance(args[0], Tensor):
                return forward(*args, **kwargs)
            before = self._given(args, {})
            self._inside += 1
            try:
                output = forward(*args)
            finally:
                self._inside -= 1
            if isinstance(output, Tensor):
                self._note(Record(module, args, {}, before), output)
            return output

        return called

    def _given(self, args: Any, kwargs: Any) -> dict[int, int]:
        numbers: dict[int, int] = {}
        _each(args, lambda tensor: numbers.update(self._known(tensor)))
        _each(kwargs, lambda tensor: numbers.update(self._known(tensor)))
        return numbers

    def _known(self, tensor: Tensor) -> dict[int, int]:
        number = self._numbers.get(id(tensor))
        return {} if number is None else {id(tensor): number}

    def _note(self, record: Record, output: Any) -> int:
        self.records.append(record)
        self.outputs.append(output)  # kept, so that no other tensor has its id
        number = len(self.records) - 1
        if isinstance(output, Tensor):
            self._numbers[id(output)] = number
        else:
            for place, part in enumerate(output):
                if isinstance(part, Tensor):
                    self._note(Record(_Part, (place,), {}, {id(output): number}), part)
        return number


class _Part:
    """One of several tensors that an operation gives."""


PART = _Part


def _holds_tensors(output: Any) -> bool:
    return isinstance(output, tuple | list) and any(isinstance(part, Tensor) for part in output)


def _each(value: Any, see: Callable[[Tensor], object]) -> None:
    if isinstance(value, Tensor):
        see(value)
    elif isinstance(value, tuple | list):
        for part in value:
            _each(part, see)
    elif isinstance(value, dict):
        for part in value.values():
            _each(part, see)


def shape_of(output: Any) -> tuple[int, ...]:
    return tuple(output.shape) if isinstance(output, torch.Tensor) else ()
