"""Residual branches of a Keras model, and a pass with some of them left out.

The graph says which Add is a residual sum and which of its operands the branch (`residual`). These operations are given
a call that multiplies a mask into the branch, where there is one; without, they compute as they did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from keras import ops

from isotune.adapters._keras.dataflow import trace_branches


class Branches:
    """Those of one model, whose operations are changed in place; layers: (name of the Keras layer, form) of the last in
    each, in the order of execution. UsageError: not known exactly."""

    def __init__(self, model: Any) -> None:
        known = trace_branches(model)
        self.layers: list[Any] = [branch.layer for branch, _ in known]
        self._masks: Any = None
        for number, (branch, operation) in enumerate(known):
            operation.call = self._masking(operation.call, branch.operand, number)

    @contextmanager
    def masked(self, masks: Any) -> Iterator[None]:
        """While inside, passes of the model have these masks [N, branches]."""
        self._masks = masks
        try:
            yield
        finally:
            self._masks = None

    def _masking(self, own: Callable[..., Any], place: int, number: int) -> Callable[..., Any]:
        def call(*operands: Any, **kwargs: Any) -> Any:
            if self._masks is None:
                return own(*operands, **kwargs)
            listed = isinstance(operands[0], list | tuple)  # of a layer
            given = list(operands[0] if listed else operands)
            branch = given[place]
            mask = ops.reshape(self._masks[:, number], (-1, *[1] * (len(branch.shape) - 1)))
            given[place] = branch * ops.cast(mask, branch.dtype)
            return own(given, *operands[1:], **kwargs) if listed else own(*given, **kwargs)

        return call
