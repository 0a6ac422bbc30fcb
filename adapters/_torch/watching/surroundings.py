"""What a loop's results depend on beside its own lines: versions, flags, random generators."""

from __future__ import annotations

import hashlib
import os
import platform
import random
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def configuration(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Versions, flags and settings by name."""
    first = next(net.parameters())
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    flags = torch.backends
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "device": torch.cuda.get_device_name(first.device) if first.device.type == "cuda" else first.device.type,
        "threads": torch.get_num_threads(),
        "parameters": sum(each.numel() for each in net.parameters()),
        "dtype": str(first.dtype).removeprefix("torch."),
        "autocast": torch.is_autocast_enabled(first.device.type),
        "optimizer": type(optimizer).__name__,
        "batchnorm momentum": _counted(module.momentum for module in norms),
        "batchnorm epsilon": _counted(module.eps for module in norms),
        "layernorm epsilon": _counted(module.eps for module in net.modules() if isinstance(module, nn.LayerNorm)),
        "dropout": _counted(module.p for module in net.modules() if isinstance(module, nn.modules.dropout._DropoutNd)),
        "seed": torch.initial_seed(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn.benchmark": flags.cudnn.benchmark,
        "cudnn.deterministic": flags.cudnn.deterministic,
        "TF32 in convolutions": flags.cudnn.allow_tf32,
        "TF32 in products": flags.cuda.matmul.allow_tf32,
        "float32 matmul precision": torch.get_float32_matmul_precision(),
        "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED"),
    }


def _counted(values: Any) -> dict[str, int]:
    """How many layers have which value."""
    return dict(Counter(map(str, values)))


def random_states() -> dict[str, str]:
    """A digest of the state of every generator that a loop commonly draws from; it changes when one is drawn from."""
    states = {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": repr([np.asarray(part).tobytes() for part in np.random.get_state()[1:3]]).encode(),  # type: ignore[index]
        "python": repr(random.getstate()).encode(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["cuda"] = torch.cuda.get_rng_state().numpy().tobytes()
    return {name: hashlib.sha256(state).hexdigest()[:16] for name, state in states.items()}
