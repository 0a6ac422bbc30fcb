"""Which tokens of a sequence a classifier reads: the first, the last, or a mean. Told from its logits alone.

It is no convention axis: no two libraries build one network with the same tensors and another token. It is an option of
a model (timm's `global_pool`), and a fault of ports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

Array = np.ndarray


def heads_tokens(
    head: str, reference: Mapping[str, Array], other: Mapping[str, Array], tensors: Mapping[str, Array], bound: float
) -> str:
    """That a classifier reads other tokens than the reference's, as a sentence; empty where that is not told.

    head: the classifier's name. reference, other: layers' outputs in order, the other's given the reference's of all
    layers before. tensors: the reference's, by their canonical names.
    """
    before = list(reference)[: list(reference).index(head)] if head in reference and head in other else []
    kernel, bias = tensors.get(f"{head}.kernel"), tensors.get(f"{head}.bias")
    if not before or kernel is None:
        return ""
    tokens = np.asarray(reference[before[-1]])
    ours, theirs = (
        tokens_read(tokens, kernel, bias, np.asarray(logits), bound) for logits in (reference[head], other[head])
    )
    return (
        f"The reference's classifier reads {ours}, the other's {theirs}." if ours and theirs and ours != theirs else ""
    )


def tokens_read(tokens: Array, kernel: Array, bias: Array | None, logits: Array, bound: float) -> str:
    """ "token 0 (the first)" and the like; empty: none of those known, or several would do.

    tokens: [N, tokens, D], what the last layer gives. kernel: [D, classes]; bias: [classes]. logits: [N, classes].
    bound: relative error that counts as agreement.
    """
    if tokens.ndim != 3 or logits.ndim != 2 or tokens.shape[-1] != kernel.shape[0] or tokens.shape[1] < 2:
        return ""
    wide = np.asarray(tokens, np.float64)
    scale = max(float(np.abs(logits).max(initial=0.0)), 1e-30)
    fitting = []
    for name, read in _ways(wide):
        of_token = read @ kernel + (0.0 if bias is None else bias)
        if float(np.abs(of_token - logits).max(initial=0.0)) <= bound * scale:
            fitting.append(name)
    return fitting[0] if len(fitting) == 1 else ""


def _ways(tokens: Array) -> Iterator[tuple[str, Array]]:
    yield "token 0 (the first)", tokens[:, 0]
    yield "the last token", tokens[:, -1]
    yield "the mean of all tokens", tokens.mean(axis=1)
    if tokens.shape[1] > 2:
        yield "the mean of all tokens but the first", tokens[:, 1:].mean(axis=1)
    yield "the largest of all tokens, channel by channel", tokens.max(axis=1)
