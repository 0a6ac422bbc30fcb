"""Numeric modes as Keras's global settings: floatx, dtype policy, and what keeps float64 wide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import keras

from isotune.adapters._keras.wide import written_out
from isotune.adapters.base import NumericMode


@contextmanager
def numeric(mode: NumericMode) -> Iterator[None]:
    """Keras's global settings for a numeric mode, put back on leaving.

    float64 holds for building, tracing and running (Keras converts Python numbers to floatx, JAX narrows to
    32 bits unless told otherwise); bfloat16 is a policy that layers keep from when they are built.
    """
    with ExitStack() as stack:
        if mode == "float64":
            stack.enter_context(_wide_results())
            stack.enter_context(written_out())
        stack.enter_context(settings_kept())
        keras.config.set_floatx("float64" if mode == "float64" else "float32")
        keras.config.set_dtype_policy("mixed_bfloat16" if mode == "bfloat16" else mode)
        yield


@contextmanager
def settings_kept() -> Iterator[None]:
    """Floatx and dtype policy are put back on leaving."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


@contextmanager
def _doubles() -> Iterator[None]:
    """While inside, what torch makes of a number (`keras.ops.sqrt(3)`) is float64."""
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _wide_results() -> Iterator[None]:
    """While inside, float64 stays float64.

    On JAX and PyTorch Keras promotes as JAX does without its x64 mode: whatever comes out of two operands is
    narrowed to 32 bits (keras/src/backend/common/dtypes.py, BIT64_TO_BIT32_DTYPE), BatchNorm, LayerNorm and
    pooling included, even under floatx float64. There is no public switch.
    """
    from keras.src.backend.common import dtypes

    with ExitStack() as stack:
        if keras.backend.backend() == "jax":
            import jax

            stack.enter_context(jax.enable_x64(True))
        if keras.backend.backend() == "torch":
            stack.enter_context(_doubles())
        narrowed = dtypes.BIT64_TO_BIT32_DTYPE["float64"]
        dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
        try:
            yield
        finally:
            dtypes.BIT64_TO_BIT32_DTYPE["float64"] = narrowed
