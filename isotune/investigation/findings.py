"""What an investigation gives: a `Rung` for each thing that both sides are to show alike, with its cause; kept as JSON.

Public, since reports and the measurements of isotune itself read it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from isotune.comparison.errors import Error
from isotune.comparison.sides import Side
from isotune.conventions import FORM_AXES
from isotune.investigation.pattern import Smallest

# Of the JSON. 1 said carried and alone, and had no version; 2 knew no causes of a part, no effects, and not what was
# left out or set alike, 3 not what stands on one side alone; both are read as they are.
VERSION: Literal[4] = 4
Verdict = Literal["holds", "fails", "inherits", "unknown", "not applicable", "not judged"]
Which = Literal["left", "right"]
SIDES: tuple[Which, Which] = ("left", "right")
NOT_ASKED = "inference alone was asked for"  # of rungs of training that are not judged for this alone


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Flip(_Kept):
    """One axis of one side set to a value."""

    side: Which
    axis: str
    was: Any
    value: Any


class Cause(_Kept):
    """Flips that together make a rung hold, or a part of it (`cures`)."""

    flips: tuple[Flip, ...]
    before: float = Field(description="worst relative error of the rung")
    after: float
    layers: int = Field(description="tensors or layers that failed before")
    instead: tuple[Flip, ...] = Field((), description="single flips that would do as well")
    cures: tuple[str, ...] = Field((), description="tensors or layers that hold with it; empty: all of the rung")


class SetAlike(_Kept):
    """An axis in which the sides differ by themselves, and which both were given one value of."""

    axis: str
    value: Any
    own: tuple[Any, Any] = Field(description="left's value and right's, where nothing sets them; None: not known")


class Rung(_Kept):
    """One thing that both sides are to show alike."""

    name: str
    verdict: Verdict = Field(
        description="holds; fails: by itself, isolated; inherits: only end to end; unknown: it cannot be isolated,"
        " since what makes an earlier rung fail cannot be set alike; not judged: all that could make it fail was set"
        " alike, or one side alone has an operation that no image of the run shows"
    )
    end_to_end: float | None = Field(None, description="worst relative error, each side going its own way")
    isolated: float | None = Field(None, description="worst relative error, given the reference's values before")
    bound: float | None = Field(None, description="what the error may be")
    noise: float | None = Field(None, description="float64: the left side with the batch permuted, where it was needed")
    where: str = Field("", description="the first tensor or layer beyond the bound, by both names")
    compared: int = 0
    failing: int = 0
    cause: Cause | None = None
    unexplained: tuple[str, ...] = Field((), description="of what fails by itself: tensors or layers without a cause")
    named: str = Field("", description="what it is, where no convention explains it and a pattern does")
    remarks: tuple[str, ...] = ()
    smallest: Smallest | None = Field(None, description="of what no convention explains, in inference: an input")
    layers_isolated: tuple[Error, ...] = Field((), description="of layers' rungs: every layer's own error, in order")
    layers_end_to_end: tuple[Error, ...] = Field((), description="and with what the layers before make of the images")
    seconds: float = 0.0


class Survivor(_Kept):
    """The side that did not fail, where the other did."""

    side: Which
    dump: str = Field("", description="folder of all that it shows, in float64")
    command: str = Field("", description="what goes on with the dump")
    lost: str = Field("", description="why there is no dump")


class Findings(_Kept):
    """All that an investigation learned of two sides, the costs in accuracy left out."""

    version: Literal[2, 3, 4] = VERSION
    left: Side
    right: Side
    dataset: str
    protocol: str
    images: int
    steps: int
    axes: dict[str, tuple[Any, Any]] = Field({}, description="axes in which the sides differ: left's value, right's")
    set_alike: tuple[SetAlike, ...] = Field((), description="by `identical`, the checkpoint or the command")
    left_out: dict[Which, tuple[str, ...]] = Field(
        {}, description="of each side what isotune does without, or replaces"
    )
    one_sided: tuple[str, ...] = Field(
        (), description="in words, what stands on one side alone and changes nothing of what the rungs compare"
    )
    effects: dict[str, float] = Field(
        {}, description="axis of a cause -> what it alone changes of a side's logits, relative, both sides having the"
        " left's weights; recipes change none"
    )  # fmt: skip
    names: dict[str, tuple[str, str]] = Field({}, description="layer -> what each library calls it")
    rungs: tuple[Rung, ...] = ()
    environment: dict[str, dict[str, str]] = {}
    stopped: str | None = Field(None, description="why it could not go on")
    survivor: Survivor | None = None
    seconds: float = 0.0

    @property
    def forms(self) -> dict[str, tuple[Any, Any]]:
        """Of these axes, the forms of the protocol's techniques, which no rung shows: both sides of it are given the
        protocol's."""
        return {axis: values for axis, values in self.axes.items() if axis in FORM_AXES}

    @property
    def first_failure(self) -> Rung | None:
        return next((rung for rung in self.rungs if rung.verdict == "fails"), None)

    @property
    def causes(self) -> dict[str, Cause]:
        """Rung -> its cause, of those that fail by themselves and whose cause has a name."""
        return {rung.name: rung.cause for rung in self.rungs if rung.cause is not None}
