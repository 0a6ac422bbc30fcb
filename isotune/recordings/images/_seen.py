"""Recorded images as their fingerprints have them, and how two are held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from isotune.conventions import affine
from isotune.recordings._comparison import Cause
from isotune.recordings._reading import Recording

Array = np.ndarray
SCALINGS = ("none", "unit", "minus-one-to-one", "mean-std", "caffe")
_NEAR = 1e-3  # of the largest value that entered: two fingerprints of one image


@dataclass(frozen=True)
class Seen:
    """A recorded step: the values of its images' fingerprints [N, V], and their labels, where they are known."""

    values: Array
    labels: Array | None


def seen_in(recording: Recording, number: int, size: int) -> Seen | None:
    passes = recording.steps[number].entry.passes
    if not passes or any(each.batch is None or each.batch.shape[1:] != (size, size, 3) for each in passes):
        return None
    rows = np.concatenate([np.array(each.batch.images) for each in passes if each.batch])
    labels = [each.labels for each in passes if each.labels is not None]
    flat = np.concatenate([np.array(each) for each in labels]) if len(labels) == len(passes) else None
    return Seen(rows, flat if flat is not None and len(flat) == len(rows) else None)


def scaled(images: Array, scaling: str) -> Array:
    """As it enters a network, float32."""
    bgr, scale, offset = affine(scaling)
    entered: Array = ((images[..., ::-1] if bgr else images) * scale + offset).astype(np.float32)
    return entered


def apart(ours: Array, theirs: Array) -> Array:
    """Largest difference of two fingerprints, in units of _NEAR: [N, M]."""
    near = _NEAR * max(float(np.abs(ours).max(initial=0.0)), 1e-30)
    units: Array = np.abs(ours[:, None] - theirs[None]).max(-1) / near
    return units


def wrong_labels(seen: Mapping[int, Seen], wanted: Mapping[int, Array]) -> Iterator[Cause]:
    """Where the images' labels are not the data set's."""
    wrong = {
        step: np.flatnonzero(each.labels != wanted[step]) for step, each in seen.items() if each.labels is not None
    }
    if count := sum(map(len, wrong.values())):
        step = next(step for step, places in wrong.items() if len(places))
        place = wrong[step][0]
        labels = seen[step].labels
        assert labels is not None
        ours, theirs = int(labels[place]), int(wanted[step][place])
        yield Cause(name="labels", rung="batch", left=ours, right=theirs, steps=(step,),
                    words=f"{count} labels are not the data set's: first, in step {step}, that of image {place} is"
                    f" {ours}, and the data set says {theirs}")  # fmt: skip
