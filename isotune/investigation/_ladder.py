"""The ladder: rung after rung, each judged twice.

*End to end*: each side goes its own way from the images on. *Isolated*: the right side is given the left's values of
all that comes before, so that only what the rung itself computes can differ: its pixels, its input, its weights, the
output of every layer before. What a step of training computes cannot be fed in like this; there, the axes that turned
out to be causes below are set alike instead. A rung that fails isolated fails by itself; one that fails only end to end
inherits.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from isotune.comparison.observations import Observations
from isotune.comparison.one_sided import one_sided
from isotune.conventions import AXES, PIXEL_AXES
from isotune.investigation._causes import Explained, explained
from isotune.investigation._effects import ahead, effects
from isotune.investigation._judging import STRETCH, Judge, Judged, not_fed, observed
from isotune.investigation._left_out import left_out
from isotune.investigation._recordings import Recordings
from isotune.investigation._rung_specs import BEFORE, LAYERS, RUNG_SPECS, SETTINGS, STEP, RungSpec
from isotune.investigation.findings import NOT_ASKED, SIDES, Cause, Flip, Rung, Verdict
from isotune.investigation.pattern import Smallest, alike, described, heads_tokens, penalty, rates, smallest
from isotune.progress import Progress, untold
from isotune.protocols import relevant_axes
from isotune.weights import HEAD

Array = np.ndarray
_NAMED = 6  # layers in a remark


@dataclass(frozen=True)
class _Said:
    """Of a rung: its verdict and why."""

    verdict: Verdict
    explanation: Explained = field(default_factory=Explained)
    remarks: tuple[str, ...] = ()
    smallest: Smallest | None = None
    named: str = ""


class Ladder:
    """Walks with the recordings of both sides."""

    def __init__(self, recordings: Recordings, progress: Progress | None = None, *, quick: bool = False) -> None:
        self._recordings, self._judge = recordings, Judge(recordings)
        self._progress, self._quick = progress or untold, quick
        self._flips: list[Flip] = []  # of the causes that are known so far
        self._unnamed = ""  # the first rung that fails by itself, and no axis sets it alike; and why
        self._wanted = [spec for spec in RUNG_SPECS if not (quick and spec.of_training)]
        self._alike = frozenset(each.axis for each in recordings.set_alike())
        self._unexplained = frozenset[str]()  # layers that fail by themselves, and no cause was found

    def walk(self) -> Iterator[Rung]:
        """The rungs, one after the other; the sides are described already."""
        total = len(BEFORE) + len(RUNG_SPECS)
        for number, rung in enumerate(self._data_rungs()):
            self._progress(rung.name, number, total)
            yield rung
        for number, spec in enumerate(RUNG_SPECS, len(BEFORE)):
            self._progress(spec.name, number, total)
            yield _not_asked(spec) if self._quick and spec.of_training else self._rung(spec)
            if spec is LAYERS:  # until here one side has no time, and what the other shows is soon shown
                for which in SIDES:
                    self._judge.ahead(which, self._wanted)

    def effects(self) -> dict[str, float]:
        """Of the axes that are causes, how much each changes."""
        return effects(self._recordings, self._flips)

    # -- images

    def _data_rungs(self) -> Iterator[Rung]:
        left, right = self._recordings.axes("left"), self._recordings.axes("right")
        for name, axis in zip(BEFORE, PIXEL_AXES, strict=True):
            began = time.perf_counter()
            yield self._data_rung(name, axis, left, right).model_copy(update={"seconds": time.perf_counter() - began})

    def _data_rung(self, name: str, axis: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> Rung:
        batch = self._recordings.batch
        if axis == "decode" and not batch.encoded:
            return Rung(name=name, verdict="not applicable", remarks=("the data set holds arrays, nothing to decode",))
        reference = np.load(self._recordings.images("left"), allow_pickle=False)
        if axis == "decode":  # the first rung: nothing comes before it
            whole = only = batch.pixels(right["decode"], left["resize"])
        else:
            whole = batch.pixels(right["decode"], right["resize"])
            only = batch.pixels(left["decode"], right["resize"])
        end_to_end, isolated = (_pixel_error(reference, other) for other in (whole, only))
        errors: dict[str, Any] = {"end_to_end": end_to_end, "isolated": isolated, "bound": 0.0, "compared": 1}
        if not isolated:
            verdict: Verdict = "not judged" if axis in self._alike else "inherits" if end_to_end else "holds"
            return Rung(name=name, verdict=verdict, **errors)
        flip = Flip(side="right", axis=axis, was=right[axis], value=left[axis])
        self._flips.append(flip)
        return Rung(
            name=name, verdict="fails", **errors, failing=1, where="pixels",
            cause=Cause(flips=(flip,), before=isolated, after=0.0, layers=1),
        )  # fmt: skip

    # -- one rung

    def _rung(self, spec: RungSpec) -> Rung:
        began = time.perf_counter()
        if spec.name == "gradients" and self._recordings.sides["left"].numeric_mode != "float64":
            why = "only float64 judges gradients: where a ReLU meets zero, a rounding opens or shuts it"
            return Rung(name=spec.name, verdict="not applicable", remarks=(why,))
        end_to_end = self._judge.end_to_end(spec)
        if spec is LAYERS and not end_to_end.holds:  # nor will what comes of them
            self._judge.noises_ahead(self._wanted)
        isolated = end_to_end if end_to_end.holds else self._judge.isolated(spec, causes=self._flips)
        if spec.part == "logits" and _only_behind_the_classifier(end_to_end, isolated):
            isolated = self._judge.with_the_weights(spec)  # where classifiers differ, logits do and nothing is behind
        unfed = not_fed(spec, end_to_end, isolated)
        beyond = self._judge.stretched() if spec is LAYERS and isolated.holds else None
        if beyond is not None and not beyond.holds:
            isolated, said = beyond, self._said_beyond(spec, beyond)
        elif isolated.holds and unfed:
            said = _Said("unknown")
        elif isolated.holds:
            unseen = [each.said for each in one_sided(self._recordings.described) if each.part == spec.part]
            unseen = [] if spec.of_training else unseen  # what trains is compared without what is random
            judged = not unseen and (spec.part != "input" or not set(spec.axes) <= self._alike)
            doubt = end_to_end.doubtful  # rounding that the layers before have amplified
            remarks = [f"end to end, {_noisy(end_to_end)}"] if doubt else []
            remarks += [f"no image of the run shows what it does: {each}" for each in unseen]
            holds: Verdict = "holds" if end_to_end.holds or doubt else "inherits"
            said = _Said(holds if judged else "not judged", remarks=tuple(remarks))
        else:
            said = self._said(spec, isolated)
        if unfed:
            said = replace(said, remarks=(*said.remarks, _not_judged(unfed)))
        shown = isolated if isolated.failing else end_to_end
        noise = isolated.bound.measured if isolated.bound.measured is not None else end_to_end.bound.measured
        return Rung(
            name=spec.name, verdict=said.verdict, end_to_end=end_to_end.worst, isolated=isolated.worst,
            bound=isolated.bound.allowed, noise=noise, where=self._where(spec, shown, said.explanation.rest),
            compared=len(end_to_end.errors), failing=len(shown.failing), cause=said.explanation.cause,
            unexplained=said.explanation.rest, named=said.named, remarks=(*said.remarks, *self._structure(spec)),
            smallest=said.smallest,
            layers_isolated=isolated.errors if spec.layered else (),
            layers_end_to_end=end_to_end.errors if spec.layered else (), seconds=time.perf_counter() - began,
        )  # fmt: skip

    def _said(self, spec: RungSpec, isolated: Judged) -> _Said:
        """Of a rung that fails by itself."""
        if spec.training and self._unnamed:
            return _Said("unknown", remarks=(f"it cannot be judged by itself: what makes the rung {self._unnamed}",))
        if isolated.doubtful:
            return _Said("unknown", remarks=(f"nothing is proved or refuted here: {_noisy(isolated)}",))
        if spec.part == "logits" and _names(isolated) == {"logits"}:  # no axis is of what follows
            explanation = Explained(None, ("logits",))
            remarks = ["what the classifier gets agrees, and what it gives: what stands behind it differs"]
        else:
            explanation, remarks = self._explained(spec, isolated), []
        again = bool(explanation.rest) and set(explanation.rest) <= self._beyond(spec)
        named = self._named(spec, isolated) if explanation.rest and explanation.cause is None else ""
        self._remember(spec, explanation, named)
        if named:
            return _Said("fails", explanation, tuple(remarks), named=named)
        if again:
            return _Said(
                "fails",
                explanation,
                (f"{', '.join(explanation.rest)} fail in inference mode too, without a known cause",),
            )
        if explanation.rest:
            remarks += self._described(spec, isolated, explanation.rest)
        shown = self._smallest(spec, isolated) if explanation.rest and not explanation.cause else None
        return _Said("fails", explanation, tuple(remarks), shown)

    def _said_beyond(self, spec: RungSpec, beyond: Judged) -> _Said:
        """Of layers that agree on what these images show, and not on more."""
        explanation = Explained(None, tuple(error.name for error in beyond.failing))
        where = self._where(spec, beyond, explanation.rest)
        named = f"both agree on these images, and part given {STRETCH:.0f} times as much, at {where}"
        self._remember(spec, explanation, named)
        return _Said("fails", explanation, tuple(self._described(spec, beyond, explanation.rest)), named=named)

    def _beyond(self, spec: RungSpec) -> frozenset[str]:
        """What fails below in the same way, and has no cause there."""
        return self._unexplained if spec.layered else frozenset()

    def _remember(self, spec: RungSpec, explanation: Explained, named: str) -> None:
        """For the rungs above."""
        if explanation.cause:
            self._flips += explanation.cause.flips
            ahead(self._recordings, explanation.cause.flips)
        if explanation.rest:
            why = "cannot be set alike" if named else "has no name"
            self._unnamed = self._unnamed or f"{spec.name!r} fail {why}"
            self._unexplained |= frozenset(explanation.rest) if spec.layered else frozenset()

    def _explained(self, spec: RungSpec, isolated: Judged) -> Explained:
        """Of a rung that fails by itself."""
        relevant = relevant_axes([self._recordings.inputs.stage])
        ours, theirs = self._recordings.axes("left"), self._recordings.axes("right")
        kinds = {name.rpartition(".")[2] for name in _names(isolated)} if spec.layered else set[str]()
        axes = [
            axis
            for axis in spec.axes
            if axis in relevant
            and axis in ours
            and (not spec.layered or not AXES[axis].layer or AXES[axis].layer in kinds)
            and (ours[axis], theirs[axis]) != (None, None)  # no one number makes what either has
        ]
        axes += [name for name in SETTINGS if ours[name] != theirs[name]]
        known = () if spec.training else self._flips  # in training they are applied already
        moved = self._quicker(spec)
        if moved == "left":  # the right is as it will be for the rungs above, and has nothing to do meanwhile
            self._judge.ahead("right", RUNG_SPECS[RUNG_SPECS.index(spec) :], self._flips)
        return explained(
            isolated, axes, ours, theirs, lambda flips: self._judge.isolated(spec, flips, self._flips), known=known,
            moved=moved, beyond=self._beyond(spec), by_parts=spec.parted,
            left_out=tuple(left_out(self._recordings.inputs, spec.name, SIDES[self._recordings.left_is_dump :])),
        )  # fmt: skip

    def _quicker(self, spec: RungSpec) -> Literal["left", "right"]:
        """The side to flip: in training, where it takes no values of the other's, the one that answers sooner. Never
        a dump."""
        left, right = (self._recordings.took(which, "gradients") for which in ("left", "right"))
        return "left" if spec.training and left < right and not self._recordings.left_is_dump else "right"

    def _smallest(self, spec: RungSpec, isolated: Judged) -> Smallest | None:
        """Where an image can be judged by itself, both sides can be asked again, and no image has other shapes."""
        if any(error.why for error in isolated.failing):
            return None
        if spec.part not in ("input", "layers") or self._recordings.left_is_dump:
            return None
        if self._recordings.sides["left"].numeric_mode != "float64":
            return None
        images = np.load(self._recordings.images("left"), allow_pickle=False)
        return smallest(images, lambda image: self._judge.shows(spec, image))

    # -- words

    def _named(self, spec: RungSpec, judged: Judged) -> str:
        """What the loss's or a step's own figures say it is; empty for other rungs, and where they say nothing."""
        if judged.recorded is None:
            return ""
        said = ""
        if spec.name == "loss":
            ours, theirs = map(Observations, judged.recorded)
            said = penalty(ours, theirs, self._tensors())
        elif spec is STEP:
            one, other = (observed(spec, folder) for folder in judged.recorded)
            said = rates([error.name for error in judged.failing], one, other, self._tensors())
        return said.replace("reference's", "left side's").replace("other's", "right side's")

    def _described(self, spec: RungSpec, judged: Judged, failing: Sequence[str]) -> Iterator[str]:
        """What the first array without a cause looks like, and what those have in common."""
        if judged.recorded is not None:
            ours, theirs = (observed(spec, folder) for folder in judged.recorded)
            batched = spec.layered or spec.part in ("input", "logits")
            yield from described(failing, ours, theirs, judged.bound.allowed, layers=batched)
            if spec.layered and HEAD in failing:
                yield from filter(None, [heads_tokens(HEAD, ours, theirs, self._tensors(), judged.bound.allowed)])
        if spec.layered:
            shapes = {name: array.shape for name, array in self._tensors().items()}
            yield from filter(None, [alike(failing, [error.name for error in judged.errors], shapes)])

    def _tensors(self) -> Mapping[str, Array]:
        """The left side's."""
        left = self._recordings.sides["left"].in_mode("float64")
        return Observations(self._recordings.of("left", left, "weights", ""))

    def _structure(self, spec: RungSpec) -> Iterator[str]:
        """What is to be known of the layers themselves: at the weights, those that have no partner; at the layers,
        those that depend on the other images."""
        names = self._recordings.names()
        if spec.part == "weights":
            for side, lone in (
                ("left", self._recordings.pairing.only_left),
                ("right", self._recordings.pairing.only_right),
            ):
                for layer in lone:
                    own = "".join(names.get(layer, ()))
                    yield f"{layer} ({own}) is on the {side} side alone; the others are paired by shape and dataflow"
        if spec.name == "layers":
            for which in SIDES:
                if dependent := self._judge.dependent(which):
                    own = names.get(dependent.name, ("", ""))[SIDES.index(which)]
                    yield (
                        f"the {which} side's {dependent.name} ({own}) depends on the other images of the batch or on"
                        f" their order, in inference mode: {dependent.relative:.0e}"
                    )

    def _where(self, spec: RungSpec, judged: Judged, unexplained: Collection[str]) -> str:
        """The first that fails in the order of execution, of what has no cause where there is such; of gradients the
        last, which backpropagation meets first. Of a layer that fails by itself, what stands before it too."""
        failing = [error for error in judged.failing if error.name in unexplained] or judged.failing
        if not failing:
            return ""
        first = failing[0]
        if spec.name == "gradients":
            last = next((error for error in reversed(failing) if not error.lacking), first)
            first = next(error for error in failing if _layer(error.name) == _layer(last.name))
        names = self._recordings.names()
        ours, theirs = names.get(first.name) or names.get(_layer(first.name)) or ("", "")
        also = f" ({ours} = {theirs})" if ours or theirs else ""
        if first.why:
            return f"{first.name}{also}: {first.why}"
        between = self._recordings.between(first.name) if first.name in unexplained and spec.layered else ""
        return f"{first.name}{also}" + (f", {between}" if between else "")


