"""Faults of the optimizer."""

from __future__ import annotations

from typing import Any

import numpy as np

from isotune.adapters.base import Recipe
from isotune_planted.faults import SGD, TRAINED, fault, pick
from isotune_planted.optimizers import Plain

ADAM = ("adam",)
COUPLED = ("sgd", "adam", "rmsprop")
MOVING = ("sgd", "sgd-plain", "rmsprop")


def changed(trainer: Any, recipe: Recipe, **how: Any) -> None:
    """The trainer with an optimizer that differs in these details, beside those in which it differs already."""
    trainer.changed = getattr(trainer, "changed", {}) | how
    trainer._updater = Plain(trainer, recipe, recipe.conventions or trainer._model.conventions, **trainer.changed)


@fault("", recipes=(*TRAINED, "sgd-plain", "clipped"), target="trainer")
def rewritten(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    """No fault: the optimizer written otherwise."""
    changed(trainer, recipe)


@fault("one step", "weight_decay_form", recipes=COUPLED, target="trainer")
def decay_beside_the_gradient(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, decoupled=True)


@fault("one step", "weight_decay_form", recipes=COUPLED, target="trainer")
def decay_in_the_loss(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    """The L2 of Keras's regularizers, twice torch's."""
    changed(trainer, recipe, in_loss=True, decoupled=False)


@fault("one step", "weight_decay_form", target="trainer")
def decay_without_the_rate(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, decoupled=True, decay_rate=1.0)


@fault("one step", "weight_decay_on", target="trainer")
def decay_on_other_tensors(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    """On kernels only where all should decay, and the other way round."""
    conventions = recipe.conventions or trainer._model.conventions
    changed(trainer, recipe, only_kernels=conventions.weight_decay_on == "all")


@fault("one step", "weight_decay", target="trainer")
def decay_left_out(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, weight_decay=0.0)


@fault("one step", "momentum_form", recipes=MOVING, target="trainer")
def rate_inside_the_velocity(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, rate_inside=True)


@fault("one step", "nesterov", recipes=("sgd",), target="trainer")
def nesterov_left_out(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, nesterov=False)


@fault("drift", recipes=("sgd-plain", "rmsprop"), target="trainer")
def momentum_smaller(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, momentum=pick(draw, [0.5, 0.8]))


@fault("drift", recipes=SGD, target="trainer")
def momentum_dampened(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, dampening=0.1)


@fault("one step", "adam_epsilon", recipes=("adam", "adamw"), target="trainer")
def adam_epsilon_before_correction(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, epsilon_before=True)


@fault("one step", recipes=("adam", "adamw"), target="trainer")
def adam_epsilon_of_keras(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, epsilon=1e-7)


@fault("one step", recipes=("adam", "adamw"), target="trainer")
def second_beta_smaller(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, beta2=pick(draw, [0.99, 0.98, 0.95]))


@fault("one step", recipes=("adam", "adamw"), target="trainer")
def bias_not_corrected(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, corrected=False)


@fault("one step", "rmsprop_epsilon", recipes=("rmsprop",), target="trainer")
def rmsprop_epsilon_inside(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, inside_root=True)


@fault("one step", recipes=("rmsprop",), target="trainer")
def rho_smaller(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, rho=0.9)


@fault("one step", "clipping", recipes=("clipped",), target="trainer")
def each_gradient_clipped(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, clip_each=True)


@fault("one step", recipes=("clipped",), target="trainer")
def clipped_by_value(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, clip_norm=None, clip_value=recipe.optimizer.clip_norm)


@fault("one step", "clip_norm", recipes=("clipped",), target="trainer")
def not_clipped(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, clip_norm=None)


@fault("one step", target="trainer")
def rate_scaled(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    """By a linear scaling rule that the protocol has applied already."""
    changed(trainer, recipe, rate_factor=pick(draw, [0.125, 0.5, 2.0]))


@fault("drift", "schedule", target="trainer")
def rate_never_changes(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    changed(trainer, recipe, keeps_first_rate=True)


@fault("drift", "gradients_cleared", target="trainer")
def gradients_not_cleared(trainer: Any, recipe: Recipe, draw: np.random.Generator) -> None:
    """Each step adds to the gradients of the last."""
    kept: list[Any] = []
    own = trainer._updater.step

    def step(learning_rate: float) -> None:
        tensors = [slot.tensor for slot in trainer._trained if slot.tensor.grad is not None]
        for tensor, before in zip(tensors, kept, strict=False):
            tensor.grad += before
        kept[:] = [tensor.grad.clone() for tensor in tensors]
        own(learning_rate)

    trainer._updater.step = step
