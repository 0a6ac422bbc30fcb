"""Mean squares of a balanced crossed design, and the interval of a sum and difference of mean squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod, sqrt

import numpy as np
import scipy

from isotune.statistics._estimates import Interval

Factors = tuple[int, ...]  # axes of the table


@dataclass(frozen=True)
class Term:
    """coefficient * mean square, the mean square on `df` degrees of freedom."""

    coefficient: float
    mean_square: float
    df: int


def effects(factors: int) -> list[Factors]:
    """Main effects, then interactions: (0,), (1,), (0, 1) of two factors."""
    return [chosen for size in range(1, factors + 1) for chosen in combinations(range(factors), size)]


def deviations(table: np.ndarray, chosen: Factors) -> np.ndarray:
    """What an effect adds to the mean, for each of its levels: the table averaged over the factors outside it and
    centred over those in it. The factors outside have length 1."""
    part: np.ndarray = table - table.flat[0]  # equal values leave exact zeros
    for axis in range(table.ndim):
        mean = part.mean(axis=axis, keepdims=True)
        part = part - mean if axis in chosen else mean
    return part


def mean_squares(table: np.ndarray) -> dict[Factors, tuple[float, int]]:
    """Mean square and degrees of freedom of each effect, from one value a cell, [levels, levels, ...]."""
    squares = {}
    for chosen in effects(table.ndim):
        part = deviations(table, chosen)
        df = prod(table.shape[axis] - 1 for axis in chosen)
        squares[chosen] = (float(np.sum(part**2)) * table.size / part.size / df, df)
    return squares


def terms(chosen: Factors, squares: dict[Factors, tuple[float, int]], shape: Sequence[int]) -> list[Term]:
    """The variance component of an effect, as mean squares: expected ones solved for it.

    In a fully crossed design of random effects, the expected mean square of an effect is the sum over all effects that
    contain it of variance * cells for each level (Searle, Casella and McCulloch 1992, ch. 4); turned round, the
    component is the sum over them with alternating signs, divided by the cells for each of its levels.
    """
    cells = prod(shape) / prod(shape[axis] for axis in chosen)
    return [
        Term((-1.0) ** (len(wider) - len(chosen)) / cells, *square)
        for wider, square in squares.items()
        if set(chosen) <= set(wider)
    ]


def value(parts: Sequence[Term]) -> float:
    return sum(part.coefficient * part.mean_square for part in parts)


def interval(parts: Sequence[Term], confidence: float) -> Interval:
    """Modified large-sample interval (Ting, Burdick, Graybill, Jeyaratnam and Lu 1990; Burdick and Graybill 1992,
    section 3.3) of a variance, cut off at 0, which no variance lies below.

    With G = 1 - 1/F(a; v, inf) and H = 1/F(1-a; v, inf) - 1, a the tail on one side, a bound is the value -+ the root
    of a quadratic form in the terms, chosen so that it is exact when one term is alone: then it is the chi-squared
    interval. Supposes normal effects.
    """
    tail = (1 - confidence) / 2
    plus = [part for part in parts if part.coefficient > 0]
    minus = [part for part in parts if part.coefficient < 0]
    centre = value(parts)
    below = _form(plus, minus, tail)
    above = _form(minus, plus, tail)  # the upper bound is the lower bound of the negative
    return Interval(max(centre - sqrt(below), 0.0), max(centre + sqrt(above), 0.0))


def _form(plus: Sequence[Term], minus: Sequence[Term], tail: float) -> float:
    """Square of the distance from the value of `plus` - `minus` to its lower bound."""
    total = sum((_g(part.df, tail) * _size(part)) ** 2 for part in plus)
    total += sum((_h(part.df, tail) * _size(part)) ** 2 for part in minus)
    for one in plus:
        for other in minus:
            f = float(scipy.special.fdtri(one.df, other.df, 1 - tail))
            cross = ((f - 1) ** 2 - (_g(one.df, tail) * f) ** 2 - _h(other.df, tail) ** 2) / f
            total += cross * _size(one) * _size(other)
    for one, other in combinations(plus, 2):
        v, w = one.df, other.df
        joint = (_g(v + w, tail) * (v + w)) ** 2 / (v * w) - _g(v, tail) ** 2 * v / w - _g(w, tail) ** 2 * w / v
        total += joint / (len(plus) - 1) * _size(one) * _size(other)
    return max(total, 0.0)


def _size(part: Term) -> float:
    return abs(part.coefficient) * part.mean_square


def _g(df: int, tail: float) -> float:
    return 1 - df / float(scipy.special.chdtri(df, tail))


def _h(df: int, tail: float) -> float:
    return df / float(scipy.special.chdtri(df, 1 - tail)) - 1
