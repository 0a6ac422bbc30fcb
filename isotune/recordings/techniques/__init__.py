"""The techniques of a protocol, held against what a loop does.

One module each: `_mixing`, `_averaging`, `_accumulating`, `_dropping` (dropout and stochastic depth); what no recording
shows is told by `_unseen`, and `_naming` has the words of a form. Schedules are `isotune.recordings._schedules`.
"""

from __future__ import annotations

from collections.abc import Collection

from isotune.protocols import Protocol, Stage
from isotune.recordings._comparison import Outcome, together
from isotune.recordings._reading import Recording
from isotune.recordings.habits import Habits
from isotune.recordings.techniques._accumulating import accumulation
from isotune.recordings.techniques._averaging import average
from isotune.recordings.techniques._dropping import dropping
from isotune.recordings.techniques._mixing import hides_labels, mixing
from isotune.recordings.techniques._unseen import own_draws, unseen

__all__ = ["held_against", "hides_labels"]


def held_against(
    recording: Recording, habits: Habits, protocol: Protocol, stage: Stage, judged: Collection[str], *, images: bool
) -> Outcome:
    """Every technique of a stage, and what was left out. judged: conventions that the habits were held against.
    images: whether the loop's were, against a data set's."""
    return together((
        accumulation(habits, stage),
        dropping(habits, stage),
        mixing(habits, protocol.augmentation.mixing, stage, len(recording.steps)),
        average(recording, protocol),
        unseen(protocol, stage, judged, images=images),
        own_draws(protocol, stage, habits, images=images),
    ))  # fmt: skip
