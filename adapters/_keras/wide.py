"""What Keras's engines round by themselves in float64, computed otherwise while that mode is on.

Numbers that TensorFlow gets from Python become float32 before they become anything else (tf.cast(0.1, "float64") is
float32's 0.1), and so do the slope of its LeakyReLU, GELU's root of 2 and what its resizing gives; JAX's attention
takes its softmax in float32; torch's hardsigmoid and CELU hold a constant of the gradient in float32. The experiment
that finds them goes through Keras's layers and activations: tests/adapters/keras_scripts/wide.py.

Keras looks these functions up in its engine's modules at every call, which reaches layers, keras.activations and
keras.ops alike.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

_Function = Callable[..., Any]
_Place = tuple[str, str, Callable[[_Function], _Function]]  # module, function, what takes its place, given the function


@contextmanager
def written_out() -> Iterator[None]:
    """While inside, what the engine rounds is computed in float64: for building, tracing and running a network."""
    places = _places(keras.backend.backend())
    before = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, instead in places:
        setattr(module, name, instead)
    try:
        yield
    finally:
        for module, name, own in before:
            setattr(module, name, own)


@functools.cache
def _places(engine: str) -> list[tuple[Any, str, _Function]]:
    """(module, name of its function, what takes its place): always the same objects."""
    replaced: list[tuple[Any, str, _Function]] = []
    for path, name, instead in _ENGINES[engine]:
        module = importlib.import_module(path)
        own = getattr(module, name)
        replaced.append((module, name, functools.wraps(own)(instead(own))))
    return replaced


# -- TensorFlow


def _convert_to_tensor(own: _Function) -> _Function:
    def convert_to_tensor(value: Any, dtype: Any = None, *args: Any, **kwargs: Any) -> Any:
        return own(np.asarray(value, np.float64) if _numbers(value) else value, dtype, *args, **kwargs)

    return convert_to_tensor


def _cast(own: _Function) -> _Function:
    def cast(x: Any, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        return own(np.asarray(x, np.float64) if _numbers(x) else x, dtype, *args, **kwargs)

    return cast


def _numbers(value: Any) -> bool:
    """Whether it is a Python number with a fraction, or lists of numbers with one among them."""
    if isinstance(value, list | tuple):
        plain = all(isinstance(each, int | float) or _numbers(each) for each in value)
        return plain and any(_numbers(each) for each in value)
    return isinstance(value, float)


def _leaky_relu(_own: _Function) -> _Function:
    def leaky_relu(x: Any, negative_slope: float = 0.2) -> Any:
        x = ops.convert_to_tensor(x)
        return ops.where(x > 0, x, x * negative_slope)

    return leaky_relu


def _gelu(_own: _Function) -> _Function:
    def gelu(x: Any, approximate: bool = True) -> Any:
        x = ops.convert_to_tensor(x)
        if approximate:
            return 0.5 * x * (1.0 + ops.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
        return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5)))

    return gelu


def _resize(own: _Function) -> _Function:
    """Bilinear only: bicubic without antialias takes its weights from a table of 1024 places
    (tensorflow/core/kernels/image/resize_bicubic_op.cc), which is another function."""

    def resize(
        images: Any, size: Any, interpolation: str = "bilinear", antialias: bool = False, *args: Any, **kwargs: Any
    ) -> Any:
        given = [*args, *(value for name, value in kwargs.items() if name.endswith("_aspect_ratio"))]
        channels_last = kwargs.get("data_format") in (None, "channels_last")
        if interpolation != "bilinear" or any(given) or not channels_last:
            return own(images, size, interpolation, antialias, *args, **kwargs)
        images = ops.convert_to_tensor(images)
        rows, columns = (
            ops.cast(_bilinear(images.shape[axis], wanted, antialias), images.dtype)
            for axis, wanted in zip((-3, -2), size, strict=True)
        )
        return ops.einsum("...hwc,hy,wx->...yxc", images, rows, columns)

    return resize


def _bilinear(pixels: int, wanted: int, antialias: bool) -> np.ndarray:
    """Weights [pixels, wanted] of a resizing with half-pixel centres, as tf.image.resize has them: triangles, wider
    ones with antialias, each column normalised."""
    step = pixels / wanted
    centres = (np.arange(wanted) + 0.5) * step - 0.5
    distances = np.abs(centres - np.arange(pixels)[:, None]) / (max(step, 1.0) if antialias else 1.0)
    weights = np.maximum(0.0, 1.0 - distances)
    if not antialias:  # beyond the outermost centres the nearest pixel alone
        weights = np.maximum(0.0, 1.0 - np.abs(np.clip(centres, 0, pixels - 1) - np.arange(pixels)[:, None]))
    shares: np.ndarray = weights / weights.sum(axis=0)
    return shares


# -- JAX


def _dot_product_attention(_own: _Function) -> _Function:
    """jax/_src/nn/functions.py: "Softmax and it is always carried out in fp32"."""

    def dot_product_attention(
        query: Any,
        key: Any,
        value: Any,
        bias: Any = None,
        mask: Any = None,
        scale: float | None = None,
        is_causal: bool = False,
        **_ways: Any,  # of computing the same; a soft cap is for TPUs
    ) -> Any:
        query, key, value = (ops.convert_to_tensor(each) for each in (query, key, value))
        logits = ops.einsum("btnh,bsnh->bnts", query, key) * (query.shape[-1] ** -0.5 if scale is None else scale)
        if bias is not None:
            logits = logits + bias
        if is_causal:
            causal = ops.tril(ops.ones(logits.shape[-2:], dtype="bool"))
            mask = causal if mask is None else ops.logical_and(mask, causal)
        if mask is not None:
            logits = ops.where(mask, logits, -0.7 * float(np.finfo(np.float32).max))
        return ops.einsum("bnts,bsnh->btnh", ops.softmax(logits, axis=-1), value)

    return dot_product_attention


# -- PyTorch


def _hard_sigmoid(_own: _Function) -> _Function:
    def hard_sigmoid(x: Any) -> Any:
        return ops.relu6(ops.convert_to_tensor(x) + 3.0) / 6.0

    return hard_sigmoid


def _celu(_own: _Function) -> _Function:
    def celu(x: Any, alpha: float = 1.0) -> Any:
        x = ops.convert_to_tensor(x)
        return ops.maximum(x, 0.0) + alpha * ops.expm1(ops.minimum(x, 0.0) / alpha)

    return celu


_BACKEND = "keras.src.backend"  # Keras has no public way to its engines' functions
_ENGINES: dict[str, tuple[_Place, ...]] = {
    "tensorflow": (
        ("tensorflow", "convert_to_tensor", _convert_to_tensor),
        ("tensorflow", "cast", _cast),
        (f"{_BACKEND}.tensorflow.nn", "leaky_relu", _leaky_relu),
        (f"{_BACKEND}.tensorflow.nn", "gelu", _gelu),
        (f"{_BACKEND}.tensorflow.image", "resize", _resize),
    ),
    "jax": ((f"{_BACKEND}.jax.nn", "dot_product_attention", _dot_product_attention),),
    "torch": (
        (f"{_BACKEND}.torch.nn", "hard_sigmoid", _hard_sigmoid),
        (f"{_BACKEND}.torch.nn", "celu", _celu),
    ),
}
