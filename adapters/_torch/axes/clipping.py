"""Clipping of gradients, by their common norm or each by its own: realised, and how to write it.

It goes by `limit/norm` exactly: `torch.nn.utils.clip_grad_norm_` adds 1e-6 to the norm, which Keras does not, so that
the engines would part at 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from isotune.adapters.remedies import Table

if TYPE_CHECKING:
    from torch import Tensor


def clipper(value: str) -> Callable[[list[Tensor], float], None]:
    """What scales gradients, in place: so that the norm of all of them together is at most the limit (`global-norm`),
    or each one's own (`per-variable`)."""
    import torch

    def factor(norm: Tensor, limit: float) -> Tensor:
        return torch.clamp(limit / norm, max=1.0)

    def together(gradients: list[Tensor], limit: float) -> None:
        if gradients:
            torch._foreach_mul_(gradients, factor(torch.nn.utils.get_total_norm(gradients), limit))

    def each(gradients: list[Tensor], limit: float) -> None:
        if gradients:
            torch._foreach_mul_(gradients, [factor(norm, limit) for norm in torch._foreach_norm(gradients)])

    return together if value == "global-norm" else each


# -- the lines to write


_CLIP_TOGETHER = '''
import torch


def clip(model, limit):
    """Between `loss.backward()` and `optimizer.step()`."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    factor = (limit / torch.nn.utils.get_total_norm(gradients)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)
'''


_CLIP_EACH = '''
def clip(model, limit):
    """Between `loss.backward()` and `optimizer.step()`."""
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_((limit / parameter.grad.norm()).clamp(max=1.0))
'''


REMEDIES: Table = {
    "clipping": {
        "global-norm": (_CLIP_TOGETHER, "`torch.nn.utils.clip_grad_norm_` is the same but for 1e-6 added to the norm."),
        "per-variable": (_CLIP_EACH, ""),
    },
}
