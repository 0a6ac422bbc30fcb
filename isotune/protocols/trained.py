"""The layers that a stage trains."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from isotune.protocols._stages import Stage
from isotune.weights import Layer, select_trained

_STATISTICS = ".mean"  # of BatchNorm alone


def trained_layers(stage: Stage, layers: list[Layer], tensors: Callable[[], Iterable[str]]) -> set[str]:
    """Their names. tensors: gives those of the network's tensors, by which BatchNorm is known. UsageError: no such."""
    chosen = select_trained(layers, stage.trained)
    if stage.batchnorm == "frozen":
        chosen -= {name.removesuffix(_STATISTICS) for name in tensors() if name.endswith(_STATISTICS)}
    return chosen
