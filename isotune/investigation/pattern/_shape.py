"""The shape of an error: where two arrays of one layer differ, and how, in statements that their figures prove.

`pattern` asks in which images, tokens, channels and borders the values differ, then what equation holds there
(`_equations`). A statement stands only where the values on its other side agree, or where its equation reproduces
them, ten times better than the error itself and within the bound. Without any, the figures of the error are all that
is said.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from isotune.investigation.pattern._equations import MARGIN, Equation, equation, reordered

Array = np.ndarray
_LISTED = 8  # as many numbers are listed; of more the first few
_SOME = 8  # distinct values from which a type can be told
_DENSE = 0.5  # share of a border's pixels that differ, at least, for it to be called one


@dataclass(frozen=True)
class Border:
    """Rows and columns, counted from the edges of the map, outside of which the arrays agree."""

    top: int
    left: int
    bottom: int
    right: int
    inside: float  # largest relative error of the other pixels


@dataclass(frozen=True)
class Pattern:
    """What the figures show. Errors are |other - reference| over the reference's largest absolute value."""

    error: float  # the largest; inf: the shapes differ, or a value that is not finite stands on one side alone
    mean: float  # of the values that are finite on both sides
    differing: float  # share of the values that differ by more than the bound
    images: tuple[int, ...]  # those that differ, where some do and some do not
    channels: tuple[int, ...]  # likewise; channels that are zero on both sides do not count
    tokens: tuple[int, ...]  # likewise, of sequences [N, tokens, D]
    border: Border | None
    equation: Equation | None
    statements: tuple[str, ...]  # plain sentences; empty: the arrays agree

    @property
    def named(self) -> bool:
        """Whether more is known than the size of the error."""
        return bool(self.images or self.channels or self.tokens or self.border or self.equation)


def pattern(reference: Array, other: Array, bound: float, *, batched: bool = True) -> Pattern:
    """The shape of the error between two arrays of one layer, or of one tensor.

    reference, other: [N, H, W, C], [N, tokens, D], [N, D] or [N]; more axes are taken as images first, channels last,
    without a map between. A map of one pixel may be a vector on one side. bound: relative error that counts as
    agreement. batched: whether the first axis is the batch's; of a tensor it is not, and the last is its channels.
    """
    if reference.size != other.size:
        shapes = f"The shapes differ: {list(reference.shape)} in the reference, {list(other.shape)} in the other."
        return Pattern(math.inf, math.nan, 1.0, (), (), (), None, None, (shapes,))
    shape = max(reference.shape, other.shape, key=len)
    if not batched:
        shape = (1, *shape) if len(shape) < 3 else (1, math.prod(shape[:-1]), shape[-1])
    ours, theirs = (_as_maps(np.asarray(array, np.float64), shape) for array in (reference, other))
    finite = np.isfinite(ours) & np.isfinite(theirs)
    errors = _errors(ours, theirs, finite)
    most, mean = float(errors.max(initial=0.0)), float(errors[finite].mean()) if finite.any() else math.nan
    said = _not_finite(ours, theirs)
    if most <= bound:
        return Pattern(most, mean, 0.0, (), (), (), None, None, tuple(said))
    said += _narrow(ours, theirs)
    differs = errors > min(bound, most / MARGIN)
    live: Array = np.any((ours != 0) | (theirs != 0), axis=(0, 1, 2))
    images = _some(np.any(differs, axis=(1, 2, 3), keepdims=True).ravel(), np.ones(len(ours), bool))
    channels = _some(np.any(differs, axis=(0, 1, 2), keepdims=True).ravel(), live)
    sequence, every = batched and len(shape) == 3, np.ones(ours.shape[1], bool)
    tokens = _some(np.any(differs, axis=(0, 2, 3)), every) if sequence else ()
    border = _border(errors, differs) if len(shape) == 4 else None
    places = (("image", images, range(len(ours)), 0), ("token", tokens, range(len(every)), 1),
              ("channel", channels, np.flatnonzero(live), 3))  # fmt: skip
    for what, chosen, counted, axis in places:
        if chosen:
            said.append(_chosen(what, chosen, counted, float(np.delete(errors, chosen, axis).max())))
    if border:
        said.append(_bordered(border))
    where = [(chosen, axis) for _, chosen, _, axis in places if chosen]
    fitting = _equation(ours, theirs, where, bound) if finite.all() and not border else None
    share = float((errors > bound).mean())
    if fitting:
        there = where and not fitting.whole
        said.append(f"There, {fitting.text}." if there else f"{fitting.text[0].upper()}{fitting.text[1:]}.")
    else:
        said.append(_size(most, mean, share, bool(where or border)))
    return Pattern(most, mean, share, images, channels, tokens, border, fitting, tuple(filter(None, said)))


def _equation(ours: Array, theirs: Array, where: Sequence[tuple[Sequence[int], int]], bound: float) -> Equation | None:
    """What holds for all values, or where the two differ: places, each along an axis."""
    if not where:
        return equation(ours, theirs, bound)
    if order := reordered(ours, theirs, bound):
        return order
    for chosen, axis in where:
        ours, theirs = (np.take(array, chosen, axis) for array in (ours, theirs))
    return equation(ours, theirs, bound, whole=False)


def _as_maps(array: Array, shape: tuple[int, ...]) -> Array:
    """[N, H, W, C] in float64: images first, channels last, whatever is between them as a map."""
    if len(shape) < 2:
        return array.reshape(shape[0] if shape else 1, 1, 1, 1)
    if len(shape) == 4:
        return array.reshape(shape)
    return array.reshape(shape[0], -1, 1, shape[-1]) if array.size else array.reshape(0, 1, 1, 1)


