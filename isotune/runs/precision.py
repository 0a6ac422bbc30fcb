"""What a numeric mode leaves of the digits: one model's training step against its own in float64.

No two libraries can agree to more than that in the mode, whatever they do alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from isotune.weights import head_weights

if TYPE_CHECKING:
    from isotune.models.building import Built

Shown = Mapping[str, np.ndarray]  # "features" [N, D], "loss", and gradients by the names of their tensors
_COARSE = 8  # pixels a side of what is drawn, before it is enlarged: photographs are smooth too


class Noise(BaseModel):
    """Relative errors: the norm of the difference from float64, over the norm of what float64 gives."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: float = Field(ge=0, description="what the classifier receives, in inference")
    loss: float = Field(ge=0, description="mean cross-entropy of the batch, in training")
    gradients: float = Field(ge=0, description="of every tensor, taken as one vector")


def noise(exact: Shown, rounded: Shown) -> Noise:
    """Of what a model shows in float64 and in the mode."""
    gradients = [name for name in exact if name not in ("features", "loss")]
    return Noise(
        features=_relative(exact, rounded, ["features"]),
        loss=_relative(exact, rounded, ["loss"]),
        gradients=_relative(exact, rounded, gradients),
    )


def shown(built: Built, *, batch_size: int, image_size: int, classes: int) -> Shown:
    """Features, loss and gradients of a batch of coarse random images under a classifier drawn from seed 0."""
    stream = np.random.default_rng(0)
    coarse = stream.integers(0, 256, (batch_size, _COARSE, _COARSE, 3), dtype=np.uint8)
    side = (image_size, image_size)
    images = np.stack([np.asarray(Image.fromarray(each).resize(side, Image.Resampling.BICUBIC)) for each in coarse])
    labels = stream.integers(0, classes, batch_size)
    built.reset(head_weights(built.initial["head.kernel"].shape[0], classes, "uniform-fan-in", 0))
    return {"features": built.model.features(images), **built.model.gradients(images, labels)}


def _relative(exact: Mapping[str, np.ndarray], rounded: Mapping[str, np.ndarray], names: list[str]) -> float:
    wide = {name: np.asarray(exact[name], np.float64) for name in names}
    off = sum(float(np.square(wide[name] - rounded[name]).sum()) for name in names)
    size = sum(float(np.square(each).sum()) for each in wide.values())
    return float(np.sqrt(off / size)) if size else 0.0
