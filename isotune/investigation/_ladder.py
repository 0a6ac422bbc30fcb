"""The ladder: rung after rung, each judged twice.

*Carried*: each side goes its own way from the images on. *Alone*: the right side is given the left's values of all that
comes before, so that only what the rung itself computes can differ: its pixels, its input, its weights, the output of
every layer before. What a step of training computes cannot be fed in like this; there, the axes that were found to be
causes below are set alike instead. A rung that fails alone fails by itself; one that fails only when carried inherits.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from isotune.conventions import AXES, PIXEL_AXES
from isotune.investigation._causes import cause
from isotune.investigation._claims import BEFORE, CLAIMS, HOW, Claim
from isotune.investigation._findings import Cause, Flip, Rung, Smallest, Verdict
from isotune.investigation._judging import Judge, Judged, observed
from isotune.investigation._shape import pattern
from isotune.investigation._showing import Showing
from isotune.investigation._smallest import smallest
from isotune.progress import Progress, untold
from isotune.protocols import relevant_axes

Array = np.ndarray


class Ladder:
    """Walks with what both sides show."""

    def __init__(self, showing: Showing, progress: Progress | None = None) -> None:
        self._showing, self._judge = showing, Judge(showing)
        self._progress = progress or untold
        self._flips: list[Flip] = []  # of the causes found so far
        self._unnamed = ""  # the first rung that fails by itself, and no cause was found
        self._unexplained = frozenset[str]()  # layers that fail by themselves, and no cause was found

    def walk(self) -> Iterator[Rung]:
        """The rungs, one after the other; the sides are described already."""
        total = len(BEFORE) + len(CLAIMS)
        for number, rung in enumerate(self._data_rungs()):
            self._progress(rung.name, number, total)
            yield rung
        for number, claim in enumerate(CLAIMS, len(BEFORE)):
            self._progress(claim.name, number, total)
            yield self._rung(claim)

    # -- images

    def _data_rungs(self) -> Iterator[Rung]:
        left, right = self._showing.axes("left"), self._showing.axes("right")
        for name, axis in zip(BEFORE, PIXEL_AXES, strict=True):
            began = time.perf_counter()
            yield self._data_rung(name, axis, left, right).model_copy(update={"seconds": time.perf_counter() - began})

    def _data_rung(self, name: str, axis: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Rung:
        batch = self._showing.batch
        if axis == "decode" and not batch.encoded:
            return Rung(name=name, verdict="not applicable", remarks=("the data set holds arrays, nothing to decode",))
        reference = np.load(self._showing.images("left"), allow_pickle=False)
        if axis == "decode":  # the first rung: nothing comes before it
            carried = alone = batch.pixels(right["decode"], left["resize"])
        else:
            carried = batch.pixels(right["decode"], right["resize"])
            alone = batch.pixels(left["decode"], right["resize"])
        error, own = (_pixel_error(reference, other) for other in (carried, alone))
        if not own:
            return Rung(
                name=name, verdict="inherits" if error else "holds", error=error, alone=own, bound=0.0, compared=1
            )
        flip = Flip(side="right", axis=axis, was=right[axis], value=left[axis])
        self._flips.append(flip)
        return Rung(
            name=name, verdict="fails", error=error, alone=own, bound=0.0, compared=1, failing=1, where="pixels",
            cause=Cause(flips=(flip,), before=own, after=0.0, layers=1),
        )  # fmt: skip

    # -- one rung

    def _rung(self, claim: Claim) -> Rung:
        began = time.perf_counter()
        if claim.name == "gradients" and self._showing.sides["left"].numeric_mode != "float64":
            why = "only float64 judges gradients: where a ReLU meets zero, a rounding opens or shuts it"
            return Rung(name=claim.name, verdict="not applicable", remarks=(why,))
        carried = self._judge.carried(claim)
        alone = carried if carried.holds else self._judge.alone(claim, causes=self._flips)
        verdict: Verdict = "holds" if carried.holds else "inherits"
        found, remarks, least = None, tuple[str, ...](), None
        if not alone.holds and claim.training and self._unnamed:
            verdict = "unknown"
            remarks = (f"it cannot be judged by itself: what makes the rung {self._unnamed!r} fail has no name",)
        elif not alone.holds:
            verdict = "fails"
            again = claim.layered and _names(alone) <= self._unexplained
            found = None if again else self._cause(claim, alone)
            if again:
                remarks = ("these layers fail in inference mode too, without a known cause",)
            elif found is None:
                remarks, least = tuple(_shape(claim, alone)), self._smallest(claim)
        shown = alone if alone.failing else carried
        return Rung(
            name=claim.name, verdict=verdict, error=carried.worst, alone=alone.worst, bound=alone.bound,
            noise=alone.noise if alone.noise is not None else carried.noise, where=self._where(shown),
            compared=len(carried.errors), failing=len(shown.failing), cause=found, remarks=remarks, smallest=least,
            along=alone.errors if claim.layered else (), carried=carried.errors if claim.layered else (),
            seconds=time.perf_counter() - began,
        )  # fmt: skip

    def _cause(self, claim: Claim, alone: Judged) -> Cause | None:
        """Of a rung that fails by itself; remembered for the rungs above."""
        relevant = relevant_axes([self._showing.inputs.stage])
        ours, theirs = self._showing.axes("left"), self._showing.axes("right")
        kinds = {name.rpartition(".")[2] for name in _names(alone)} if claim.layered else set[str]()
        axes = [
            axis
            for axis in claim.axes
            if axis in relevant and (not claim.layered or not AXES[axis].layer or AXES[axis].layer in kinds)
        ]
        axes += [name for name in HOW if ours[name] != theirs[name]]
        known = () if claim.training else self._flips  # in training they are applied already
        found = cause(
            alone, axes, ours, theirs, lambda flips: self._judge.alone(claim, flips, self._flips), known=known,
            moved=self._quicker(claim),
        )  # fmt: skip
        if found is not None:
            self._flips += found.flips
        else:
            self._unnamed = self._unnamed or claim.name
            self._unexplained |= _names(alone) if claim.layered else frozenset()
        return found

    def _quicker(self, claim: Claim) -> Literal["left", "right"]:
        """The side to flip: in training, where it takes no values of the other's, the one that answered sooner. Never
        a dump."""
        left, right = (self._showing.took(which, claim.part) for which in ("left", "right"))
        return "left" if claim.training and left < right and not self._showing.left_is_dump else "right"

    def _smallest(self, claim: Claim) -> Smallest | None:
        """Where an image can be judged by itself, and both sides can be asked again."""
        if claim.part not in ("input", "layers") or self._showing.left_is_dump:
            return None
        if self._showing.sides["left"].numeric_mode != "float64":
            return None
        images = np.load(self._showing.images("left"), allow_pickle=False)
        return smallest(images, lambda image: self._judge.shows(claim, image))

    # -- words

    def _where(self, judged: Judged) -> str:
        if not judged.failing:
            return ""
        first = judged.failing[0]
        layer = first.name.rpartition(".")[0]
        names = self._showing.names()
        ours, theirs = names.get(first.name) or names.get(layer) or ("", "")
        also = f" ({ours} = {theirs})" if ours or theirs else ""
        return f"{first.name}{also}" + (f": {first.why}" if first.why else "")


def _names(judged: Judged) -> frozenset[str]:
    return frozenset(error.name for error in judged.failing)


def _shape(claim: Claim, judged: Judged) -> Iterator[str]:
    """What the first array beyond the bound looks like."""
    if judged.shown is None:
        return
    name = judged.failing[0].name
    ours, theirs = (observed(claim, folder).get(name) for folder in judged.shown)
    if ours is not None and theirs is not None:
        for statement in pattern(np.asarray(ours), np.asarray(theirs), judged.bound).statements:
            yield f"{name}: {statement}"


def _pixel_error(reference: Array, other: Array) -> float:
    """Largest difference over the largest value."""
    return float(np.abs(reference.astype(np.int16) - other).max() / max(1, int(reference.max())))
