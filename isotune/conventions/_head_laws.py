"""The laws from which a new classifier is drawn: the values of `head_initialisation` as numbers."""

from __future__ import annotations

import math
import re
from typing import Literal, NamedTuple

from isotune.errors import UsageError, nearest

HEAD_LAWS = (
    "uniform-fan-in",
    "uniform-fan-in-weight",
    "uniform-fan-out",
    "glorot-uniform",
    "normal(STD)",
    "truncated-normal(STD)",
    "zeros",
)
_OF_STD = re.compile(r"(truncated-normal|normal)\(([^()]+)\)")


class HeadLaw(NamedTuple):
    """weight: `uniform` within +-`size`, `normal` of the standard deviation `size`, `truncated` at two of it. bias:
    within which bound it is drawn uniformly; 0: zeros."""

    weight: Literal["uniform", "normal", "truncated"]
    size: float
    bias: float = 0.0


def head_law(initialisation: str, features: int, classes: int) -> HeadLaw:
    """The law of a [features, classes] weight and a [classes] bias.

    Sources: torch.nn.Linear.reset_parameters; keras.layers.Dense (Glorot and Bengio 2010);
    timm/models/_efficientnet_builder.py, `_init_weight_goog`; timm/layers/weight_init.py, `trunc_normal_tf_`.
    UsageError: no such law.
    """
    match initialisation:
        case "uniform-fan-in":
            return HeadLaw("uniform", features**-0.5, features**-0.5)
        case "uniform-fan-in-weight":
            return HeadLaw("uniform", features**-0.5)
        case "uniform-fan-out":
            return HeadLaw("uniform", classes**-0.5)
        case "glorot-uniform":
            return HeadLaw("uniform", (6 / (features + classes)) ** 0.5)
        case "zeros":
            return HeadLaw("uniform", 0.0)
    if of_std := _OF_STD.fullmatch(initialisation.replace(" ", "")):
        try:
            std = float(of_std[2])
        except ValueError:
            std = math.nan
        if math.isfinite(std) and std > 0:
            return HeadLaw("normal" if of_std[1] == "normal" else "truncated", std)
    raise UsageError(
        f"head initialisation {initialisation!r} is unknown; {nearest(initialisation, HEAD_LAWS)}, STD a number above 0"
    )
