"""A moving average of the weights, kept up beside a training (isotune.protocols.averages)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isotune.protocols import Averaging
from isotune.protocols.averages import decays

_STATISTICS = (".mean", ".variance")  # BatchNorm's


class Average:
    """That of one training. initial: the tensors before it, canonical names. steps: of all stages."""

    def __init__(self, averaging: Averaging, initial: Mapping[str, np.ndarray], steps: int) -> None:
        self._averaging = averaging
        self._decays = decays(averaging, steps // averaging.every)
        self.tensors = {name: np.array(array) for name, array in initial.items()}

    def is_due(self, step: int) -> bool:
        """Whether there is an update after so many steps, from 1."""
        return step % self._averaging.every == 0

    def update(self, step: int, weights: Mapping[str, np.ndarray]) -> None:
        """weights: those after so many steps."""
        decay = self._decays[step // self._averaging.every - 1]
        for name, array in weights.items():
            copied = self._averaging.statistics == "copied" and name.endswith(_STATISTICS)
            kept = self.tensors[name].dtype.type(0.0 if copied else decay)
            if kept:
                self.tensors[name] = self.tensors[name] * kept + array * (1 - kept)
            else:
                self.tensors[name] = np.array(array)

    def restore(self, tensors: Mapping[str, np.ndarray]) -> None:
        """As it was in a draft."""
        self.tensors = {name: np.array(array) for name, array in tensors.items()}
