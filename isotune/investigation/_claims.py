"""What the ladder claims of two sides: that they show the same, rung by rung."""

from __future__ import annotations

from dataclasses import dataclass

from isotune.comparison.sides import Part

NETWORK = (
    "stride2_padding", "pooling_border", "max_pooling_border", "stride_location", "batchnorm_epsilon", "gelu"
)  # fmt: skip
BUFFERS = ("batchnorm_momentum", "batchnorm_running_variance", "frozen_batchnorm")
OPTIMIZER = (
    "momentum_form", "weight_decay_form", "weight_decay_on", "adam_epsilon", "rmsprop_epsilon", "clipping",
    "hyperparameters",
)  # fmt: skip
HOW = ("numeric_mode", "compiled")  # not conventions, but what a side can be asked to do otherwise


@dataclass(frozen=True)
class Claim:
    """A rung as it is asked for."""

    name: str
    part: Part
    prefix: str  # of the part's observations that belong to it
    axes: tuple[str, ...]  # that can make it fail
    floored: bool = False  # sums over the batch
    training: bool = False  # judged alone by setting causes alike, not by feeding values in

    @property
    def layered(self) -> bool:
        """Whether its observations are layers' outputs, in order."""
        return self.part in ("layers", "training layers")


CLAIMS = (
    Claim("scaled input", "input", "", ("input_scaling",)),
    Claim("weights", "weights", "", ("head_initialisation", "optional_tensors")),
    Claim("layers", "layers", "", NETWORK),
    Claim("logits", "logits", "", NETWORK),
    Claim("training-mode layers", "training layers", "", NETWORK),
    Claim("loss", "gradients", "loss", ("loss",), training=True),
    Claim("gradients", "gradients", "", ("loss", "gelu"), floored=True, training=True),
    Claim("BatchNorm buffers", "step", "buffers/", BUFFERS, training=True),
    Claim("one step", "step", "step/", OPTIMIZER, floored=True, training=True),
    Claim("drift", "drift", "", OPTIMIZER, training=True),
)
LAYERS = next(claim for claim in CLAIMS if claim.name == "layers")
STEP = next(claim for claim in CLAIMS if claim.name == "one step")
BEFORE = ("decoded bytes", "resized pixels")  # the rungs below, which need no worker