def _errors(ours: Array, theirs: Array, finite: Array) -> Array:
    """Relative errors; inf where the two are not finite in the same way, 0 where they are."""
    scale = float(np.abs(ours[finite]).max(initial=0.0)) or float(np.abs(theirs[finite]).max(initial=0.0)) or 1.0
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(all="ignore"):
        errors: Array = np.where(finite, np.abs(theirs - ours) / scale, np.where(same, 0.0, math.inf))
    return errors


def _not_finite(ours: Array, theirs: Array) -> list[str]:
    said = []
    for side, values in (("reference", ours), ("other", theirs)):
        for word, count in (("NaN", np.isnan(values).sum()), ("infinite", np.isinf(values).sum())):
            if count:
                said.append(f"{count} of {values.size} values of the {side} {'is' if count == 1 else 'are'} {word}.")
    return said


def _narrow(ours: Array, theirs: Array) -> list[str]:
    """Whether one side's values are all numbers of a type with fewer bits, and the other's are not; of some values
    at least, since 0 and 1 are numbers of every type."""
    if min(len(np.unique(ours)), len(np.unique(theirs))) < _SOME:
        return []
    for name, holds in (("bfloat16", _in_bfloat16), ("float16", _in(np.float16)), ("float32", _in(np.float32))):
        reference, other = holds(ours), holds(theirs)
        if reference != other:
            which, rest = ("other", "reference") if other else ("reference", "other")
            return [
                f"Every value of the {which} is a number of {name}, which those of the {rest} are not: it was computed"
                f" or kept in {name}."
            ]
    return []


def _in(dtype: type[np.floating]) -> Callable[[Array], bool]:
    def holds(values: Array) -> bool:
        with np.errstate(over="ignore"):
            return bool((values.astype(dtype) == values).all())

    return holds


def _in_bfloat16(values: Array) -> bool:
    """float32 without its lower 16 bits."""
    return _in(np.float32)(values) and not (values.astype(np.float32).view(np.uint32) & 0xFFFF).any()


def _some(differing: Array, counted: Array) -> tuple[int, ...]:
    """Places that differ, when some of those that count do not."""
    differing = differing & counted
    return tuple(map(int, np.flatnonzero(differing))) if differing.sum() < counted.sum() else ()


# -- borders


def _border(errors: Array, differs: Array) -> Border | None:
    """The narrowest frame along some of the four edges that holds every differing pixel; None where it would leave
    nothing inside, or most of the frame does not differ."""
    pixels = differs.any(axis=(0, 3))
    height, width = pixels.shape
    rows, columns = np.nonzero(pixels)
    distances = np.stack([rows, columns, height - 1 - rows, width - 1 - columns])  # to top, left, bottom, right
    best: tuple[int, tuple[int, ...]] = (height * width, ())
    for count in range(1, 5):
        for edges in itertools.combinations(range(4), count):
            depths = _depths(distances, edges)
            inner = max(0, height - depths[0] - depths[2]) * max(0, width - depths[1] - depths[3])
            best = min(best, (height * width - inner, depths), key=lambda frame: frame[0])
    covered, depths = best
    if not depths or covered == height * width or len(rows) < _DENSE * covered:
        return None
    top, left, bottom, right = depths
    inside = errors[:, top : height - bottom, left : width - right]
    return Border(top, left, bottom, right, float(inside.max()))


def _depths(distances: Array, edges: Sequence[int]) -> tuple[int, ...]:
    """How deep the frame along `edges` must be, each pixel belonging to the nearest of them."""
    nearest = distances[list(edges)].argmin(axis=0)
    depths = [0] * 4
    for place, edge in enumerate(edges):
        depths[edge] = int(distances[edge][nearest == place].max(initial=-1)) + 1
    return tuple(depths)


# -- sentences


def _chosen(what: str, chosen: Sequence[int], counted: Sequence[int] | Array, rest: float) -> str:
    agreeing = sorted({int(place) for place in counted} - set(chosen))
    which = f"Only {what}s {_listed(chosen)} differ" if len(chosen) > 1 else f"Only {what} {chosen[0]} differs"
    if len(agreeing) < len(chosen):
        which = f"All {what}s but {_listed(agreeing)} differ"
    return f"{which} ({len(chosen)} of {len(counted)}); the others agree to {rest:.1e}."


def _listed(places: Sequence[int]) -> str:
    shown = [str(place) for place in places[:_LISTED]]
    if len(places) > _LISTED:
        return f"{', '.join(shown)}, ..."
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _bordered(border: Border) -> str:
    depths = {"top": border.top, "left": border.left, "bottom": border.bottom, "right": border.right}
    parts = [
        f"the {depth} {'row' if edge in ('top', 'bottom') else 'column'}{'' if depth == 1 else 's'} at the {edge}"
        for edge, depth in depths.items()
        if depth
    ]
    where = " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    return f"Only the border differs, {where}; inside, the two agree to {border.inside:.1e}."


def _size(most: float, mean: float, share: float, located: bool) -> str:
    if not math.isfinite(most):
        return "" if math.isnan(mean) else f"Finite values differ by {mean:.1e} of the largest on average."
    said = (
        f"{100 * share:.3g} % of the values differ; the error is {mean:.1e} of the largest value on average,"
        f" {most:.1e} at most."
    )
    return said if located else f"No simple pattern fits. {said}"
