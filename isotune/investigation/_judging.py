"""One rung judged: the right side's observations against the left's in float64, end to end or isolated, under flips.

The reference is the left side in float64; what its errors may be says `comparison.bounds`. A drift amplifies what the
two are apart after one step, rounding too, so there the noise counts as often as it is contained in that. Noise is the
reference against itself with the batch in reverse, NOISE_FACTOR times as much in a drift: how much a few steps make of
a rounding is known from the one rounding that was tried, to a factor like it. A reference whose layers depend on the
other images has none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from isotune.comparison.batch import Batch
from isotune.comparison.bounds import NOISE_FACTOR, Judgement, judge
from isotune.comparison.errors import Error, Size, depends, errors, largest, noises, root_mean_square, worst
from isotune.comparison.observations import Observations
from isotune.comparison.sides import Side
from isotune.errors import UsageError
from isotune.investigation._left_out import PARTS
from isotune.investigation._recordings import Question, Recordings
from isotune.investigation._rung_specs import LAYERS, SETTINGS, STEP, RungSpec
from isotune.investigation.findings import SIDES, Flip, Which
from isotune.reading import arrays
from isotune.weights import HEAD
from isotune.workers.process import WorkerFailure

Array = np.ndarray
STRETCH = 32.0  # a power of 2, so that what is linear stays so to the bit


@dataclass(frozen=True)
class Judged(Judgement):
    """A judgement with the folders of what the reference and the other side showed."""

    recorded: tuple[Path, Path] | None = None


class Judge:
    """Asks what a rung needs of both sides, and compares it."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings
        self._noises: dict[str, float] = {}
        self._isolated: dict[tuple[object, ...], Judged] = {}
        self._dependent: dict[str, Error | None] = {}

    def end_to_end(self, spec: RungSpec) -> Judged:
        """Each side from its own images on."""
        return self._judged(spec, (), self._recordings.images("right"))

    def isolated(self, spec: RungSpec, tried: Sequence[Flip] = (), causes: Sequence[Flip] = ()) -> Judged:
        """The right side given the reference's values; in training, under the causes known so far instead. tried:
        flips whose recordings are not kept, only what was judged: a search comes back to them."""
        if spec.part == "logits":  # of the features that the reference has: its own layer
            layers = self.isolated(LAYERS, tried)
            return Judged(tuple(error for error in layers.errors if error.name == HEAD), layers.bound)
        flips = (*causes, *tried) if spec.training else tuple(tried)
        key = spec, *self._sides(flips), *(_absent(which, flips) for which in SIDES)
        known = self._isolated.get(key)
        dropped = known is not None and known.recorded and not all(folder.exists() for folder in known.recorded)
        if known is None or (dropped and not tried):  # it is to be looked at, where a try was only to be judged
            sides = {flip.side for flip in tried}
            self._isolated[key] = self._judged(spec, flips, self._recordings.images("left"), fed=True, tried=sides)
        return self._isolated[key]

    def with_the_weights(self, spec: RungSpec) -> Judged:
        """Each side from its own images on, the right side with the reference's weights."""
        return self._judged(spec, (), self._recordings.images("right"), fed=True)

    def shows(self, spec: RungSpec, image: Array) -> bool:
        """Whether one image, uint8 [1, H, W, 3], is enough for the isolated rung to fail; inference, float64."""
        images = self._recordings.keep(image)
        failing = not self._judged(spec, (), images, fed=True, reference_images=images, tried=SIDES).holds
        Path(images).unlink()
        return failing

    def stretched(self) -> Judged | None:
        """The layers once more, each side given STRETCH times what the left's are given: what bends or stops only
        beyond these images (ReLU6, a clamp) shows then. What is not finite there proves nothing. None: one side cannot
        be asked."""
        recordings = self._recordings
        left, right = recordings.sides["left"].in_mode("float64"), recordings.sides["right"]
        if recordings.left_is_dump or right.numeric_mode != "float64":
            return None
        images = recordings.images("left")
        given = {"replaced": str(recordings.of("left", left, LAYERS.part, images)), "stretched": STRETCH}
        mine: Question = (left, LAYERS.part, images, given)
        try:
            folders = recordings.both(mine, (right, LAYERS.part, images, given | {"weights": recordings.weights(left)}))
        except (UsageError, WorkerFailure):  # a network may refuse what it is given
            return None
        finite = [error for error in _errors(LAYERS, *folders, largest) if error.why != "not finite"]
        judged = judge(finite)
        return Judged(judged.errors, judged.bound, folders)

    def dependent(self, which: Which) -> Error | None:
        """The first layer of a side that shows something else of an image, of the same input, when the others are in
        another order and one is missing; inference, float64. None: no layer does, or the side cannot be asked."""
        if which not in self._dependent:
            self._dependent[which] = self._first_dependent(which)
        return self._dependent[which]

    def _first_dependent(self, which: Which) -> Error | None:
        recordings = self._recordings
        side, images = recordings.sides[which].in_mode("float64"), recordings.images(which)
        batch = self._batch(images, apart=True)
        asked = recordings.sides["right"].numeric_mode == "float64" if which == "right" else not recordings.left_is_dump
        if not asked or not len(batch.order):
            return None
        whole = recordings.of(which, side, LAYERS.part, images)
        try:
            alone = recordings.of(which, side, LAYERS.part, images, apart=True, replaced=str(whole))
        except (UsageError, WorkerFailure):  # a network may take no other number of images
            return None
        judged = judge(depends(observed(LAYERS, alone), observed(LAYERS, whole), batch.arranged))
        recordings.forget(alone)
        return judged.failing[0] if judged.failing else None

    @staticmethod
    def _batch(images: str, *, apart: bool = False) -> Batch:
        pixels = arrays.array(images, mapped=True)
        return Batch.of(pixels, np.zeros(len(pixels), np.int64), permuted=True, apart=apart)

    def _judged(
        self,
        spec: RungSpec,
        flips: Sequence[Flip],
        images: str,
        *,
        fed: bool = False,
        tried: Collection[str] = (),
        reference_images: str = "",
    ) -> Judged:
        """reference_images: the left side's own, unless they are given."""
        recordings = self._recordings
        kept = recordings.kept()
        ours = reference_images or recordings.images("left")
        left, _ = self._sides(flips)
        asked = self._questions(spec, flips, images, fed=fed, reference_images=ours)
        reference, other = recordings.both(asked["left"], asked["right"])
        if left.numeric_mode == "float64":

            def noise() -> float:
                amplified = 1.0
                if spec.part == "drift":
                    step = self.isolated(STEP, flips) if fed else self._judged(STEP, flips, images)
                    amplified = NOISE_FACTOR * self._apart(left, step)
                return self._noise(spec, left) * amplified

            excused = noise if spec.training or not fed else None
            judgement = judge(_errors(spec, reference, other, largest), noise=excused)
        else:
            again = recordings.of("left", left, spec.part, ours, **{**asked["right"][-1], **asked["left"][-1]})
            own, theirs = (_errors(spec, reference, each, root_mean_square) for each in (again, other))
            judgement = judge(theirs, own=own)
        for which, folder in (("left", reference), ("right", other)):
            if which in tried and folder not in kept:
                recordings.forget(folder)
        return Judged(judgement.errors, judgement.bound, (reference, other))

    def _questions(
        self, spec: RungSpec, flips: Sequence[Flip], images: str, *, fed: bool, reference_images: str
    ) -> dict[Which, Question]:
        """What the rung needs of either side."""
        left, right = self._sides(flips)
        reference = left.in_mode("float64")
        mine: dict[str, Any] = {"left_out": _absent("left", flips)}
        given: dict[str, Any] = {"left_out": _absent("right", flips)}
        if spec.part == "weights":
            reference_images = images = ""  # the same of any
        elif fed and spec.part != "input":
            given["weights"] = self._recordings.weights(left)
        if fed and spec.layered:  # the right waits for what the left shows
            given["replaced"] = str(self._recordings.of("left", reference, spec.part, reference_images))
        return {"left": (reference, spec.part, reference_images, mine), "right": (right, spec.part, images, given)}

    def ahead(self, which: Which, specs: Sequence[RungSpec], causes: Sequence[Flip] | None = None) -> None:
        """Have a side record what these rungs need of it end to end, while it has nothing else to do; with causes,
        what those of training need of it isolated."""
        images = self._recordings.images("right" if causes is None else "left")
        left = self._recordings.images("left")
        asked = (
            self._questions(spec, causes or (), images, fed=causes is not None, reference_images=left)[which]
            for spec in specs
            if causes is None or spec.training
        )
        self._recordings.ahead(which, asked)

    def _sides(self, flips: Sequence[Flip]) -> tuple[Side, Side]:
        """Left and right, flipped."""
        left, right = (flipped(self._recordings.sides[which], which, flips) for which in SIDES)
        return left, right

    def _apart(self, left: Side, step: Judged) -> float:
        """How many times the left side's own noise the two are apart after one step that holds, 1 at least: so much
        more does a drift amplify."""
        noise = self._noise(STEP, left)
        return max(1.0, step.worst / noise) if noise and step.holds else 1.0

    def _noise(self, spec: RungSpec, left: Side) -> float:
        """Of the rung, measured once: what flips change of it is not much beside the factor that is allowed."""
        if spec.name not in self._noises:
            self._noises[spec.name] = 0.0 if self.dependent("left") else self._measured(spec, left)
        return self._noises[spec.name]

    def noises_ahead(self, specs: Sequence[RungSpec]) -> None:
        """Have the left side record what tells its noise, in float64, where it is sure to be asked for."""
        left = self._recordings.sides["left"]
        if left.numeric_mode == "float64":
            wanted = [spec for spec in specs if spec.part not in ("input", "weights")]
            self._recordings.ahead("left", [self._questions_of_noise(spec, left)[1] for spec in wanted])

    def _questions_of_noise(self, spec: RungSpec, left: Side) -> tuple[Question, Question]:
        """The batch in its order and in reverse."""
        side, images = left.in_mode("float64"), self._recordings.images("left")
        return (side, spec.part, images, {}), (side, spec.part, images, {"permuted": True})

    def _measured(self, spec: RungSpec, left: Side) -> float:
        asked = self._questions_of_noise(spec, left)
        reference, again = (
            observed(spec, self._recordings.of("left", side, part, images, **how)) for side, part, images, how in asked
        )
        images = self._recordings.images("left")
        unsorted = self._batch(images).arranged if spec.layered else None
        return worst(noises(reference, again, unsorted, floored=spec.floored)).relative


