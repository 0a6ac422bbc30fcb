"""Two folders of observations compared: of each rung the worst relative error, and where."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isotune.comparison.agreement import FLOOR, largest, relative_error
from isotune.comparison.observations import Observations

Array = np.ndarray


@dataclass(frozen=True)
class Error:
    """The worst tensor of a rung."""

    relative: float  # |a - b| / |a| of the tensor; inf: one side lacks it, or it is not finite
    where: str  # the tensor or layer
    tensors: int  # how many were compared
    why: str = ""  # of an infinite error


def compare(ours: Path, theirs: Path, size: Callable[[Array], float] = largest) -> dict[str, Error]:
    """Errors by rung. A tensor's error is the size of the difference over its own; where the rung sums over the batch,
    values below FLOOR of the rung's largest count as that much, since what cancels to nothing (the gradient of a bias
    before a BatchNorm) has no digits of its own."""
    left, right = Observations(ours), Observations(theirs)
    errors: dict[str, Error] = {}
    for rung in dict.fromkeys(name.partition("/")[0] for name in [*left, *right]):
        here = [name for name in left if name.partition("/")[0] == rung]
        shared = [name for name in here if name in right]
        if rung != "layers" and (lacking := _lacking(here, [n for n in right if n.partition("/")[0] == rung])):
            errors[rung] = Error(math.inf, lacking.partition("/")[2], len(shared), "only one side has it")
            continue
        most = 0.0 if rung == "layers" else max((size(left[name]) for name in shared), default=0.0)
        errors[rung] = _worst(
            (name.partition("/")[2], *relative_error(left[name], right[name], FLOOR * most, size)) for name in shared
        )
    return errors


def _worst(found: Iterable[tuple[str, float, str]]) -> Error:
    worst, count = Error(0.0, "", 0), 0
    for name, relative, why in found:
        count += 1
        if relative > worst.relative or not worst.where:
            worst = Error(relative, name, 0, why)
    return Error(worst.relative, worst.where, count, worst.why)


def _lacking(left: list[str], right: list[str]) -> str:
    return next(iter(sorted(set(left) ^ set(right))), "")
