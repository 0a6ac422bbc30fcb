"""Weights that are numbers: NaN and infinite values are refused where a file is read."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from isotune.errors import UsageError


def check_finite(tensors: Iterable[tuple[str, np.ndarray]], where: object) -> None:
    """UsageError, with the first tensor that holds NaN or infinite values; where: the file."""
    for name, array in tensors:
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            kinds = [kind for kind, places in (("NaN", np.isnan(array)), ("infinite", np.isinf(array))) if places.any()]
            raise UsageError(
                f"{where}: tensor {name!r} {tuple(array.shape)} holds values that are {' and '.join(kinds)};"
                " a model with them computes nothing"
            )
