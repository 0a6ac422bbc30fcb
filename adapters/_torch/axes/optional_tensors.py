"""Biases of convolutions and scales of BatchNorms, which one of checkpoint and network may have and the other not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from isotune.adapters.remedies import ISOTUNE, Table
from isotune.weights.folding import differences

if TYPE_CHECKING:
    from isotune.adapters._torch.layers import ModuleLayer


def take_tensors(layers: list[ModuleLayer], weights: Mapping[str, np.ndarray]) -> None:
    """Give convolutions a bias and BatchNorms a scale where the weights have one, and take it away where not."""
    import torch
    from torch import nn

    layout = {slot.name: slot.shape for each in layers for slot in each.slots}
    modules = {each.layer.name: each.module for each in layers}
    for (layer, slot), wanted in differences(weights, [each.layer for each in layers], layout).items():
        values = torch.from_numpy(np.array(weights[f"{layer}.{slot}"], np.float32)) if wanted else None
        name = "bias" if slot == "bias" else "weight"
        modules[layer].register_parameter(name, None if values is None else nn.Parameter(values))


REMEDIES: Table = {
    "optional_tensors": {
        "checkpoint": (
            "",
            "Biases of convolutions and scales of BatchNorms that the library's network lacks need another network."
            f" {ISOTUNE}",
        ),
        "own": ("", "It is what the library builds by itself; `isotune transfer` folds the other tensors into it."),
    },
}
