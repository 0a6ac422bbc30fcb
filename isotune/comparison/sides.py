"""What is on one side of a comparison, what both sides are given, and what is asked of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from isotune import conventions
from isotune.protocols import Mode, NumericMode, Stage

ONE_AT_A_TIME = 150_000_000  # parameters: two workers with such networks at work would not fit into 16 GB
Part = Literal["input", "weights", "layers", "logits", "training layers", "gradients", "step", "drift"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Side(Mode):
    """A model with its checkpoint and conventions, and how it is computed."""

    model: str  # adapter[@engine]:name
    checkpoint: str
    conventions: str = "native"  # identical or native, with overrides
    numeric_mode: NumericMode = "float64"
    python: str | None = None  # another environment's interpreter

    @property
    def adapter(self) -> str:
        return self.model.partition(":")[0]

    def under(self, axes: Mapping[str, Any]) -> Side:
        """The same side with these values of these axes."""
        base, overrides = conventions.parse(self.conventions)
        return self.model_copy(update={"conventions": conventions.spelled(base, overrides | dict(axes))})

    def in_mode(self, mode: NumericMode) -> Side:
        return self.model_copy(update={"numeric_mode": mode, "compiled": False if mode == "float64" else self.compiled})


class Inputs(_Frozen):
    """What both sides are given beside images; what is random is drawn from the seed, in NumPy."""

    recipe: dict[str, Any]  # the protocol's axes
    stage: Stage  # how a step of training goes
    rates: tuple[float, ...]  # learning rates of the steps
    cleared: bool = True  # whether each step begins without the gradients of the one before
    classes: int | None  # of a head drawn from the seed; None: the checkpoint's own classifier
    size: int  # pixels
    seed: int


class Request(_Frozen):
    """One part of a side that is to be recorded: files are paths of .npy, .safetensors or folders of observations."""

    side: Side
    inputs: Inputs
    part: Part
    images: str = ""  # uint8 [N, size, size, 3]
    labels: str = ""  # int64 [N]
    weights: str = ""  # canonical tensors to take instead of the side's own
    replaced: str = ""  # observations that take the place of the input and of the layers' outputs
    stretched: float = 1.0  # by how much those of layers are multiplied before
    permuted: bool = False  # the batch in reverse, which sums in another order and is the same otherwise
    apart: bool = False  # layers, in reverse and without the first image: what the others get is theirs alone
    trained: tuple[str, ...] | None = None  # layers, by these names; None: the stage's, by the side's own blocks
    names: dict[str, str] = {}  # the side's layers -> what they are called in what is recorded, given and replaced
