"""What the ladder claims of two sides: that they show the same, rung by rung."""

from __future__ import annotations

from dataclasses import dataclass

from isotune.comparison.sides import Part
from isotune.conventions import RUNGS, Rung, shown_at

HOW = ("numeric_mode", "compiled")  # not conventions, but what a side can be asked to do otherwise


@dataclass(frozen=True)
class Claim:
    """A rung as it is asked for."""

    name: Rung
    part: Part
    prefix: str  # of the part's observations that belong to it
    floored: bool = False  # sums over the batch
    training: bool = False  # judged alone by setting causes alike, not by feeding values in

    @property
    def axes(self) -> tuple[str, ...]:
        """Those that can make it fail."""
        return shown_at(self.name)

    @property
    def layered(self) -> bool:
        """Whether its observations are layers' outputs, in order."""
        return self.part in ("layers", "training layers")


CLAIMS = (
    Claim("scaled input", "input", ""),
    Claim("weights", "weights", ""),
    Claim("layers", "layers", ""),
    Claim("logits", "logits", ""),
    Claim("training-mode layers", "training layers", ""),
    Claim("loss", "gradients", "loss", training=True),
    Claim("gradients", "gradients", "", floored=True, training=True),
    Claim("BatchNorm buffers", "step", "buffers/", training=True),
    Claim("one step", "step", "step/", floored=True, training=True),
    Claim("drift", "drift", "", training=True),
)
LAYERS = next(claim for claim in CLAIMS if claim.name == "layers")
STEP = next(claim for claim in CLAIMS if claim.name == "one step")
BEFORE = RUNGS[: RUNGS.index(CLAIMS[0].name)]  # the rungs below, which need no worker
