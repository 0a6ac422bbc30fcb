"""A layer's excerpt on both sides, cut down to the least that still fails.

First the operations. Where both sides have the same value at one place, what comes before it is no part of the
failure, and the pieces begin there; where they part already at a place after which both agree again when given one
value, they end there. Where the values agree everywhere and a gradient or a running statistic does not, a piece begins
or ends wherever what is left still shows it. Then channels, from one on, and pixels, from one on. Each trial runs the
lines on both sides with the arrays that the script would draw.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from isotune.comparison.errors import relative_error
from isotune.excerpts import Excerpt, NotWritten
from isotune.investigation.findings import SIDES, Which
from isotune.investigation.reproducing._pieces import Piece, Shape, Shown, whole

Array = np.ndarray
CHANNELS = (1, 2, 3, 4, 8, 16, 32)
PIXELS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32)
SEED = 0
SPREAD = 6  # of the inputs' normal draw: beyond where ReLU6 and hard sigmoid bend
_ALIKE = "both sides' lines give the same of drawn arrays, or other shapes"
_ALIKE_BUT_FOR_TENSORS = "both sides' lines give their input one gradient, and no script shows that of a tensor alone"
_SHARE = 1e-3  # of the error in the whole piece: what is less is not what fails
_LEAST = 1e-9

Values = Callable[[Which, Piece, Mapping[str, Array], list[str], list[int]], list[Array]]
Write = Callable[[Which, int | None], Excerpt]


@dataclass(frozen=True)
class Failing:
    """Two pieces that part, with the arrays that show it."""

    pieces: Mapping[Which, Piece]
    given: Mapping[str, Shape]  # input -> shape, as the left side has it
    tensors: Mapping[str, Shape]  # slot -> canonical shape
    tolerance: float  # relative, beyond which they part
    error: float

    def drawn(self) -> dict[str, Array]:
        """The arrays, as the script draws them: first the inputs, then the tensors, from one stream."""
        stream = np.random.default_rng(SEED)
        arrays: dict[str, Array] = {}
        for name, shape in zip(self.names(), self.given.values(), strict=True):
            arrays[name] = stream.normal(0, SPREAD, shape)
        for slot, shape in self.tensors.items():
            arrays[slot] = stream.uniform(0.5, 2, shape) if slot == "variance" else stream.normal(size=shape)
        return arrays

    def names(self) -> list[str]:
        """Of the inputs' arrays."""
        return ["x"] if len(self.given) == 1 else [f"x{place}" for place in range(len(self.given))]

    def read(self, which: Which) -> list[str]:
        """What a side's piece reads, as expressions of the inputs' arrays."""
        words = []
        variables = dict(zip(self.given, self.names(), strict=True))
        for name, shape, _ in self.pieces[which].inputs:
            ours = self.given[name]
            words.append(variables[name] if ours == shape else f"{variables[name]}.reshape({shape})")
        return words


def failing(write: Write, values: Values, shows: Shown = "output") -> Failing:
    """The least that still fails, of what is shown. NotWritten: a side cannot be written, or both give the same of
    drawn arrays."""
    excerpts = {which: write(which, None) for which in SIDES}
    began = _tried({which: whole(excerpt, shows) for which, excerpt in excerpts.items()}, values, 0.0)
    if began is None:
        raise NotWritten(_ALIKE if shows != "gradient" else _ALIKE_BUT_FOR_TENSORS)
    tolerance = max(_LEAST, min(began.error, 1.0) * _SHARE)
    now = replace(began, tolerance=float(f"{tolerance:.0e}"))
    now = _with_less_behind(_with_less_before(now, values), values)
    now = _with_fewer_channels(now, write, values)
    return _with_fewer_pixels(now, values)


def _tried(
    pieces: Mapping[Which, Piece], values: Values, tolerance: float, given: Mapping[str, Shape] | None = None
) -> Failing | None:
    """The pieces with arrays of these shapes, if they part by more than the tolerance."""
    ours, theirs = pieces["left"], pieces["right"]
    own = {name: shape for piece in (theirs, ours) for name, shape, _ in piece.inputs}
    tensors = {slot: shape for piece in (theirs, ours) for slot, shape in piece.tensors.items()}
    trial = Failing(pieces, given or own, tensors, tolerance, 0.0)
    try:
        arrays = trial.drawn()
        ends = [values(which, pieces[which], arrays, trial.read(which), [pieces[which].last])[0] for which in SIDES]
    except (NotWritten, ValueError):
        return None
    error = _apart(*ends)
    if not np.isfinite(ends[0]).all() or not np.isfinite(ends[1]).all():
        return None
    return replace(trial, error=error) if error > max(tolerance, _LEAST) else None


