"""Whether what a protocol selects by can be on the images that there are: asked before anything runs."""

from __future__ import annotations

import numpy as np

from isotune.errors import UsageError
from isotune.protocols import Protocol, Selection, Stage, with_values
from isotune.runs.selection.evaluations import due
from isotune.runs.selection.holding_out import split
from isotune.runs.training import steps_of


def check(recipe: Protocol, labels: np.ndarray) -> None:
    """labels: int64 [N], of the training images that the protocol uses. UsageError: nothing can be held out, a training
    has no step, or fewer than what is asked of it."""
    rule = recipe.selection
    images = [len(labels)]
    if rule and rule.held_out:
        left = len(split(labels, rule.held_out, 0, "selection.held_out")[0])  # as many under every seed
        images = [left] if rule.keeps_out else [left, len(labels)]
    trainings = [recipe.stage]
    if rule and rule.grid:
        trainings = [(with_values(recipe.stage[0], values),) for values in rule.grid.combinations]
    if rule or recipe.average:
        for stages in trainings:
            for count in images:
                _check_training(recipe, rule, stages, count)


def _check_training(recipe: Protocol, rule: Selection | None, stages: tuple[Stage, ...], images: int) -> None:
    lengths = [steps_of(stage, images) for stage in stages]
    total = sum(steps for steps, _ in lengths)
    trained = f"the {total:,} steps of {images:,} training images"
    if recipe.average and recipe.average.every > total:
        raise UsageError(
            f"average.every = {recipe.average.every} is more than {trained}, so that nothing is averaged;"
            f" give {total} at most"
        )
    if rule is None:
        return
    if isinstance(rule.every, int) and rule.every > total:
        raise UsageError(f"selection.every = {rule.every} is more than {trained}; give {total} at most")
    if rule.last and rule.last > (count := len(due(rule, lengths))):
        raise UsageError(
            f"selection.last = {rule.last} is more than the {count} evaluations in {trained}; give {count} at most, or"
            " evaluate more often"
        )
