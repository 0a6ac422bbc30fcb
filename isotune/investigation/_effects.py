"""What each axis that is a cause changes by itself of a side's logits: the order in which a verdict names causes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from isotune.comparison.errors import largest, relative_error
from isotune.comparison.observations import Observations
from isotune.conventions import AXES, PIXEL_AXES
from isotune.errors import UsageError
from isotune.investigation._judging import flipped
from isotune.investigation._left_out import PARTS
from isotune.investigation._recordings import Question, Recordings
from isotune.investigation._rung_specs import SETTINGS
from isotune.investigation.findings import Flip
from isotune.workers.process import WorkerFailure

_OF_A_SEARCH = 3  # models: as it is, under the causes, and one more that is tried


def effects(recordings: Recordings, flips: Iterable[Flip]) -> dict[str, float]:
    """Axis -> relative change of the logits in inference, when the side that a cause flips has the flip alone.

    Both times under the left side's weights and head, so that what is drawn at random is alike. A recipe's axis, or a
    part of it that is left out, changes nothing there and is 0. What cannot be computed is left out.
    """
    measured: dict[str, float] = {}
    for flip in flips:
        if flip.axis in measured or flip.axis in SETTINGS:
            continue
        if flip.axis in PARTS or AXES[flip.axis].kind == "recipe":
            measured[flip.axis] = 0.0
        elif _can_be_had(recordings, flip):
            try:
                measured[flip.axis] = _effect(recordings, flip)
            except (UsageError, WorkerFailure):  # a side may not have the value alone
                continue
    return measured


def ahead(recordings: Recordings, flips: Iterable[Flip]) -> None:
    """Have sides that keep the models of a search record what `effects` needs, while nothing else is asked of them."""
    for flip in flips:
        nothing = flip.axis in PARTS or flip.axis in SETTINGS or AXES[flip.axis].kind == "recipe"
        if nothing or not _can_be_had(recordings, flip):
            continue
        if recordings.described[flip.side].get("keeps", 0) > _OF_A_SEARCH:
            recordings.ahead(flip.side, _questions(recordings, flip))


def _can_be_had(recordings: Recordings, flip: Flip) -> bool:
    return not (flip.side == "left" and recordings.left_is_dump)


def _questions(recordings: Recordings, flip: Flip) -> tuple[Question, Question]:
    """The side as it is, and under the flip."""
    which, side = flip.side, recordings.sides[flip.side]
    before = recordings.images(which)
    after = recordings.images(which, {flip.axis: flip.value}) if flip.axis in PIXEL_AXES else before
    given = {"weights": recordings.weights(recordings.sides["left"])}
    return (side, "logits", before, given), (flipped(side, which, [flip]), "logits", after, given)


def _effect(recordings: Recordings, flip: Flip) -> float:
    plain, changed = (
        recordings.of(flip.side, side, part, images, **given)
        for side, part, images, given in _questions(recordings, flip)
    )  # fmt: skip
    ours, theirs = (np.asarray(Observations(folder)["logits"], np.float64) for folder in (plain, changed))
    recordings.forget(changed)
    return relative_error(ours, theirs, 0.0, largest)[0]
