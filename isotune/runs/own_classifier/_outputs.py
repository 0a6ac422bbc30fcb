"""Outputs as logits, whatever a network ends in.

A network may end in a softmax of its own, or in a sigmoid for each class. Its predictions are those of the greatest
output all the same; its loss and calibration are not: the softmax of probabilities is another distribution, far from
sure of anything. What `Model.ending` says decides, and where it is not known the values: what lies between 0 and 1 and
sums to 1 on every image are probabilities.

| outputs | as logits | loss and calibration error |
|---|---|---|
| logits | themselves | of their softmax |
| probabilities p of a softmax | log p, whose softmax is p | of p |
| log-probabilities | themselves | of p |
| p of one sigmoid, of two classes | log p - log(1 - p) | of p and 1 - p |
| p of a sigmoid for each class | the same | not known: p does not sum to 1 |
| between 0 and 1, not known what | themselves | not known |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isotune.errors import UsageError

if TYPE_CHECKING:
    from isotune.adapters.base import Ending
    from isotune.runs.records import Outputs

_NEAR = 1e-2  # of a sum, in bfloat16


def as_logits(outputs: np.ndarray, ending: Ending | None, ended: bool, who: str) -> tuple[np.ndarray, Outputs | None]:
    """(logits [N, outputs], what the network ends in; None: nothing that matters).

    outputs: [N, outputs] as the model gives them. ending, ended: as of `Model`. who: for errors. UsageError: a single
    output that may be a probability or not, on which the predictions depend.
    """
    several = outputs.shape[1] > 1
    if ending is None:
        if not ((outputs >= 0) & (outputs <= 1)).all():
            return outputs, None
        if not several:
            raise UsageError(
                f"own-classifier: {who} has one output, between 0 and 1 on every image, and what it is cannot be read"
                " off the network; have it end in the layer that gives the logit, or in a sigmoid right behind"
            )
        if (np.abs(outputs.astype(np.float64).sum(axis=1) - 1) > _NEAR).any():
            return outputs, "unknown"
        ending, ended = "softmax", True
    if not ending:
        return outputs, None
    kind: Outputs = "sigmoids" if ending == "sigmoid" and several else ending
    if not ended or ending == "log-softmax":
        return outputs, kind
    shares = outputs.astype(np.float64)
    with np.errstate(divide="ignore"):
        if ending == "softmax":
            return np.log(shares), kind
        most = 1 - float(np.finfo(outputs.dtype).epsneg) / 2  # what is nearer to 1 is 1 in that precision
        return np.log(shares) - np.log1p(-np.minimum(shares, most)), kind
