"""Two folders of observations compared: of each rung the worst relative error, and where."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isotune.parity._observing import INDEX

Array = np.ndarray
FLOOR = 1e-3  # a tensor's errors count relative to its own largest value, or to this share of the rung's largest


@dataclass(frozen=True)
class Error:
    """The worst tensor of a rung."""

    relative: float  # max |a - b| / max |a| over the tensor; inf: one side lacks it, or it is not finite
    where: str  # the tensor or layer
    tensors: int  # how many were compared
    why: str = ""  # of an infinite error


def compare(ours: Path, theirs: Path) -> dict[str, Error]:
    """Errors by rung. A tensor's error is the largest difference over its own largest value; where the rung sums over
    the batch, values below FLOOR of the rung's largest count as that much, since what cancels to nothing (the gradient
    of a bias before a BatchNorm) has no digits of its own."""
    left, right = (_index(folder) for folder in (ours, theirs))
    errors: dict[str, Error] = {}
    for rung in dict.fromkeys(name.partition("/")[0] for name in [*left, *right]):
        here = [name for name in left if name.partition("/")[0] == rung]
        shared = [name for name in here if name in right]
        if rung != "layers" and (lacking := _lacking(here, [n for n in right if n.partition("/")[0] == rung])):
            errors[rung] = Error(math.inf, lacking.partition("/")[2], len(shared), "only one side has it")
            continue
        largest = 0.0 if rung == "layers" else max((_largest(_read(ours, left[name])) for name in shared), default=0.0)
        errors[rung] = _worst(
            (name.partition("/")[2], *_error(_read(ours, left[name]), _read(theirs, right[name]), FLOOR * largest))
            for name in shared
        )
    return errors


def _worst(found: Iterable[tuple[str, float, str]]) -> Error:
    worst, count = Error(0.0, "", 0), 0
    for name, relative, why in found:
        count += 1
        if relative > worst.relative or not worst.where:
            worst = Error(relative, name, 0, why)
    return Error(worst.relative, worst.where, count, worst.why)


def _error(ours: Array, theirs: Array, floor: float) -> tuple[float, str]:
    if ours.size != theirs.size:
        return math.inf, f"{ours.shape} and {theirs.shape}"
    theirs = theirs.reshape(ours.shape)  # a map of one pixel may be a vector
    difference = _largest(ours - theirs)
    if not math.isfinite(difference):
        return math.inf, "not finite"
    scale = max(_largest(ours), floor)
    return (difference / scale if scale else float(difference > 0)), ""


def _largest(array: Array) -> float:
    return max(float(array.max(initial=0.0)), -float(array.min(initial=0.0)))  # NaN stays NaN: it is in both


def _lacking(left: list[str], right: list[str]) -> str:
    return next(iter(sorted(set(left) ^ set(right))), "")


def _index(folder: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    return found


def _read(folder: Path, number: int) -> Array:
    array: Array = np.load(folder / f"{number}.npy", mmap_mode="r", allow_pickle=False)
    return array
