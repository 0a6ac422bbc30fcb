"""Biases of convolutions and scales of BatchNorms, which one of checkpoint and network may have and the other not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from isotune.adapters.remedies import ISOTUNE, Table
from isotune.weights.folding import differences

if TYPE_CHECKING:
    from isotune.adapters._keras.layers import Part


def tensor_changes(parts: list[Part], model: Any, weights: Mapping[str, np.ndarray]) -> dict[str, dict[str, bool]]:
    """Name of a Keras layer -> what of its configuration must change so that it has the tensors that `weights` have."""
    from isotune.adapters._keras.layers import tensors

    layout = {name: tensor.shape for name, tensor in tensors(parts, model).items()}
    owners = {part.layer.name: part.owner for part in parts}
    changes: dict[str, dict[str, bool]] = {}
    for (layer, slot), wanted in differences(weights, [part.layer for part in parts], layout).items():
        changes.setdefault(owners[layer], {})["use_bias" if slot == "bias" else "scale"] = wanted
    return changes


REMEDIES: Table = {
    "optional_tensors": {
        "checkpoint": (
            "",
            "Biases of convolutions and scales of BatchNorms that the library's network lacks, or has too many, need"
            f" another network. {ISOTUNE}",
        ),
        "own": ("", "It is what the library builds by itself; `isotune transfer` folds the other tensors into it."),
    },
}
