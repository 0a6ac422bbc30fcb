"""How one tensor is another's, its values in other places: what a port that copies tensors from layout to layout does.

Kernels are canonical, [height, width, input, output] or [input, output]. Tried are, the simplest first: axes in another
order (a transposed dense matrix, height and width exchanged); mirrored windows (a convolution where a correlation
stands); the rows of a dense layer behind a flattened map, in the order of another memory layout; a memory block that is
read under another order of axes; and the channels of one axis in another order. Each is verified on every value.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from isotune.comparison.errors import largest
from isotune.investigation.pattern._equations import MARGIN, reordered

Array = np.ndarray
_NAMES = {2: ("input", "output"), 4: ("height", "width", "input", "output")}
_SAMPLE = 64  # values that most wrong arrangements fail on
_MOST = 2**25  # values of a tensor whose channels are sorted, which takes copies
_CHANNELS_FIRST, _CHANNELS_LAST = (2, 0, 1, 3), (1, 2, 0, 3)  # rows of [h, w, c, out] as [c, h, w]; and back


@dataclass(frozen=True)
class _Way:
    """other = reference, mirrored, its axes in the `order`, read in another shape, whose axes then stand in `then`."""

    text: str
    order: tuple[int, ...]
    then: tuple[int, ...]
    mirrored: tuple[int, ...] = ()

    def read(self, target: Sequence[int]) -> tuple[int, ...]:
        """The shape between the two orders, for an array of the shape `target`."""
        lengths = [0] * len(target)
        for axis, length in zip(self.then, target, strict=True):
            lengths[axis] = length
        return tuple(lengths)

    def applied(self, reference: Array, target: Sequence[int]) -> Array:
        turned = np.flip(reference, self.mirrored) if self.mirrored else reference
        return turned.transpose(self.order).reshape(self.read(target)).transpose(self.then)

    def sources(self, shape: Sequence[int], target: Sequence[int], places: Array) -> Array:
        """Where the values at flat `places` of the other stand in the reference, flat too."""
        here = np.unravel_index(places, tuple(target))
        between = self.read(target)
        middle = np.ravel_multi_index(tuple(here[self.then.index(axis)] for axis in range(len(between))), between)
        moved = np.unravel_index(middle, tuple(shape[axis] for axis in self.order))
        there = [moved[self.order.index(axis)] for axis in range(len(shape))]
        for axis in self.mirrored:
            there[axis] = shape[axis] - 1 - there[axis]
        return np.ravel_multi_index(tuple(there), tuple(shape))


def arrangement(reference: Array, other: Array, bound: float) -> str:
    """The reference's values in other places, as "other = reference with ..."; empty where that is not all.

    reference, other: canonical tensors of one size, which differ. bound: relative error that counts as agreement.
    """
    if reference.size != other.size or reference.ndim != other.ndim or reference.ndim not in _NAMES:
        return ""
    reference, other = (np.asarray(array, np.float64) for array in (reference, other))
    scale = largest(reference)
    if not (0 < scale < np.inf and largest(other) < np.inf):  # nor NaN
        return ""
    # of many values a few tell; of few all are looked at
    places = np.unique(np.linspace(0, other.size - 1, min(other.size, _SAMPLE)).astype(np.int64))
    sample, flat = other.reshape(-1)[places], reference.reshape(-1)
    allowed = min(bound * scale, _error(flat[places], sample) / MARGIN)
    for way in _ways(reference.shape, other.shape):
        sources = way.sources(reference.shape, other.shape, places)
        if _error(flat[sources], sample) > allowed:
            continue
        if _error(way.applied(reference, other.shape), other) <= allowed:
            return f"other = reference with {way.text}"
    small = reference.shape == other.shape and reference.size <= _MOST
    return _channels(reference, other, bound) if small else ""


def _error(ours: Array, theirs: Array) -> float:
    return float(np.abs(ours - theirs).max(initial=0.0))


def _ways(shape: Sequence[int], target: Sequence[int]) -> Iterator[_Way]:
    names = _NAMES[len(shape)]
    same = tuple(range(len(shape)))
    orders = sorted(itertools.permutations(same), key=lambda order: sum(a != b for a, b in enumerate(order)))
    for order in orders:
        if order != same and tuple(shape[axis] for axis in order) == tuple(target):
            yield _Way(_exchanged(order, names), order, same)
    if len(shape) != 4:
        return
    if tuple(shape) == tuple(target):
        for mirrored, text in (
            ((0, 1), "its windows turned by half a turn: one side convolves, the other correlates"),
            ((1,), "its windows mirrored from left to right"),
            ((0,), "its windows mirrored from top to bottom"),
        ):
            yield _Way(text, same, same, mirrored)
        yield _Way(_ROWS.format("channels first (NCHW)", "channels last (NHWC)"), _CHANNELS_FIRST, same)
        yield _Way(_ROWS.format("channels last (NHWC)", "channels first (NCHW)"), same, _CHANNELS_LAST)
    for order, then in itertools.product(orders, orders):
        held, taken = (" x ".join(names[axis] for axis in axes) for axes in (order, np.argsort(then).tolist()))
        yield _Way(f"its memory, {held}, read as {taken}", order, then)


_ROWS = "the rows of the flattened map in another order: {} where {} were meant"


def _exchanged(order: Sequence[int], names: Sequence[str]) -> str:
    moved = [axis for axis, source in enumerate(order) if axis != source]
    if len(order) == 2:
        return "its matrix transposed"
    if len(moved) == 2:
        first, second = (names[axis] for axis in moved)
        return f"its {first} and {second} exchanged"
    return f"its axes in another order: {', '.join(names[axis] for axis in order)} for {', '.join(names)}"


def _channels(reference: Array, other: Array, bound: float) -> str:
    """The channels of the input, or of the output, in another order."""
    axes = {"input": reference.ndim - 2, "output": reference.ndim - 1}
    for name, axis in axes.items():
        count = reference.shape[axis]
        if reference.size == count:  # a value has no place but this to be told by
            continue
        ours, theirs = (np.moveaxis(array, axis, -1).reshape(1, -1, 1, count) for array in (reference, other))
        order = reordered(ours, theirs, bound)
        if order is not None and order.name == "channel order":
            return order.text.replace("the channels", f"the channels of its {name}")
    return ""
