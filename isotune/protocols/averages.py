"""The decay of every update of a moving average of the weights (Polyak and Juditsky 1992).

    average = d * average + (1 - d) * weights,  after every `every` steps

Libraries differ in how it begins, warms up and treats BatchNorm's statistics. All of that but the last is in the decay
d of each update, so that those are computed here, as one array, and the average is kept in NumPy, for every library
alike (isotune.runs.selection.averaging.Average).

    start      first    d = 0 at the first update, which copies: Keras's `use_ema`, torch's `AveragedModel`, timm's V3
               initial  d from the first update on, on the weights before training: timm's V2, TensorFlow's averages
               zero     on zeros, divided by 1 - d**n after n updates (optax.ema with debias)
    warm-up    counted  at most (1 + n) / (10 + n) at update n, from 0: tf.train.ExponentialMovingAverage(num_updates)
               power    at most 1 - (1 + n)**(-2/3), from 0: timm's ModelEmaV3(use_warmup=True)
"""

from __future__ import annotations

import numpy as np

from isotune.protocols import Averaging


def decays(averaging: Averaging, updates: int) -> np.ndarray:
    """The decay of every update, float64 [updates]."""
    number = np.arange(updates)
    decay = np.full(updates, averaging.decay)
    if averaging.warmup == "counted":
        decay = np.minimum(decay, (1 + number) / (10 + number))
    elif averaging.warmup == "power":
        decay = np.minimum(decay, 1 - (1.0 + number) ** (-2 / 3))
    if averaging.start == "zero":  # the division by what the weights sum to, taken into each update
        kept = 1 - np.cumprod(decay)
        decay = decay * np.concatenate([[0.0], kept[:-1]]) / kept
    if averaging.start == "first" and updates:
        decay[0] = 0.0
    return decay
