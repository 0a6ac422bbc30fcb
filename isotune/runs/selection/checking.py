"""Whether a protocol can train and select on the images that there are: asked before anything runs."""

from __future__ import annotations

import math

import numpy as np

from isotune.errors import UsageError
from isotune.protocols import Protocol, Schedule, Selection, Stage
from isotune.protocols.averages import decays
from isotune.protocols.schedules import learning_rates
from isotune.runs.selection.evaluations import due
from isotune.runs.selection.holding_out import split
from isotune.runs.training import steps_of

_MOST_BEFORE = 0.5  # of an average, the weights from before training


def check(recipe: Protocol, labels: np.ndarray) -> None:
    """labels: int64 [N], of the training images that the protocol uses. UsageError: nothing can be held out, a training
    has no step, or fewer than what is asked of it, than its schedule needs, or than its average is over."""
    rule = recipe.selection
    images = [len(labels)]
    if rule and rule.held_out:
        fitted, held = split(labels, rule.held_out, 0, "selection.held_out")
        left = len(fitted)  # as many under every seed
        lacking = len(np.unique(labels)) - len(np.unique(labels[held]))  # likewise
        if rule.metric == "mean_per_class" and lacking:
            raise UsageError(
                f'selection.metric = "mean_per_class" is over all classes, and of {lacking} nothing can be held out,'
                ' since they have one training image; give them two at least, or metric = "accuracy"'
            )
        images = [left] if rule.keeps_out else [left, len(labels)]
    trainings = [recipe.stage]
    if rule and rule.grid:
        trainings = [rule.grid.stages(recipe.stage, values) for values in rule.grid.combinations]
    for stages in trainings:
        for count in images:
            _check_training(recipe, rule, stages, count)


def _check_training(recipe: Protocol, rule: Selection | None, stages: tuple[Stage, ...], images: int) -> None:
    lengths = [steps_of(stage, images) for stage in stages]
    for stage, length in zip(stages, lengths, strict=True):
        _check_schedule(stage.schedule, *length, images)
    total = sum(steps for steps, _ in lengths)
    trained = f"the {total:,} steps of {images:,} training images"
    if recipe.average and recipe.average.every > total:
        raise UsageError(
            f"average.every = {recipe.average.every} is more than {trained}, so that nothing is averaged;"
            f" give {total} at most"
        )
    if recipe.average and recipe.average.start == "initial":
        updates = total // recipe.average.every
        if (before := float(np.prod(decays(recipe.average, updates)))) > _MOST_BEFORE:
            most = math.floor(1e4 * _MOST_BEFORE ** (1 / updates)) / 1e4
            raise UsageError(
                f"average.decay = {recipe.average.decay:g} is of a longer training: after {trained}, {before:.0%} of"
                f' the average are the weights from before; give {most:g} at most, or start = "first"'
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


def _check_schedule(schedule: Schedule, steps: int, an_epoch: int, images: int) -> None:
    learning_rates(schedule, steps, an_epoch)  # refuses a warm-up that is longer than the training
    drop = schedule.milestones[-1] if schedule.milestones else schedule.drop_every
    length = steps if schedule.per == "step" else math.ceil(steps / an_epoch)
    if drop is not None and drop >= length:
        field, among = "milestones" if schedule.milestones else "drop_every", f"{images:,} training images"
        raise UsageError(f"schedule.{field}: {drop:g} is never reached in the {length:,} {schedule.per}s of {among}")
