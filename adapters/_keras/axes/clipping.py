"""Clipping of gradients, by their common norm or each by its own: realised, and how to write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isotune.adapters._keras.axes.lines import FIRST
from isotune.adapters.remedies import Table


def factors(value: str) -> Callable[[list[Any], float], list[Any]]:
    """What each gradient is multiplied by, so that the norm of all together is at most the limit (`global-norm`), or
    each one's own (`per-variable`)."""
    from keras import ops

    def squares(gradient: Any) -> Any:
        return ops.sum(ops.square(gradient))

    def factor(squared: Any, limit: float) -> Any:
        # a norm of zero gives 1; `ops.minimum` with a number narrows to float32 on torch
        return ops.clip(limit / ops.sqrt(squared), 0.0, 1.0)

    def each(gradients: list[Any], limit: float) -> list[Any]:
        return [factor(squared, limit) for squared in [squares(gradient) for gradient in gradients]]

    def together(gradients: list[Any], limit: float) -> list[Any]:
        squared = [squares(gradient) for gradient in gradients]
        return [factor(ops.sum(ops.stack(squared)), limit)] * len(gradients)

    return each if value == "per-variable" else together


# -- the lines to write


_CLIP_TOGETHER = """
optimizer.clipnorm, optimizer.global_clipnorm = None, optimizer.clipnorm
"""


_CLIP_EACH = """
optimizer.clipnorm, optimizer.global_clipnorm = optimizer.global_clipnorm, None
"""


REMEDIES: Table = {
    "clipping": {
        "global-norm": (_CLIP_TOGETHER, f"{FIRST} It is the argument `global_clipnorm` in the place of `clipnorm`."),
        "per-variable": (_CLIP_EACH, f"{FIRST} It is the argument `clipnorm` in the place of `global_clipnorm`."),
    },
}