def observed(spec: RungSpec, folder: Path) -> Mapping[str, Array]:
    """The rung's own observations: the loss apart from the gradients, the input apart from the layers."""
    if spec.name == "loss":
        return {"loss": Observations(folder)["loss"]}
    dropped = {"gradients": "loss", "layers": "input", "training layers": "input"}.get(spec.part, "")
    return Observations(folder, spec.prefix).without(dropped)


def not_fed(spec: RungSpec, end_to_end: Judged, isolated: Judged) -> list[str]:
    """What shows nothing isolated, since it cannot be given what the left side's is given: layers, or the head alone
    where the logits are judged by it."""
    fed = {error.name for error in isolated.errors}
    if spec.part == "logits":
        return [HEAD] if end_to_end.errors and not fed else []
    return [error.name for error in end_to_end.errors if error.name not in fed] if spec.layered else []


def _errors(spec: RungSpec, reference: Path, other: Path, size: Size) -> list[Error]:
    ours, theirs = observed(spec, reference), observed(spec, other)
    return errors(ours, theirs, size=size, floored=spec.floored, every=not spec.layered)


def flipped(side: Side, which: str, flips: Sequence[Flip]) -> Side:
    """The side under those of the flips that are its own."""
    mine = {flip.axis: flip.value for flip in flips if flip.side == which}
    settings = {axis: value for axis, value in mine.items() if axis in SETTINGS}
    axes = {axis: value for axis, value in mine.items() if axis not in SETTINGS and axis not in PARTS}
    return (side.under(axes) if axes else side).model_copy(update=settings)


def _absent(which: str, flips: Sequence[Flip]) -> tuple[str, ...]:
    """The parts of the protocol that the side is to leave out."""
    return tuple(sorted({flip.axis for flip in flips if flip.side == which and flip.axis in PARTS}))
