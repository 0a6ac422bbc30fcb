"""Errors of tensors against a reference: of one tensor, and of all that two sides show under one rung."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Array = np.ndarray
FLOOR = 1e-3  # a tensor's errors count relative to its own largest value, or to this share of the rung's largest
Size = Callable[[Array], float]


class Error(BaseModel):
    """A tensor's or a layer's error."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    name: str = Field(description="canonical name")
    relative: float = Field(description="|reference - other| over |reference|; inf: not comparable, see why")
    why: str = ""

    @property
    def lacking(self) -> bool:
        """Whether one side does not have the tensor at all."""
        return self.why.startswith("only ")


def largest(array: Array) -> float:
    """A tensor's largest absolute value; NaN where it has one."""
    return max(float(array.max(initial=0.0)), -float(array.min(initial=0.0)))


def root_mean_square(array: Array) -> float:
    """What float32 is judged by: one value's rounding is luck (torch/_dynamo/utils.py, `same`, measures so too)."""
    return float(np.sqrt(np.mean(np.square(array)))) if array.size else 0.0


def relative_error(ours: Array, theirs: Array, floor: float, size: Size = largest) -> tuple[float, str]:
    """The size of the difference over that of `ours`, or over `floor` if that is more; inf, and why, where there is
    none."""
    if ours.size != theirs.size:
        return math.inf, f"{ours.shape} and {theirs.shape}"
    theirs = theirs.reshape(ours.shape)  # a map of one pixel may be a vector
    difference = size(ours - theirs)
    if not math.isfinite(difference):
        return math.inf, "not finite"
    scale = max(size(ours), floor)
    return (difference / scale if scale else float(difference > 0)), ""


def errors(
    reference: Mapping[str, Array],
    other: Mapping[str, Array],
    *,
    size: Size = largest,
    floored: bool = False,
    every: bool = True,
) -> list[Error]:
    """Of each tensor of the reference, the other's relative error, in the reference's order.

    floored: where a rung sums over the batch, values below FLOOR of the rung's largest count as that much, since what
    cancels to nothing (the gradient of a bias before a BatchNorm) has no digits of its own. every: a tensor that one
    side lacks is an error; else only those of both are compared.
    """
    arrays = dict(reference.items()) if floored else reference  # mapped once, where they are looked at twice
    most = max((size(array) for array in arrays.values()), default=0.0) if floored else 0.0
    listed = []
    for name, array in arrays.items():
        if name in other:
            relative, why = relative_error(array, other[name], FLOOR * most, size)
            listed.append(Error(name=name, relative=relative, why=why))
        elif every:
            listed.append(Error(name=name, relative=math.inf, why="only the left side has it"))
    if every:
        missing = (name for name in other if name not in reference)
        listed += [Error(name=name, relative=math.inf, why="only the right side has it") for name in missing]
    return listed


def noises(
    reference: Mapping[str, Array],
    again: Mapping[str, Array],
    unsorted: Callable[[Array], Array] | None = None,
    *,
    floored: bool = False,
) -> list[Error]:
    """Of each tensor of both, what the same model shows of the batch in another order.

    again: with what was shown put back to each image. unsorted: undoes that, for layers; of some, an array is of no
    image (a table of biases), and what counts is the smaller error of both.
    """
    listed = errors(reference, again, floored=floored, every=False)
    if unsorted is None:
        return listed
    return [
        error.model_copy(update={"relative": min(error.relative, _undone(reference, again, error.name, unsorted))})
        for error in listed
    ]


def _undone(
    reference: Mapping[str, Array], again: Mapping[str, Array], name: str, unsorted: Callable[[Array], Array]
) -> float:
    return relative_error(np.asarray(reference[name]), unsorted(np.asarray(again[name])), 0.0)[0]


def depends(alone: Mapping[str, Array], whole: Mapping[str, Array], arranged: Callable[[Array], Array]) -> list[Error]:
    """Of each layer, given what it was given before: the error of some images without the others against the batch.

    alone: what it shows of some images, in another order. whole: of all. arranged: from rows of all to those of some.
    What is not of images, and has as many rows as before, is compared as it is; a layer in which the number of rows
    is neither is left out.
    """
    listed = []
    for name, array in alone.items():
        before = whole.get(name)
        if before is None:
            continue
        before = np.asarray(before)
        if before.shape != array.shape:
            before = arranged(before)
        if before.shape == array.shape:
            relative, why = relative_error(before, np.asarray(array), 0.0)
            listed.append(Error(name=name, relative=relative, why=why))
    return listed


def worst(listed: Iterable[Error]) -> Error:
    """The first of the largest; where one side lacks tensors, the first of these by name. Of none, an error of 0
    without a name."""
    listed = list(listed)
    if lacking := [error for error in listed if error.lacking]:
        return min(lacking, key=lambda error: error.name)
    return max(listed, key=lambda error: error.relative, default=Error(name="", relative=0.0))
