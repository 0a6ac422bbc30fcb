"""Cross-entropy as the conventions have it, for torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_CLIP = 1e-7  # keras.config.epsilon()


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float, form: str) -> Tensor:
    """Mean cross-entropy of [N, classes] logits and int64 [N] labels, a scalar in the dtype of the logits.

    Smoothing spreads `label_smoothing` evenly over all classes, the target included (torch and Keras alike).
    form: `logits`; or `clipped-probabilities`, as Keras computes it from a softmax's output: renormalised and clipped
    to [1e-7, 1-1e-7] before the logarithm, so that the gradient vanishes where the clip holds
    (keras/src/backend/torch/nn.py, categorical_crossentropy with from_logits=False).
    """
    if form == "logits":
        return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
    probabilities = torch.softmax(logits, dim=1)
    probabilities = probabilities / probabilities.sum(dim=1, keepdim=True)
    logarithms = torch.log(torch.clamp(probabilities, _CLIP, 1 - _CLIP))
    classes = logits.shape[1]
    target = functional.one_hot(labels, classes).to(logits.dtype) * (1 - label_smoothing) + label_smoothing / classes
    return -(target * logarithms).sum(dim=1).mean()
