"""Weights in canonical form: neutral names and layouts, with the conventions they were trained with.

`Weights`, `Layer` and `Limit` are what every adapter gives and takes; `check_fit` refuses what does not fit, `folding`
carries optional tensors over, `matching` says which tensor is which where names do not, `random_weights` and
`head_weights` draw, `kept` has them from the cache.
"""

from isotune.weights._canonical import HEAD, Array, Layer, Limit, Weights, check_fit, select_trained
from isotune.weights._drawing import head_weights, random_weights
from isotune.weights._finite import check_finite
from isotune.weights._keeping import kept

__all__ = [
    "HEAD",
    "Array",
    "Layer",
    "Limit",
    "Weights",
    "check_finite",
    "check_fit",
    "head_weights",
    "kept",
    "random_weights",
    "select_trained",
]