def _layer(name: str) -> str:
    """The layer of a tensor, "007.norm" of "007.norm.scale"; empty for a layer's own name."""
    return name.rpartition(".")[0]


def _not_judged(unfed: Sequence[str]) -> str:
    more = f" and {len(unfed) - _NAMED} more" if len(unfed) > _NAMED else ""
    listed = ", ".join(unfed[:_NAMED])
    return f"not judged by itself, as what it reads has another shape than the left side's: {listed}{more}"


def _only_behind_the_classifier(end_to_end: Judged, isolated: Judged) -> bool:
    """Of logits: whether features agree, and what the classifier makes of them, and the logits do not."""
    return bool(isolated.errors) and isolated.holds and {error.name for error in end_to_end.failing} == {"logits"}


def _noisy(judged: Judged) -> str:
    return (
        f"the left side against itself, with the batch in reverse, moves by {judged.bound.measured:.0e}, which is more"
        " than rounding may excuse"
    )


def _not_asked(spec: RungSpec) -> Rung:
    return Rung(name=spec.name, verdict="not judged", remarks=(NOT_ASKED,))


def _names(judged: Judged) -> frozenset[str]:
    return frozenset(error.name for error in judged.failing)


def _pixel_error(reference: Array, other: Array) -> float:
    """Largest difference over the largest value."""
    return float(np.abs(reference.astype(np.int16) - other).max() / max(1, int(reference.max())))
