"""A new classifier, which isotune draws in NumPy, once for all libraries (isotune.weights): how to write it, and from
which law a constructor draws one, read off the operations that do it, on the device `meta` too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from isotune.adapters.remedies import Lines, Table
from isotune.conventions import head_law

if TYPE_CHECKING:
    from torch import Tensor, nn

_HEAD = """
from torch import nn

head = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
"""
_ZERO_BIAS = "nn.init.zeros_(head.bias)"
_HEADS = {
    "uniform-fan-in": "nn.init.uniform_(head.weight, -(head.in_features**-0.5), head.in_features**-0.5)\n"
    "nn.init.uniform_(head.bias, -(head.in_features**-0.5), head.in_features**-0.5)",
    "uniform-fan-in-weight": "nn.init.uniform_(head.weight, -(head.in_features**-0.5), head.in_features**-0.5)\n"
    f"{_ZERO_BIAS}",
    "uniform-fan-out": "nn.init.uniform_(head.weight, -(head.out_features**-0.5), head.out_features**-0.5)\n"
    f"{_ZERO_BIAS}",
    "glorot-uniform": f"nn.init.xavier_uniform_(head.weight)\n{_ZERO_BIAS}",
    "zeros": f"nn.init.zeros_(head.weight)\n{_ZERO_BIAS}",
    "normal": f"nn.init.normal_(head.weight, std=STD)\n{_ZERO_BIAS}",
    "truncated-normal": f"nn.init.trunc_normal_(head.weight, std=STD, a=-2 * STD, b=2 * STD)\n{_ZERO_BIAS}",
}


def _head(value: str) -> Lines:
    lines = _HEADS[value.partition("(")[0]].replace("STD", repr(head_law(value, 1, 1).size))
    return f"{_HEAD}{lines}", "The same law, from another generator: isotune draws a head once for all libraries."


REMEDIES: Table = {"head_initialisation": _head}


# -- read off a constructor


_STARTS = ("uniform_", "normal_", "zero_", "fill_", "copy_")  # what stood before is gone
_NOTED = frozenset((*_STARTS, "erfinv_", "mul_", "div_", "add_"))
_DEFAULTS = {"uniform_": (0.0, 1.0), "normal_": (0.0, 1.0)}  # torch hands on what is not the default alone
_NEAR = 1e-6
_WITHIN_TWO = math.erf(2 / math.sqrt(2))  # of a normal, within two standard deviations
_Step = tuple[str, tuple[float, ...]]  # an operation in place, and its numbers
_Law = tuple[str, float]  # uniform and its bound, or a normal and its standard deviation
_ZEROS: _Law = "uniform", 0.0


class Drawn:
    """What was drawn into each storage since recording began."""

    def __init__(self) -> None:
        self._steps: dict[int, list[_Step]] = {}
        self._kept: list[Any] = []  # so that no other storage gets the address of one that is noted

    def note(self, operation: str, tensor: Tensor, *given: object, **_: object) -> None:
        numbers = [float(value) if isinstance(value, int | float) else math.nan for value in given]
        numbers += _DEFAULTS.get(operation, ())[len(numbers) :]
        storage = tensor.untyped_storage()
        if storage._cdata not in self._steps:
            self._kept.append(storage)
        steps = self._steps.setdefault(storage._cdata, [])
        if operation in _STARTS:
            steps.clear()
        steps.append((operation, tuple(numbers)))

    def law(self, classifier: nn.Module) -> str | None:
        """The value of `head_initialisation` by which its weight [classes, features, ...] and bias [classes] were drawn
        last; None: by none of them."""
        classes, features = classifier.weight.shape[:2]  # type: ignore[index]
        weight, bias = self._law_of(classifier.weight), self._law_of(classifier.bias)  # type: ignore[arg-type]
        if weight is None or bias is None:
            return None
        if bias[1]:
            return "uniform-fan-in" if all(_near(law, ("uniform", features**-0.5)) for law in (weight, bias)) else None
        name, size = weight
        if name.endswith("normal"):
            return f"{name}({size:.6g})"
        known = {
            "zeros": 0.0,
            "uniform-fan-in-weight": features**-0.5,
            "uniform-fan-out": classes**-0.5,
            "glorot-uniform": (6 / (features + classes)) ** 0.5,
        }
        return next((law for law, bound in known.items() if math.isclose(size, bound, rel_tol=_NEAR)), None)

    def _law_of(self, tensor: Tensor | None) -> _Law | None:
        if tensor is None:
            return _ZEROS
        (start, numbers), *changes = self._steps.get(tensor.untyped_storage()._cdata) or [("", ())]
        factor = math.prod(by[0] for name, by in changes if name == "mul_")
        if any(name == "div_" or (name == "add_" and by[0]) for name, by in changes):
            return None
        if not any(numbers) and start in ("zero_", "fill_"):
            return _ZEROS
        if start == "normal_" and numbers[0] == 0:
            return "normal", numbers[1] * factor
        if start != "uniform_" or numbers[0] != -numbers[1]:
            return None
        inverted = any(name == "erfinv_" for name, _ in changes)
        return _of_inverse(numbers[1], factor) if inverted else ("uniform", numbers[1] * factor)


def _of_inverse(bound: float, factor: float) -> _Law | None:
    """Of factor * erf^-1(U(+-bound)), a normal that is cut off at the share `bound` of it."""
    if bound > 1 - _NEAR:
        return "normal", factor / math.sqrt(2)
    return ("truncated-normal", factor / math.sqrt(2)) if math.isclose(bound, _WITHIN_TWO, rel_tol=_NEAR) else None


def _near(law: _Law, other: _Law) -> bool:
    return law[0] == other[0] and math.isclose(law[1], other[1], rel_tol=_NEAR)


@contextmanager
def drawn() -> Iterator[Drawn]:
    """While tensors are drawn: by which operations."""
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = Drawn()

    class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            operation = func.__name__.partition(".")[0]
            if operation in _NOTED:
                seen.note(operation, *args, **(kwargs or {}))
            return func(*args, **(kwargs or {}))

    with Recording():  # type: ignore[no-untyped-call]
        yield seen
