"""Two recordings in one step, rung by rung: what both had before it, what each made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from isotune.comparison.errors import FLOOR, relative_error, root_mean_square
from isotune.recordings._comparison import Rung
from isotune.recordings._fingerprints import same_order, scaling
from isotune.recordings._format import Pass, TensorEntry
from isotune.recordings._pairing import Pairing
from isotune.recordings._reading import RecordedStep

Array = np.ndarray
# What float32 rounding leaves of the root mean square of a tensor, relative: of what is handed over as it is; of what a
# pass computes (layer after layer); of what backward does. Training multiplies what is left from one step to the next:
# what a later step begins with may differ a hundred times as much, and what it makes of that as much more as it does.
EXACT, FORWARD, BACKWARD = 2e-6, 1e-4, 2e-3
LATER = 100.0
_WIDE = 1e-6  # of these, where both sides are in float64
_ALIKE = 0.05  # where one framework, of one version, computed both on devices of one kind


class Differing(NamedTuple):
    error: float
    words: str


def walk(
    ours: RecordedStep, theirs: RecordedStep, pairing: Pairing, *, first: bool, alike: bool = False
) -> Iterator[Rung]:
    """The rungs of one step.

    first: no step was recorded before it, so that rounding had no time to grow. alike: one framework computed both.
    """
    wide = all(entry.dtype == "float64" for pair in pairing.pairs for entry in pair)
    unit = (_WIDE if wide else 1.0) * (_ALIKE if alike else 1.0)
    growth = 1.0 if first else LATER
    failed, worst = False, 0.0  # worst: error of what the step begins with
    for name, bound, compare in _RUNGS:
        if not any(_has(step, name) for step in (ours, theirs)):
            continue
        differing = compare(ours, theirs, pairing)
        allowed = bound if name in ("batch", "rate") else bound * growth * unit
        if differing is None:
            yield Rung(step=ours.entry.step, name=name, verdict="not judged", words="one side does not show it")
        elif differing.error <= allowed:
            yield Rung(step=ours.entry.step, name=name, verdict="holds", error=differing.error, bound=allowed)
        else:
            verdict = "inherits" if failed else "fails"
            failed = True
            yield Rung(step=ours.entry.step, name=name, verdict=verdict, error=differing.error, bound=allowed,
                       words=differing.words)  # fmt: skip
        if name == "statistics before":
            growth = min(LATER, 1 + worst / (EXACT * unit))
        elif differing is not None and name.endswith(" before"):
            worst = max(worst, differing.error)


def _batch(ours: RecordedStep, theirs: RecordedStep, pairing: Pairing) -> Differing | None:
    a, b = (step.entry.passes for step in (ours, theirs))
    if not a or not b or any(each.batch is None for each in (*a, *b)):
        return None
    if len(a) != len(b):
        images = [sum(each.batch.shape[0] for each in side if each.batch) for side in (a, b)]
        return Differing(np.inf, f"{len(a)} passes of together {images[0]} images, and {len(b)} of {images[1]}")
    words = next((words for one, other in zip(a, b, strict=True) if (words := _of_pass(one, other))), "")
    return Differing(np.inf if words else 0.0, words)


def _of_pass(one: Pass, other: Pass) -> str:
    """In what two passes' images differ; empty where they do not."""
    assert one.batch is not None
    assert other.batch is not None
    if one.batch.shape != other.batch.shape:
        return f"{_shape(one.batch.shape)}, and {_shape(other.batch.shape)}"
    same, ordered = same_order(one.batch, other.batch)
    if not same:
        law = scaling(one.batch, other.batch)
        return (
            "other images" if law is None else f"scaled otherwise: the right's are {law[0]:.6g} * left + {law[1]:.6g}"
        )
    if not ordered:
        return "the same images in another order"
    return "the same images with other labels" if one.labels and other.labels and one.labels != other.labels else ""


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


def _rate(ours: RecordedStep, theirs: RecordedStep, pairing: Pairing) -> Differing | None:
    rates = [step.entry.optimizer.groups[0].get("learning_rate") for step in (ours, theirs)]
    if None in rates:
        return None
    a, b = map(float, rates)
    return Differing(abs(a - b) / max(abs(a), abs(b), 1e-300), f"{a:.8g}, and {b:.8g}")


def _loss(ours: RecordedStep, theirs: RecordedStep, pairing: Pairing) -> Differing | None:
    a, b = ([each.loss for each in step.entry.passes] for step in (ours, theirs))
    if not a or not b or None in a or None in b:
        return None
    first, second = float(np.sum(a)), float(np.sum(b))
    return Differing(abs(first - second) / max(abs(first), 1e-30), f"{first:.7g}, and {second:.7g}")


