"""Cross-entropy in both of its forms: realised, and how to write it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from isotune.adapters.remedies import Table

if TYPE_CHECKING:
    from torch import Tensor

_CLIP = 1e-7  # keras.config.epsilon()


@functools.cache
def cross_entropy(form: str) -> Callable[[Tensor, Tensor, float], Tensor]:
    """The mean cross-entropy of [N, classes] logits under a smoothing, a scalar in the dtype of the logits. labels:
    int64 [N], or targets [N, classes].

    Smoothing is spread evenly over all classes, the target included (torch and Keras alike).
    form: `logits`; or `clipped-probabilities`, as Keras computes it from a softmax's output: renormalised and clipped
    to [1e-7, 1-1e-7] before the logarithm, so that the gradient vanishes where the clip holds
    (keras/src/backend/torch/nn.py, categorical_crossentropy with from_logits=False).
    """
    import torch
    from torch.nn import functional

    def from_logits(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)

    def from_probabilities(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
        probabilities = torch.softmax(logits, dim=1)
        probabilities = probabilities / probabilities.sum(dim=1, keepdim=True)
        logarithms = torch.log(torch.clamp(probabilities, _CLIP, 1 - _CLIP))
        classes = logits.shape[1]
        given = labels if labels.ndim == 2 else functional.one_hot(labels, classes)
        target = given.to(logits.dtype) * (1 - label_smoothing) + label_smoothing / classes
        return -(target * logarithms).sum(dim=1).mean()

    return from_logits if form == "logits" else from_probabilities


# -- the lines to write


_LOGITS = """
from torch import nn

loss = nn.CrossEntropyLoss(label_smoothing=0.0)  # of logits and integer labels
"""


_CLIPPED = """
import torch
from torch.nn import functional


def loss(logits, labels, label_smoothing=0.0):
    probabilities = torch.softmax(logits, dim=1).clamp(1e-7, 1 - 1e-7)
    classes = logits.shape[1]
    targets = functional.one_hot(labels, classes).to(logits.dtype)
    targets = targets * (1 - label_smoothing) + label_smoothing / classes
    return -(targets * probabilities.log()).sum(dim=1).mean()
"""


REMEDIES: Table = {
    "loss": {
        "logits": (_LOGITS, ""),
        "clipped-probabilities": (_CLIPPED, "Where the clip holds, there is no gradient."),
    },
}
