"""Equations between two arrays of one layer: other = f(reference), found and then verified on every value.

An equation is taken when what it leaves unexplained is within the bound, and MARGIN times smaller than the error that
it explains; those with fewer free numbers come first. A fit must have more values than it could fit by chance, and
values that vary: of constants, sum and product cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray
MARGIN = 10.0  # an error and what an equation leaves of it
_ENOUGH = 4  # values for each free number, at least
_FARTHEST = 3  # pixels that a map is moved, at most


@dataclass(frozen=True)
class Equation:
    name: str
    text: str  # "other = -reference, to 1e-07"
    residual: float  # largest |other - f(reference)|, over the largest |f(reference)|
    values: Mapping[str, Any] = field(default_factory=dict)  # the free numbers, by name

    @property
    def whole(self) -> bool:
        """Whether it speaks of all images and channels, not only of those that differ."""
        return self.name in ("image order", "one image", "channel order")


Candidates = Iterator[tuple[Equation, float]]  # each with the relative error that it explains


def equation(reference: Array, other: Array, bound: float, *, whole: bool = True) -> Equation | None:
    """The simplest equation that holds between two finite float64 arrays [N, H, W, C] that differ.

    residual and bound are relative to the largest value of the equation's right side, an added constant left out.
    whole: the arrays are whole ones, so that the places of images and channels mean something.
    """
    if whole and (moved := reordered(reference, other, bound)):
        return moved
    return _first_to_hold((_zero, _sign, _clipped, _shifted, _scaled, _scaled_by_channel), reference, other, bound)


def reordered(reference: Array, other: Array, bound: float) -> Equation | None:
    """The images or the channels in another order, or one image in the place of all, as `equation`."""
    return _first_to_hold((_one_image, _images_moved, _channels_moved), reference, other, bound)


def _first_to_hold(
    finders: Iterable[Callable[[Array, Array], Candidates]], reference: Array, other: Array, bound: float
) -> Equation | None:
    with np.errstate(all="ignore"):  # what overflows does not hold
        for find in finders:
            for candidate, before in find(reference, other):
                if candidate.residual <= min(bound, before / MARGIN):
                    return candidate
    return None


def _judged(
    name: str,
    right: Array,
    left: Array,
    plain: Array,
    text: str,
    values: Mapping[str, Any],
    scale: float | None = None,
) -> Candidates:
    """The equation left = right; plain: what stood in the place of `right` before."""
    size = float(np.abs(right).max(initial=0.0)) if scale is None else scale
    if size > 0:
        residual, before = (float(np.abs(left - side).max()) / size for side in (right, plain))
        yield Equation(name, f"{text}, to {residual:.1e}", residual, values), before


def _zero(reference: Array, other: Array) -> Candidates:
    for side, values in (("other", other), ("reference", reference)):
        if not values.any():
            yield Equation("zero", f"the {side} is zero everywhere", 0.0, {"side": side}), 1.0


def _sign(reference: Array, other: Array) -> Candidates:
    yield from _judged("sign", -reference, other, reference, "other = -reference", {})


# -- clipping


def _clipped(reference: Array, other: Array) -> Candidates:
    """One side is the other cut off above, below, or both (ReLU6, ReLU)."""
    for (ours, name), (theirs, clipped) in (
        ((reference, "reference"), (other, "other")),
        ((other, "other"), (reference, "reference")),
    ):
        low, high = float(theirs.min()), float(theirs.max())
        for sign, limit, function in ((1, high, "min"), (-1, low, "max")):
            if _cuts(ours, limit, sign):
                cut = np.minimum(ours, limit) if sign > 0 else np.maximum(ours, limit)
                text = f"{clipped} = {function}({name}, {_number(limit)})"
                yield from _judged("clip", cut, theirs, ours, text, {"side": clipped, function: limit})
        if _cuts(ours, high, 1) and _cuts(ours, low, -1):
            text = f"{clipped} = {name} cut off below {_number(low)} and above {_number(high)}"
            yield from _judged(
                "clip", np.clip(ours, low, high), theirs, ours, text, {"side": clipped, "max": low, "min": high}
            )


def _cuts(values: Array, limit: float, sign: int) -> bool:
    """Whether enough distinct values lie beyond the limit: one value alone may be the largest by chance."""
    beyond = values[sign * (values - limit) > 1e-6 * abs(limit)]
    return np.unique(beyond[: 100 * _ENOUGH]).size >= _ENOUGH


# -- another order


def _one_image(reference: Array, other: Array) -> Candidates:
    """One image's values stand for those of every image: an index on the batch's axis."""
    if len(other) < 2 or other[0].size < _ENOUGH or np.ptp(other[0]) == 0:
        return
    number = int(np.abs(reference - other[-1:]).reshape(len(reference), -1).max(axis=1).argmin())
    text = f"every image of the other is image {number} of the reference"
    alone = np.broadcast_to(reference[number : number + 1], other.shape)
    yield from _judged("one image", alone, other, reference, text, {"image": number})


def _images_moved(reference: Array, other: Array) -> Candidates:
    rows, others = (array.reshape(len(array), -1) for array in (reference, other))
    if (order := _order(rows, others)) is not None:
        text = f"the images stand in another order: {_moves(order)}"
        yield from _judged("image order", reference[order], other, reference, text, {"order": order.tolist()})


def _channels_moved(reference: Array, other: Array) -> Candidates:
    columns, others = (array.reshape(-1, array.shape[-1]).T for array in (reference, other))
    if (order := _order(columns, others)) is None:
        return
    text = f"the channels stand in another order: {_moves(order)}"
    if (order == np.arange(len(order))[::-1]).all():
        text = "the channels stand in the reverse order" + (" (RGB and BGR)" if len(order) == 3 else "")
    elif groups := _interleaved(order):
        text = f"the channels are interleaved: {groups[0]} x {groups[1]} of them read as {groups[1]} x {groups[0]}"
    yield from _judged("channel order", reference[..., order], other, reference, text, {"order": order.tolist()})


def _interleaved(order: Array) -> tuple[int, int] | None:
    """(a, b) where [a, b] became [b, a]: a depthwise multiplier, a flattened map or heads in another memory layout."""
    count = len(order)
    for groups in range(2, count // 2 + 1):
        if count % groups == 0 and (order == np.arange(count).reshape(groups, -1).T.ravel()).all():
            return groups, count // groups
    return None


def _order(rows: Array, others: Array) -> Array | None:
    """Of each of `others` the nearest of `rows` that is not yet taken, by a sample of their values; None where nothing
    would move, or there are too few values to tell."""
    count, values = rows.shape
    if count < 2 or count * values < 2 * _ENOUGH:
        return None
    sample = np.linspace(0, values - 1, min(values, 256)).astype(int)
    rows, others = rows[:, sample], others[:, sample]
    squares = (rows**2).sum(axis=1)
    order = np.empty(count, int)
    free = np.zeros(count)
    for place, row in enumerate(others):
        distances = squares - 2 * (rows @ row) + free
        distances[place] -= 1e-12 * squares[place]  # a tie leaves it where it is
        order[place] = nearest = int(distances.argmin())
        free[nearest] = np.inf
    return None if (order == np.arange(count)).all() else order


def _moves(order: Array) -> str:
    """What stands where, of the first few that moved."""
    moved = np.flatnonzero(order != np.arange(len(order)))
    here, there = (
        ", ".join(map(str, places[:6])) + (", ..." if len(moved) > 6 else "") for places in (moved, order[moved])
    )
    return f"the other's {here} are the reference's {there}"


# -- moved in space


def _shifted(reference: Array, other: Array) -> Candidates:
    """The map moved by up to _FARTHEST pixels; what overlaps must be half of it, and vary."""
    height, width = reference.shape[1:3]
    most = float(np.abs(other - reference).max()) / MARGIN  # what may be left, at most
    reach = range(-_FARTHEST, _FARTHEST + 1)
    moves = [(down, right) for down in reach for right in reach if (down, right) != (0, 0)]
    for down, right in sorted(moves, key=lambda move: (abs(move[0]) + abs(move[1]), move)):
        if 2 * abs(down) > height or 2 * abs(right) > width:
            continue
        to = np.s_[:, max(0, down) : height + min(0, down), max(0, right) : width + min(0, right)]
        source = np.s_[:, max(0, -down) : height + min(0, -down), max(0, -right) : width + min(0, -right)]
        moved, overlap, plain = reference[source], other[to], reference[to]
        if moved.size < 2 * _ENOUGH or moved.shape[1] * moved.shape[2] < 2 or np.ptp(moved[0]) == 0:
            continue
        if np.abs(overlap[0] - moved[0]).max() > most:  # one image tells, as a rule
            continue
        where = " and ".join(filter(None, (_way(down, "down", "up"), _way(right, "right", "left"))))
        text = f"other = reference moved {where}, where the two overlap"
        yield from _judged("shift", moved, overlap, plain, text, {"down": down, "right": right})


def _way(pixels: int, ahead: str, back: str) -> str:
    if not pixels:
        return ""
    return f"{abs(pixels)} pixel{'' if abs(pixels) == 1 else 's'} {ahead if pixels > 0 else back}"


# -- scale and offset


def _scaled(reference: Array, other: Array) -> Candidates:
    pairs = reference.reshape(-1, 1), other.reshape(-1, 1)
    for name, factor, offset in _fits(*pairs):
        a, b = float(factor[0]), float(offset[0])
        text = f"other = {_formula(name, _number(a), _number(b))}"
        yield from _fitted(name, pairs, factor, offset, text, {"a": a, "b": b})


def _scaled_by_channel(reference: Array, other: Array) -> Candidates:
    if reference.shape[-1] < 2:
        return
    pairs = reference.reshape(-1, reference.shape[-1]), other.reshape(-1, reference.shape[-1])
    varying = np.ptp(pairs[0], axis=0) > 0
    for name, factor, offset in _fits(*pairs):
        ranges = [
            f"{key} from {_number(values[varying].min())} to {_number(values[varying].max())}"
            for key, values in (("a", factor), ("b", offset))
            if key in _FREE[name]
        ]
        text = f"in each channel other = {_formula(name, 'a', 'b')}, {' and '.join(ranges)}"
        free = {"a": factor.tolist(), "b": offset.tolist()}
        yield from _fitted(f"{name} by channel", pairs, factor, offset, text, free)


_FREE = {"offset": "b", "scale": "a", "scale and offset": "ab"}


def _fits(ours: Array, theirs: Array) -> Iterator[tuple[str, Array, Array]]:
    """Least squares of each column: (name, a, b) of other = a * reference + b. [values, columns] each."""
    values, columns = ours.shape
    mean, target = ours.mean(axis=0), theirs.mean(axis=0)
    spread = np.square(ours - mean).sum(axis=0)
    if values < _ENOUGH or not (spread > 1e-12 * np.square(ours).sum()).any():
        return
    yield "offset", np.ones(columns), target - mean
    squares = np.square(ours).sum(axis=0)
    yield "scale", _over((ours * theirs).sum(axis=0), squares), np.zeros(columns)
    if values >= 2 * _ENOUGH:
        factor = _over(((ours - mean) * (theirs - target)).sum(axis=0), spread)
        yield "scale and offset", factor, target - factor * mean


def _over(numerator: Array, denominator: Array) -> Array:
    """Their quotient; 1 where a column is constant."""
    quotient = np.ones_like(numerator)
    np.divide(numerator, denominator, out=quotient, where=denominator > 1e-24 * denominator.max())
    return quotient


def _fitted(name: str, pairs: tuple[Array, Array], factor: Array, offset: Array, text: str, values: Any) -> Candidates:
    ours, theirs = pairs
    scale = float(np.abs(factor * ours).max())
    kept = {key: value for key, value in values.items() if key in _FREE[name.removesuffix(" by channel")]}
    yield from _judged(name, factor * ours + offset, theirs, ours, text, kept, scale)


def _formula(name: str, a: str, b: str) -> str:
    if name == "offset":
        return f"reference - {b[1:]}" if b.startswith("-") else f"reference + {b}"
    scaled = f"{a} * reference"
    return scaled if name == "scale" else f"{scaled} - {b[1:]}" if b.startswith("-") else f"{scaled} + {b}"


def _number(value: float) -> str:
    return f"{value:.6g}"