def _logits(ours: RecordedStep, theirs: RecordedStep, pairing: Pairing) -> Differing | None:
    a, b = (step.tensors("outputs") for step in (ours, theirs))
    names = [name for name in a if name.endswith("/logits") and name in b]
    return _worst(((name, np.asarray(a[name]), np.asarray(b[name])) for name in names), "pass {}") if names else None


def _layers(ours: RecordedStep, theirs: RecordedStep, pairing: Pairing) -> Differing | None:
    """The first layer that is beyond the bound of a pass, else the worst."""
    a, b = (step.tensors("layers") for step in (ours, theirs))
    names = list(dict.fromkeys((one.layer, other.layer) for one, other in pairing.pairs))
    seen = [(one, np.asarray(a[one]), np.asarray(b[other])) for one, other in names if one in a and other in b]
    if not seen:
        return None
    errors = [(_error(one, other), name) for name, one, other in seen]
    beyond = [each for each in errors if each[0] > FORWARD]
    error, name = beyond[0] if beyond else max(errors)
    return Differing(max(errors)[0], f"first at {name}, by {error:.1e}")


def _of(file: str, *, buffer: bool | None, slots: bool = False) -> Callable[..., Differing | None]:
    def compare(ours: RecordedStep, theirs: RecordedStep, pairing: Pairing) -> Differing | None:
        a, b = (step.tensors(file) for step in (ours, theirs))
        chosen = [pair for pair in pairing.pairs if buffer is None or pair[0].buffer == buffer]
        differing = list(_slots(a, b, chosen) if slots else _tensors(a, b, chosen))
        lacking = [one.own or one.name for one, other in chosen if (one.name in a) != (other.name in b)]
        if lacking and differing and not slots:
            return Differing(np.inf, f"{len(lacking)} tensors on one side alone, first {lacking[0]}")
        return _worst(differing, "{}") if differing else None

    return compare


def _tensors(
    a: Mapping[str, Array], b: Mapping[str, Array], chosen: list[tuple[TensorEntry, TensorEntry]]
) -> Iterator[tuple[str, Array, Array]]:
    for one, other in chosen:
        if one.name in a and other.name in b:
            yield _both(one, other), np.asarray(a[one.name]), np.asarray(b[other.name])


def _slots(
    a: Mapping[str, Array], b: Mapping[str, Array], chosen: list[tuple[TensorEntry, TensorEntry]]
) -> Iterator[tuple[str, Array, Array]]:
    for one, other in chosen:
        for slot in ("velocity", "first_moment", "second_moment"):
            mine, others = f"{one.name}/{slot}", f"{other.name}/{slot}"
            if mine in a and others in b:
                yield f"{slot} of {_both(one, other)}", np.asarray(a[mine]), np.asarray(b[others])


def _has(step: RecordedStep, rung: str) -> bool:
    """Whether a step has what a rung compares: a plain optimizer has no slots, a new one none yet."""
    if rung.startswith("slots"):
        return any("/" in name for name in step.tensors(rung.removeprefix("slots ")))
    if rung.startswith("statistics"):
        return bool(step.tensors("batchnorm-before"))
    return rung != "layers" or "layers" in step.entry.files


def _both(one: TensorEntry, other: TensorEntry) -> str:
    return f"{one.name} ({one.own})" if one.own == other.own else f"{one.name} ({one.own}, {other.own})"


def _worst(seen: Iterator[tuple[str, Array, Array]] | list[tuple[str, Array, Array]], words: str) -> Differing:
    """The largest error, and the tensor with it. An error counts relative to its own tensor, or to a thousandth of the
    largest of all, whichever is more."""
    kept = list(seen)
    floor = FLOOR * max((root_mean_square(one.astype(np.float64)) for _, one, _ in kept), default=0.0)
    error, name = max(((_error(one, other, floor), name) for name, one, other in kept), key=lambda each: each[0])
    return Differing(error, f"most in {words.format(name)}")


def _error(ours: Array, theirs: Array, floor: float = 0.0) -> float:
    if ours.shape != theirs.shape:
        return np.inf
    return relative_error(ours.astype(np.float64), theirs, floor, root_mean_square)[0]


_RUNGS: tuple[tuple[str, float, Callable[[RecordedStep, RecordedStep, Pairing], Differing | None]], ...] = (
    ("batch", 0.0, _batch),
    ("rate", 1e-6, _rate),
    ("weights before", EXACT, _of("before", buffer=False)),
    ("slots before", EXACT, _of("before", buffer=False, slots=True)),
    ("statistics before", EXACT, _of("batchnorm-before", buffer=True)),
    ("layers", FORWARD, _layers),
    ("logits", FORWARD, _logits),
    ("loss", FORWARD, _loss),
    ("gradients", BACKWARD, _of("gradients", buffer=False)),
    ("statistics after", FORWARD, _of("after", buffer=True)),
    ("slots after", BACKWARD, _of("after", buffer=False, slots=True)),
    ("weights after", 5e-6, _of("after", buffer=False)),
)
