"""What an investigation finds: a `Rung` for each claim of the ladder, with its causes; kept as JSON."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from isotune.comparison.sides import Side

Verdict = Literal["holds", "fails", "inherits", "unknown", "not applicable"]
Which = Literal["left", "right"]
SIDES: tuple[Which, Which] = ("left", "right")


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Error(_Kept):
    """A tensor's or a layer's error."""

    name: str = Field(description="canonical name")
    relative: float = Field(description="|reference - other| over |reference|; inf: not comparable, see why")
    why: str = ""


class Flip(_Kept):
    """One axis of one side set to a value."""

    side: Literal["left", "right"]
    axis: str
    was: Any
    value: Any


class Cause(_Kept):
    """Flips that together make a rung hold."""

    flips: tuple[Flip, ...]
    before: float = Field(description="worst relative error of the rung")
    after: float
    layers: int = Field(description="tensors or layers that failed before")
    instead: tuple[Flip, ...] = Field((), description="single flips that would do as well")


class Smallest(_Kept):
    """The smallest input found that shows a difference: one image, black outside a window."""

    image: int = Field(description="its place among the ladder's images")
    top: int = Field(description="of the window, pixels; a window of no height: the image is black")
    left: int
    height: int
    width: int
    png: str = Field(description="the image as PNG in base64")


class Rung(_Kept):
    """One claim: both sides show the same."""

    name: str
    verdict: Verdict = Field(
        description="holds; fails: by itself, given the reference's values of all that comes before; inherits: only"
        " with its own; unknown: it cannot be judged by itself, since what makes an earlier rung fail has no name"
    )
    error: float | None = Field(None, description="worst relative error, each side going its own way")
    alone: float | None = Field(None, description="worst relative error, given the reference's values before")
    bound: float | None = Field(None, description="what the error may be")
    noise: float | None = Field(None, description="float64: the left side with the batch permuted, where it was needed")
    where: str = Field("", description="the first tensor or layer beyond the bound, by both names")
    compared: int = 0
    failing: int = 0
    cause: Cause | None = None
    remarks: tuple[str, ...] = ()
    smallest: Smallest | None = Field(None, description="of what no convention explains, in inference: an input")
    along: tuple[Error, ...] = Field((), description="of the layers' rungs: every layer's own error, in order")
    carried: tuple[Error, ...] = Field((), description="and with what the layers before it make of the images")
    seconds: float = 0.0


class Survivor(_Kept):
    """The side that did not fail, where the other did."""

    side: Which
    dump: str = Field("", description="folder of all that it shows, in float64")
    command: str = Field("", description="what goes on with the dump")
    lost: str = Field("", description="why there is no dump")


class Investigation(_Kept):
    left: Side
    right: Side
    dataset: str
    protocol: str
    images: int
    steps: int
    axes: dict[str, tuple[Any, Any]] = Field({}, description="axes in which the sides differ: left's value, right's")
    names: dict[str, tuple[str, str]] = Field({}, description="layer -> what each library calls it")
    rungs: tuple[Rung, ...] = ()
    environment: dict[str, dict[str, str]] = {}
    stopped: str | None = Field(None, description="why it could not go on")
    survivor: Survivor | None = None
    seconds: float = 0.0

    @property
    def first_failure(self) -> Rung | None:
        return next((rung for rung in self.rungs if rung.verdict == "fails"), None)
