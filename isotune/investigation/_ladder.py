"""The ladder: rung after rung, each judged twice.

*Carried*: each side goes its own way from the images on. *Alone*: the right side is given the left's values of all that
comes before, so that only what the rung itself computes can differ: its pixels, its input, its weights, the output of
every layer before. What a step of training computes cannot be fed in like this; there, the axes that were found to be
causes below are set alike instead. A rung that fails alone fails by itself; one that fails only when carried inherits.

The reference is the left side in float64. In that mode 1e-9 relative is allowed, or ten times what the left side shows
against itself with the batch permuted; in others a small factor of the left side's own error (`isotune.parity`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from isotune.investigation._causes import cause
from isotune.investigation._findings import Cause, Flip, Rung, Verdict
from isotune.investigation._images import Batch
from isotune.investigation._judging import Judged, errors
from isotune.investigation._setup import Asked, Inputs, Part, Side
from isotune.investigation._shape import pattern
from isotune.observations import Observations
from isotune.parity._comparing import largest, root_mean_square
from isotune.parity._results import BOUND, NOISE_FACTOR, REFEREE_FACTOR
from isotune.protocol import relevant_axes

Array = np.ndarray
Progress = Callable[[str, int, int], None]  # (what, done, total)

NETWORK = (
    "stride2_padding", "pooling_border", "max_pooling_border", "stride_location", "batchnorm_epsilon", "gelu"
)  # fmt: skip
OPTIMIZER = (
    "momentum_form", "weight_decay_form", "weight_decay_on", "adam_epsilon", "rmsprop_epsilon", "clipping",
    "hyperparameters",
)  # fmt: skip
HOW = ("numeric_mode", "compiled")  # not conventions, but what a side can be asked to do otherwise


@dataclass(frozen=True)
class Claim:
    """A rung as it is asked for."""

    name: str
    part: Part
    prefix: str  # of the part's observations that belong to it
    axes: tuple[str, ...]  # that can make it fail
    floored: bool = False  # sums over the batch
    training: bool = False  # judged alone by setting causes alike, not by feeding values in


BUFFERS = ("batchnorm_momentum", "batchnorm_running_variance", "frozen_batchnorm")
CLAIMS = (
    Claim("scaled input", "input", "", ("input_scaling",)),
    Claim("weights", "weights", "", ("head_initialisation", "optional_tensors")),
    Claim("layers", "layers", "", NETWORK),
    Claim("logits", "logits", "", NETWORK),
    Claim("training-mode layers", "training layers", "", NETWORK),
    Claim("loss", "gradients", "loss", ("loss",), training=True),
    Claim("gradients", "gradients", "", ("loss", "gelu"), floored=True, training=True),
    Claim("BatchNorm buffers", "step", "buffers/", BUFFERS, training=True),
    Claim("one step", "step", "step/", OPTIMIZER, floored=True, training=True),
    Claim("drift", "drift", "", OPTIMIZER, floored=True, training=True),
)
BEFORE = ("decoded bytes", "resized pixels")  # the rungs below, which need no worker


class Answering(Protocol):
    """A worker, or a dump in its place."""

    def ask(self, do: str, **request: Any) -> Any:
        """UsageError, WorkerFailure: it cannot."""


class Ladder:
    """Both sides, their workers, and what they have shown so far."""

    def __init__(
        self,
        left: Side,
        right: Side,
        inputs: Inputs,
        batch: Batch,
        workers: Mapping[str, Answering],
        scratch: Path,
        progress: Progress | None = None,
        left_images: Path | None = None,  # of a dump; else the batch's, as the left side makes them
    ) -> None:
        self.sides = {"left": left, "right": right}
        self.inputs, self.scratch = inputs, scratch
        self._batch, self._left_images = batch, left_images
        self._workers, self._progress = workers, progress or (lambda *_: None)
        self._kept: dict[tuple[object, ...], Path] = {}
        self._count = 0
        self._noises: dict[str, float] = {}
        self._took: dict[tuple[str, str], float] = {}  # seconds of a side's first answer
        self._flips: list[Flip] = []  # of the causes found so far
        self._unnamed = ""  # the first rung that fails by itself, and no cause was found
        self.described: dict[str, dict[str, Any]] = {}

    def describe(self) -> None:
        """Start from what each side is; both workers at once."""

        def ask(which: str) -> tuple[str, dict[str, Any]]:
            side = self.sides[which]
            answer = self._workers[which].ask("describe", side=side.model_dump(), inputs=self.inputs.model_dump())
            return which, answer | {"axes": answer["axes"] | {name: getattr(side, name) for name in HOW}}

        with ThreadPoolExecutor(2) as pool:
            self.described = dict(pool.map(ask, self.sides))

    def axes(self, which: str) -> dict[str, Any]:
        found: dict[str, Any] = self.described[which]["axes"]
        return found

    def names(self) -> dict[str, tuple[str, str]]:
        """Layer -> what each library calls it."""
        left, right = (self.described[which]["layers"] for which in ("left", "right"))
        return {name: (left.get(name, ""), right.get(name, "")) for name in dict.fromkeys([*left, *right])}

    def walk(self) -> Iterator[Rung]:
        """The rungs, one after the other; `describe` comes first."""
        total = len(BEFORE) + len(CLAIMS)
        for number, rung in enumerate(self._data_rungs()):
            self._progress(rung.name, number, total)
            yield rung
        for number, claim in enumerate(CLAIMS, len(BEFORE)):
            self._progress(claim.name, number, total)
            yield self._rung(claim)

    # -- images

    def _data_rungs(self) -> Iterator[Rung]:
        left, right = self.axes("left"), self.axes("right")
        for name, axis in zip(BEFORE, ("decode", "resize"), strict=True):
            began = time.perf_counter()
            yield self._data_rung(name, axis, left, right).model_copy(update={"seconds": time.perf_counter() - began})

    def _data_rung(self, name: str, axis: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Rung:
        if axis == "decode" and not self._batch.encoded:
            return Rung(name=name, verdict="not applicable", remarks=("the data set holds arrays, nothing to decode",))
        reference = np.load(self._image_file("left"), allow_pickle=False)
        if axis == "decode":  # the first rung: nothing comes before it
            carried = alone = self._batch.pixels(right["decode"], left["resize"])
        else:
            carried = self._batch.pixels(right["decode"], right["resize"])
            alone = self._batch.pixels(left["decode"], right["resize"])
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

    def _image_file(self, which: str) -> str:
        if which == "left" and self._left_images is not None:
            return str(self._left_images)
        axes = self.axes(which)
        path = self.scratch / f"images-{axes['decode']}-{axes['resize']}.npy"
        if not path.exists():
            np.save(path, self._batch.pixels(axes["decode"], axes["resize"]))
        return str(path)

    def _label_file(self) -> str:
        path = self.scratch / "labels.npy"
        if not path.exists():
            np.save(path, self._batch.labels())
        return str(path)

    # -- one rung

    def _rung(self, claim: Claim) -> Rung:
        began = time.perf_counter()
        if claim.name == "gradients" and self.sides["left"].numeric_mode != "float64":
            why = "only float64 judges gradients: where a ReLU meets zero, a rounding opens or shuts it"
            return Rung(name=claim.name, verdict="not applicable", remarks=(why,))
        carried = self._carried(claim)
        alone = carried if carried.holds else self._alone(claim, ())
        found: Cause | None = None
        verdict: Verdict = "holds" if carried.holds else "inherits"
        if not alone.holds:
            if claim.training and self._unnamed:
                verdict = "unknown"
            else:
                verdict = "fails"
                relevant = relevant_axes([self.inputs.stage])
                axes = [axis for axis in claim.axes if axis in relevant]
                axes += [name for name in HOW if self._differ(name)]
                ours, theirs = self.axes("left"), self.axes("right")
                known = () if claim.training else self._flips  # in training they are applied already
                found = cause(
                    alone, axes, ours, theirs, lambda flips: self._alone(claim, flips), known=known,
                    moved=self._quicker(claim),
                )  # fmt: skip
                if found is not None:
                    self._flips += found.flips
                else:
                    self._unnamed = self._unnamed or claim.name
        return Rung(
            name=claim.name, verdict=verdict, error=carried.worst, alone=alone.worst, bound=alone.bound,
            noise=alone.noise if alone.noise is not None else carried.noise,
            where=self._where(alone if alone.failing else carried),
            compared=len(carried.errors), failing=len((alone if alone.failing else carried).failing), cause=found,
            remarks=self._remarks(claim, alone, found, verdict),
            along=alone.errors if claim.part in ("layers", "training layers") else (),
            carried=carried.errors if claim.part in ("layers", "training layers") else (),
            seconds=time.perf_counter() - began,
        )  # fmt: skip

    def _quicker(self, claim: Claim) -> Literal["left", "right"]:
        """The side to flip: in training, where it takes no values of the other's, the one that answered sooner. Never
        a dump."""
        left, right = (self._took.get((which, claim.part), 0.0) for which in ("left", "right"))
        return "left" if claim.training and left < right and self._left_images is None else "right"

    def _differ(self, name: str) -> bool:
        return bool(self.axes("left")[name] != self.axes("right")[name])

    def _where(self, judged: Judged) -> str:
        if not judged.failing:
            return ""
        first = judged.failing[0]
        layer = first.name.rpartition(".")[0]
        ours, theirs = self.names().get(first.name) or self.names().get(layer) or ("", "")
        also = f" ({ours} = {theirs})" if ours or theirs else ""
        return f"{first.name}{also}" + (f": {first.why}" if first.why else "")

    def _remarks(self, claim: Claim, alone: Judged, found: Cause | None, verdict: Verdict) -> tuple[str, ...]:
        if verdict == "unknown":
            return (f"it cannot be judged by itself: what makes the rung {self._unnamed!r} fail has no name",)
        if verdict != "fails" or found is not None:
            return ()
        return tuple(self._shape(claim, alone))

    def _shape(self, claim: Claim, judged: Judged) -> Iterator[str]:
        """What the first array beyond the bound looks like."""
        if judged.shown is None:
            return
        name = judged.failing[0].name
        ours, theirs = (self._of(claim, folder).get(name) for folder in judged.shown)
        if ours is not None and theirs is not None:
            for statement in pattern(np.asarray(ours), np.asarray(theirs), judged.bound).statements:
                yield f"{name}: {statement}"

    # -- judging

    def _carried(self, claim: Claim) -> Judged:
        return self._judged(claim, (), self._image_file("right"))

    def _alone(self, claim: Claim, flips: Sequence[Flip]) -> Judged:
        """The right side given the reference's values; in training, under the causes found so far."""
        if claim.part == "logits":  # of the features that the reference has: its own layer
            layers = self._alone(next(each for each in CLAIMS if each.part == "layers"), flips)
            return Judged(tuple(error for error in layers.errors if error.name == "head"), layers.bound, layers.noise)
        all_flips = (*self._flips, *flips) if claim.training else flips
        return self._judged(claim, all_flips, self._image_file("left"), fed=True, tried={flip.side for flip in flips})

    def _judged(
        self, claim: Claim, flips: Sequence[Flip], images: str, *, fed: bool = False, tried: Collection[str] = ()
    ) -> Judged:
        """tried: sides with flips that are only tried, so that what they show is not kept."""
        left, right = (_flipped(self.sides[which], which, flips) for which in ("left", "right"))
        reference = self._shown("left", left.in_mode("float64"), claim.part, self._image_file("left"))
        given: dict[str, str] = {}
        if fed and claim.part not in ("weights", "input"):
            given["weights"] = self._weights(left)
        if fed and claim.part in ("layers", "training layers"):
            given["replaced"] = str(reference)
        other = self._shown("right", right, claim.part, images, **given)
        compare = {"floored": claim.floored, "every": claim.part not in ("layers", "training layers")}
        if left.numeric_mode == "float64":
            found = errors(self._of(claim, reference), self._of(claim, other), **compare)  # type: ignore[arg-type]
            judged = Judged(tuple(found), BOUND, shown=(reference, other))
            if not judged.holds and (claim.training or not fed):
                noise = self._noise(claim, left, reference)
                judged = replace(judged, bound=max(BOUND, NOISE_FACTOR * noise), noise=noise)
        else:
            own = self._shown("left", left, claim.part, self._image_file("left"), **given)
            rms = {"size": root_mean_square, **compare}
            ours, theirs = (errors(self._of(claim, reference), self._of(claim, each), **rms) for each in (own, other))  # type: ignore[arg-type]
            worst = max((error.relative for error in ours), default=0.0)
            judged = Judged(tuple(theirs), REFEREE_FACTOR * worst, worst, (reference, other))
        for which, folder in (("left", reference), ("right", other)):
            if which in tried:
                self._forget(folder)
        return judged

    def _noise(self, claim: Claim, left: Side, reference: Path) -> float:
        """Of the rung, measured once: what flips change of it is not much beside the factor that is allowed."""
        if claim.name not in self._noises:
            self._noises[claim.name] = self._against_itself(claim, left, reference)
        return self._noises[claim.name]

    def _against_itself(self, claim: Claim, left: Side, reference: Path) -> float:
        again = self._shown("left", left, claim.part, self._image_file("left"), permuted=True)
        found = errors(self._of(claim, reference), self._of(claim, again), size=largest, floored=claim.floored)
        return max((error.relative for error in found), default=0.0)

    @staticmethod
    def _of(claim: Claim, folder: Path) -> dict[str, Array]:
        """The claim's own observations: the loss apart from the gradients, the input apart from the layers."""
        seen = Observations(folder)
        if claim.name == "loss":
            return {"loss": seen["loss"]}
        kept = (name for name in seen if name.startswith(claim.prefix))
        dropped = {"gradients": "loss", "layers": "input", "training layers": "input"}.get(claim.part)
        return {name.removeprefix(claim.prefix): seen[name] for name in kept if name != dropped}

    def _weights(self, left: Side) -> str:
        """The left side's tensors, as a file."""
        from isotune.weights import Weights

        path = self.scratch / "left.safetensors"
        if not path.exists():
            seen = Observations(self._shown("left", left, "weights", self._image_file("left")))
            Weights({name: np.asarray(array) for name, array in seen.items()}).write(path)
        return str(path)

    def _shown(self, which: str, side: Side, part: Part, images: str, **given: Any) -> Path:
        """The folder of what a side shows, from an earlier question where there is one."""
        key = (which, side, part, images, *sorted(given.items()))
        if key not in self._kept:
            self._count += 1
            folder = self.scratch / f"{self._count:04d}-{which}"
            asked = Asked(
                side=side, inputs=self.inputs, part=part, images=images, labels=self._label_file(), **given
            )  # fmt: skip
            began = time.perf_counter()
            self._workers[which].ask("examine", asked=asked.model_dump(), folder=str(folder))
            self._took.setdefault((which, part), time.perf_counter() - began)
            self._kept[key] = folder
        return self._kept[key]

    def _forget(self, folder: Path) -> None:
        self._kept = {key: path for key, path in self._kept.items() if path != folder}
        shutil.rmtree(folder, ignore_errors=True)


def _flipped(side: Side, which: str, flips: Sequence[Flip]) -> Side:
    mine = {flip.axis: flip.value for flip in flips if flip.side == which}
    how = {axis: value for axis, value in mine.items() if axis in HOW}
    axes = {axis: value for axis, value in mine.items() if axis not in HOW}
    return (side.under(axes) if axes else side).model_copy(update=how)


def _pixel_error(reference: Array, other: Array) -> float:
    """Largest difference over the largest value."""
    return float(np.abs(reference.astype(np.int16) - other).max() / max(1, int(reference.max())))