def _apart(ours: Array, theirs: Array) -> float:
    return relative_error(np.asarray(ours, np.float64), np.asarray(theirs, np.float64), 0.0)[0]


def _at(now: Failing, values: Values) -> Iterator[tuple[int, int, float]]:
    """Every pair of places at which both sides have values of one size, and how far apart these are."""
    arrays = now.drawn()
    pieces = {which: replace(piece, shows="output") for which, piece in now.pieces.items()}
    places = {which: pieces[which].cuts() for which in SIDES}
    seen = {
        which: values(which, pieces[which], arrays, now.read(which), places[which]) if places[which] else []
        for which in SIDES
    }
    pairs = itertools.product(*(zip(places[which], seen[which], strict=True) for which in SIDES))
    for (here, ours), (there, theirs) in pairs:
        if ours.shape == theirs.shape:
            yield here, there, _apart(ours, theirs)


def _with_less_before(now: Failing, values: Values) -> Failing:
    agreeing = [(here, there) for here, there, error in _at(now, values) if error <= now.tolerance]
    for here, there in sorted(agreeing, key=sum, reverse=True):
        ours, theirs = now.pieces["left"], now.pieces["right"]
        pieces: dict[Which, Piece] = {"left": replace(ours, first=here + 1), "right": replace(theirs, first=there + 1)}
        if (smaller := _tried(pieces, values, now.tolerance)) is not None:
            return smaller
    return now


def _with_less_behind(now: Failing, values: Values) -> Failing:
    outputs = now.pieces["left"].shows == "output"
    parted = [(here, there) for here, there, error in _at(now, values) if not outputs or error > now.tolerance]
    for here, there in sorted(parted, key=sum):
        ours, theirs = now.pieces["left"], now.pieces["right"]
        rest: dict[Which, Piece] = {"left": replace(ours, first=here + 1), "right": replace(theirs, first=there + 1)}
        if outputs and _tried(rest, values, now.tolerance) is not None:
            continue  # what follows fails too: the two belong together
        pieces: dict[Which, Piece] = {"left": replace(ours, last=here), "right": replace(theirs, last=there)}
        if (smaller := _tried(pieces, values, now.tolerance)) is not None:
            return smaller
    return now


def _with_fewer_channels(now: Failing, write: Write, values: Values) -> Failing:
    most = max(shape[-1] for shape in now.given.values())
    for channels in (each for each in CHANNELS if each < most):
        try:
            narrow: dict[Which, Piece] = {
                which: replace(now.pieces[which], excerpt=write(which, channels)) for which in SIDES
            }
        except NotWritten:
            return now
        given = {name: (*shape[:-1], channels) for name, shape in now.given.items()}
        if (smaller := _tried(narrow, values, now.tolerance, given)) is not None:
            return smaller
    return now


def _with_fewer_pixels(now: Failing, values: Values) -> Failing:
    """One image, and as few of its rows and columns, or of its tokens, as will do."""
    largest = max((max(shape[1:-1], default=1) for shape in now.given.values()), default=1)
    for images, side in itertools.product((1, 2), [*(each for each in PIXELS if each < largest), largest]):
        given = {
            name: (images, *(side if each == largest else each for each in shape[1:-1]), shape[-1])
            for name, shape in now.given.items()
        }
        if (smaller := _tried(_sized(now, given), values, now.tolerance, given)) is not None:
            return smaller
    return now


def _sized(now: Failing, given: Mapping[str, Shape]) -> dict[Which, Piece]:
    """The pieces, told that their inputs have these shapes where both sides had one shape."""
    pieces: dict[Which, Piece] = {}
    for which in SIDES:
        piece, excerpt = now.pieces[which], now.pieces[which].excerpt
        if piece.first == 0:
            known = tuple(
                each.model_copy(update={"shape": given[each.name]}) if each.shape == now.given[each.name] else each
                for each in excerpt.given
            )
            pieces[which] = replace(piece, excerpt=excerpt.model_copy(update={"given": known}))
        else:
            operations = list(excerpt.operations)
            operations[piece.first - 1] = operations[piece.first - 1].model_copy(update={"shape": given["between"]})
            pieces[which] = replace(piece, excerpt=excerpt.model_copy(update={"operations": tuple(operations)}))
    return pieces
