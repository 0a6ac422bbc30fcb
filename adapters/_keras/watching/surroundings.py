"""What training depends on beside its own lines: versions, flags, random generators."""

from __future__ import annotations

import hashlib
import os
import platform
import random
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import keras
import numpy as np

from isotune.adapters._keras.layers import flatten
from isotune.adapters._keras.watching.optimizers import within


def configuration(model: Any, optimizer: Any) -> dict[str, Any]:
    """Versions, flags and settings by name."""
    layers = list(flatten(model))
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    inner = within(optimizer)
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
        "engine": keras.backend.backend(),
        **{package: _version(package) for package in ("tensorflow", "torch", "jax") if _version(package)},
        "parameters": model.count_params(),
        "dtype": keras.config.floatx(),
        "dtype policy": model.dtype_policy.name,
        "image data format": keras.config.image_data_format(),
        "optimizer": type(inner).__name__,
        "batchnorm momentum": _counted(round(1 - float(layer.momentum), 10) for layer in norms),
        "batchnorm epsilon": _counted(layer.epsilon for layer in norms),
        "layernorm epsilon": _counted(
            layer.epsilon for layer in layers if isinstance(layer, keras.layers.LayerNormalization)
        ),
        "dropout": _counted(layer.rate for layer in layers if isinstance(layer, keras.layers.Dropout)),
        "regularized": sum(bool(getattr(layer, "kernel_regularizer", None)) for layer in layers),
        "loss": _named(getattr(model, "loss", None)),
        "jit_compile": getattr(model, "jit_compile", None),
        "run_eagerly": getattr(model, "run_eagerly", None),
        "use_ema": inner.use_ema,
        **({"ema": _average(inner)} if inner.use_ema else {}),
        "accumulated steps": inner.gradient_accumulation_steps,
        "schedule": type(inner._learning_rate).__name__,
        **{name: os.environ[name] for name in ("TF_DETERMINISTIC_OPS", "XLA_FLAGS", "TF_ENABLE_ONEDNN_OPTS",
                                               "PYTHONHASHSEED") if name in os.environ},
    }  # fmt: skip


def _average(optimizer: Any) -> str:
    every = optimizer.ema_overwrite_frequency
    return f"momentum {optimizer.ema_momentum:g}" + (f", in the weights' place every {every} steps" if every else "")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _named(loss: Any) -> Any:
    if loss is None or isinstance(loss, str):
        return loss
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    kept = {name: config[name] for name in ("from_logits", "label_smoothing", "reduction") if name in config}
    return f"{getattr(loss, '__name__', type(loss).__name__)} {kept or ''}".strip()


def _counted(values: Any) -> dict[str, int]:
    """How many layers have which value."""
    return dict(Counter(map(str, values)))


def random_states(model: Any) -> dict[str, str]:
    """A digest of the state of every generator that training commonly draws from."""
    seeds = [variable for variable in model.variables if "seed_generator_state" in variable.path]
    states = {
        "keras": b"".join(np.asarray(keras.ops.convert_to_numpy(seed)).tobytes() for seed in seeds),
        "numpy": repr([np.asarray(part).tobytes() for part in np.random.get_state()[1:3]]).encode(),  # type: ignore[index]
        "python": repr(random.getstate()).encode(),
    }
    return {name: hashlib.sha256(state).hexdigest()[:16] for name, state in states.items()}
