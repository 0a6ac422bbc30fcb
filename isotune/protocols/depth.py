"""Stochastic depth: which residual branches of a network take part in a step, drawn here, in NumPy, for every library.

Huang et al. 2016, arXiv 1603.09382. In training x + f(x) becomes x + m f(x), where m is 0 with the branch's rate, else
1, or 1/(1-rate) where that is scaled; nothing changes in evaluation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from isotune.protocols._stages import StochasticDepth
from isotune.seeds import Seeds
from isotune.weights import HEAD, Layer

DEPTH = 0xDE97  # separates the masks' stream from the order's and from dropout's
_KERNELS = ("conv", "transposed", "dense")


def drop_rates(depth: StochasticDepth, layers: Sequence[Layer], branches: Sequence[str]) -> np.ndarray:
    """float64 [B]: the rate of each residual branch. branches: the last layers in them, in the order of execution.

    Branches of one block have one rate. Where every block counts, a block is what has two layers with kernels, so that
    neither stem, nor a pooling convolution between stages, nor a last convolution is one.
    """
    block = {layer.name: layer.block for layer in layers}
    own = sorted({block[branch] for branch in branches})
    kernels = Counter(layer.block for layer in layers if layer.kind in _KERNELS and layer.name != HEAD)
    every = sorted({number for number, count in kernels.items() if count > 1}.union(own))
    share = {
        "constant": dict.fromkeys(own, 1.0),
        "linear": {number: place / max(len(own) - 1, 1) for place, number in enumerate(own)},
        "linear-from-first": {number: (place + 1) / len(own) for place, number in enumerate(own)},
        "linear-over-all": {number: place / len(every) for place, number in enumerate(every)},
    }[depth.law]
    return depth.rate * np.array([share[block[branch]] for branch in branches])


def branch_masks(
    depth: StochasticDepth, rates: np.ndarray, seeds: Seeds, stage: int, step: int, images: int, parts: int
) -> np.ndarray:
    """float32 [images, B], from (depth seed, stage, step) alone. Where a batch shares its draw, each of the passes that
    make a step is one."""
    draws = images if depth.per == "image" else parts
    kept = np.random.default_rng([seeds.of("depth"), stage, step, DEPTH]).random((draws, len(rates))) >= rates
    masks = kept / (1 - rates) if depth.scaled else kept
    return np.repeat(masks.astype(np.float32), images // draws, axis=0)
