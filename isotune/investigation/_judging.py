"""One claim judged: the right side's observations against the left's in float64, carried or alone, under flips.

The reference is the left side in float64. In that mode 1e-9 relative is allowed, or ten times what the left side shows
against itself with the batch permuted; in others a small factor of the left side's own error (`comparison.agreement`).
A drift amplifies what the two are apart after one step, rounding too, so there the noise counts as often as it is
contained in that.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from isotune.comparison.agreement import (
    BOUND,
    FLOOR,
    NOISE_FACTOR,
    REFEREE_FACTOR,
    largest,
    relative_error,
    root_mean_square,
)
from isotune.comparison.observations import Observations
from isotune.comparison.sides import Side
from isotune.investigation._claims import HOW, LAYERS, STEP, Claim
from isotune.investigation._findings import SIDES, Error, Flip
from isotune.investigation._showing import Showing

Array = np.ndarray


@dataclass(frozen=True)
class Judged:
    """Errors of a rung against what is allowed."""

    errors: tuple[Error, ...]
    bound: float
    noise: float | None = None
    shown: tuple[Path, Path] | None = None  # folders of what the reference and the other side showed

    @property
    def worst(self) -> float:
        return max((error.relative for error in self.errors), default=0.0)

    @property
    def failing(self) -> list[Error]:
        return [error for error in self.errors if not error.relative <= self.bound]

    @property
    def holds(self) -> bool:
        return not self.failing


class Judge:
    """Asks what a claim needs of both sides, and compares it."""

    def __init__(self, showing: Showing) -> None:
        self._showing = showing
        self._noises: dict[str, float] = {}

    def carried(self, claim: Claim) -> Judged:
        """Each side from its own images on."""
        return self._judged(claim, (), self._showing.images("right"))

    def alone(self, claim: Claim, tried: Sequence[Flip] = (), causes: Sequence[Flip] = ()) -> Judged:
        """The right side given the reference's values; in training, under the causes found so far instead. tried:
        flips whose observations are not kept."""
        if claim.part == "logits":  # of the features that the reference has: its own layer
            layers = self.alone(LAYERS, tried)
            return Judged(tuple(error for error in layers.errors if error.name == "head"), layers.bound, layers.noise)
        flips = (*causes, *tried) if claim.training else tried
        return self._judged(claim, flips, self._showing.images("left"), fed=True, tried={flip.side for flip in tried})

    def shows(self, claim: Claim, image: Array) -> bool:
        """Whether one image, uint8 [1, H, W, 3], is enough for the claim to fail alone; inference, float64."""
        images = self._showing.keep(image)
        failing = not self._judged(claim, (), images, fed=True, reference_images=images, tried=SIDES).holds
        Path(images).unlink()
        return failing

    def _judged(
        self,
        claim: Claim,
        flips: Sequence[Flip],
        images: str,
        *,
        fed: bool = False,
        tried: Collection[str] = (),
        reference_images: str = "",
    ) -> Judged:
        """reference_images: the left side's own, unless they are given."""
        showing = self._showing
        ours = reference_images or showing.images("left")
        left, right = (_flipped(showing.sides[which], which, flips) for which in ("left", "right"))
        reference = showing.shown("left", left.in_mode("float64"), claim.part, ours)
        given: dict[str, str] = {}
        if fed and claim.part not in ("weights", "input"):
            given["weights"] = showing.weights(left)
        if fed and claim.layered:
            given["replaced"] = str(reference)
        other = showing.shown("right", right, claim.part, images, **given)
        if left.numeric_mode == "float64":
            judged = Judged(tuple(_errors(claim, reference, other, largest)), BOUND, shown=(reference, other))
            if not judged.holds and (claim.training or not fed):
                noise = self._noise(claim, left, reference)
                if claim.part == "drift":
                    noise *= self._apart(left, self._judged(STEP, flips, images, fed=fed, tried=tried))
                judged = replace(judged, bound=max(BOUND, NOISE_FACTOR * noise), noise=noise)
        else:
            again = showing.shown("left", left, claim.part, ours, **given)
            own, theirs = (_errors(claim, reference, each, root_mean_square) for each in (again, other))
            worst = max((error.relative for error in own), default=0.0)
            judged = Judged(tuple(theirs), REFEREE_FACTOR * worst, worst, (reference, other))
        for which, folder in (("left", reference), ("right", other)):
            if which in tried:
                showing.forget(folder)
        return judged

    def _apart(self, left: Side, step: Judged) -> float:
        """How many times the left side's own noise the two are apart after one step that holds, 1 at least: so much
        more does a drift amplify."""
        reference = self._showing.shown("left", left.in_mode("float64"), STEP.part, self._showing.images("left"))
        noise = self._noise(STEP, left, reference)
        return max(1.0, step.worst / noise) if noise and step.holds else 1.0

    def _noise(self, claim: Claim, left: Side, reference: Path) -> float:
        """Of the rung, measured once: what flips change of it is not much beside the factor that is allowed."""
        if claim.name not in self._noises:
            again = self._showing.shown("left", left, claim.part, self._showing.images("left"), permuted=True)
            found = _errors(claim, reference, again, largest, every=False)
            self._noises[claim.name] = max((error.relative for error in found), default=0.0)
        return self._noises[claim.name]


def observed(claim: Claim, folder: Path) -> dict[str, Array]:
    """The claim's own observations: the loss apart from the gradients, the input apart from the layers."""
    seen = Observations(folder)
    if claim.name == "loss":
        return {"loss": seen["loss"]}
    kept = (name for name in seen if name.startswith(claim.prefix))
    dropped = {"gradients": "loss", "layers": "input", "training layers": "input"}.get(claim.part)
    return {name.removeprefix(claim.prefix): seen[name] for name in kept if name != dropped}


def _errors(
    claim: Claim, reference: Path, other: Path, size: Callable[[Array], float], *, every: bool = True
) -> list[Error]:
    return errors(
        observed(claim, reference), observed(claim, other), size=size, floored=claim.floored,
        every=every and not claim.layered,
    )  # fmt: skip


def errors(
    reference: Mapping[str, Array],
    other: Mapping[str, Array],
    *,
    size: Callable[[Array], float] = largest,
    floored: bool = False,
    every: bool = True,
) -> list[Error]:
    """Of each tensor of the reference, the other's relative error, in the reference's order.

    floored: where a rung sums over the batch, values below FLOOR of the rung's largest count as that much, since what
    cancels to nothing has no digits of its own. every: a tensor that one side lacks is an error.
    """
    most = max((size(array) for array in reference.values()), default=0.0) if floored else 0.0
    found = []
    for name, array in reference.items():
        if name in other:
            relative, why = relative_error(array, other[name], FLOOR * most, size)
            found.append(Error(name=name, relative=relative, why=why))
        elif every:
            found.append(Error(name=name, relative=float("inf"), why="only the left side has it"))
    if every:
        missing: Iterable[str] = (name for name in other if name not in reference)
        found += [Error(name=name, relative=float("inf"), why="only the right side has it") for name in missing]
    return found


def _flipped(side: Side, which: str, flips: Sequence[Flip]) -> Side:
    mine = {flip.axis: flip.value for flip in flips if flip.side == which}
    how = {axis: value for axis, value in mine.items() if axis in HOW}
    axes = {axis: value for axis, value in mine.items() if axis not in HOW}
    return (side.under(axes) if axes else side).model_copy(update=how)
