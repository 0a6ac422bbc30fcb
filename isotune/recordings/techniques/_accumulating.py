"""Accumulated gradients: how many passes make a step."""

from __future__ import annotations

from isotune.protocols import Stage
from isotune.recordings._comparison import Outcome
from isotune.recordings.habits import Habits
from isotune.recordings.techniques._naming import named


def accumulation(habits: Habits, stage: Stage) -> Outcome:
    """Passes make another step where BatchNorm sees each, or where the protocol asks for them."""
    passes, wanted = habits.value("passes"), stage.accumulate
    if passes is None:
        return Outcome(unknown=("accumulate (no pass is recorded)",) if wanted > 1 else ())
    if passes == wanted:
        return Outcome(agreed=("accumulate",) if wanted > 1 else ())
    if habits.value("batchnorm") != "training" and wanted == 1:
        return Outcome(agreed=(f"accumulate ({passes} passes, which no BatchNorm sees)",))
    return Outcome((named("stage.accumulate", "gradients", passes, wanted),))
