"""The rungs of the ladder as they are asked for: what each needs of both sides, and which axes can make it fail."""

from __future__ import annotations

from dataclasses import dataclass

from isotune.comparison.sides import Part
from isotune.conventions import RUNGS, Rung, shown_at
from isotune.protocols import Mode

SETTINGS = tuple(Mode.model_fields)  # not conventions, but what a side can be asked to do otherwise


@dataclass(frozen=True)
class RungSpec:
    """A rung as it is asked for."""

    name: Rung
    part: Part
    prefix: str  # of the part's observations that belong to it
    floored: bool = False  # sums over the batch
    training: bool = False  # isolated by setting causes alike, not by feeding values in
    parted: bool = False  # what it shows under one name does not depend on what it shows under others

    @property
    def axes(self) -> tuple[str, ...]:
        """Those that can make it fail."""
        return shown_at(self.name)

    @property
    def of_training(self) -> bool:
        """Whether it needs a network in training."""
        return self.training or self.part == "training layers"

    @property
    def layered(self) -> bool:
        """Whether its observations are layers' outputs, in order."""
        return self.part in ("layers", "training layers")


RUNG_SPECS = (
    RungSpec("scaled input", "input", ""),
    RungSpec("weights", "weights", ""),
    RungSpec("layers", "layers", "", parted=True),
    RungSpec("logits", "logits", ""),
    RungSpec("training-mode layers", "training layers", "", parted=True),
    RungSpec("loss", "gradients", "loss", training=True),
    RungSpec("gradients", "gradients", "", floored=True, training=True),
    RungSpec("BatchNorm buffers", "step", "buffers/", training=True, parted=True),
    RungSpec("one step", "step", "step/", floored=True, training=True, parted=True),
    RungSpec("drift", "drift", "", training=True),
)
LAYERS = next(spec for spec in RUNG_SPECS if spec.name == "layers")
STEP = next(spec for spec in RUNG_SPECS if spec.name == "one step")
BEFORE = RUNGS[: RUNGS.index(RUNG_SPECS[0].name)]  # the rungs below, which need no worker
