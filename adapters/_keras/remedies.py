"""The lines to write for Keras, axis by axis: each from the module that realises it."""

from __future__ import annotations

from isotune.adapters._keras.axes import (
    activations,
    clipping,
    decay,
    head,
    input,
    loss,
    norms,
    optimizers,
    optional_tensors,
    padding,
    piecewise,
    pooling,
    strides,
)
from isotune.adapters.remedies import Table

_MODULES = (
    input, padding, pooling, strides, norms, activations, piecewise, optional_tensors, head, optimizers, decay,
    clipping, loss,
)  # fmt: skip
REMEDIES: Table = {axis: lines for module in _MODULES for axis, lines in module.REMEDIES.items()}
