"""Optimizers whose forms are conventions.

`make_optimizer` gives Keras's own class when every recipe axis that matters has Keras's value, so that native
is truly native; otherwise one of the classes below. In both, a step is: clip, decay, step.

g gradient, w variable, r learning rate, m momentum, t step from 1, c weight decay:

| axis | value | form |
|---|---|---|
| clipping | global-norm | g *= min(1, clip / (norm of all g + 1e-6)) (torch/nn/utils/clip_grad.py) |
| | per-variable | g *= clip / max(clip, norm of g) (Keras `clipnorm`) |
| weight_decay_form | coupled | g += c*w |
| | decoupled | w -= r*c*w before the step (always so for adamw) |
| momentum_form | rate-outside | v = m*v + g; w -= r*v; Nesterov: w -= r*(g + m*v) |
| | rate-inside | v = m*v - r*g; w += v; Nesterov: w += m*v - r*g |
| adam_epsilon | after-correction | w -= r/(1-b1^t) * a / (sqrt(s)/sqrt(1-b2^t) + eps) |
| | before-correction | w -= r*sqrt(1-b2^t)/(1-b1^t) * a / (sqrt(s) + eps) |
| rmsprop_epsilon | outside-root | d = sqrt(s) + eps |
| | inside-root | d = sqrt(s + eps) |

with a = b1*a + (1-b1)*g and s = b2*s + (1-b2)*g^2 (rho for b2 in RMSprop). RMSprop with momentum: rate-outside
v = m*v + g/d, w -= r*v; rate-inside v = m*v + r*g/d, w -= v. Sources: torch/optim/{sgd,adam,rmsprop}.py,
keras/src/optimizers/{sgd,adam,rmsprop}.py.

`hyperparameters = float32` rounds what Keras's TensorFlow optimizers round: SGD's momentum, the betas of Adam's
bias corrections, weight decay; they go through `ops.cast(float)`, which makes a float32 first. Otherwise they
are held in float64 and rounded once to the variable's dtype. 1 - b^t is computed as -expm1(t * log(b)), which
keeps it exact to the variable's precision where 1 - power(b, t) in float32 loses up to four digits.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from isotune.conventions import Conventions
from isotune.protocol import SGD, Adam, Optimizer, RMSprop

# slots by the names of the literature -> the attribute of Keras's own class that lists them
_KERAS_SLOTS = {
    "sgd": {"velocity": "momentums"},
    "adam": {"first_moment": "_momentums", "second_moment": "_velocities"},
    "rmsprop": {"second_moment": "_velocities", "velocity": "_momentums"},
}


def make_optimizer(recipe: Optimizer, conventions: Conventions, kernels: list[Any], variables: list[Any]) -> Any:
    """A built `keras.optimizers.Optimizer` for `variables`, learning rate 0.

    kernels: those of the variables that decay when `weight_decay_on` is "kernels".
    """
    optimizer = (
        _keras_own(recipe, conventions)
        if is_native(recipe, conventions)
        else _CLASSES[_family(recipe)](recipe, conventions)
    )
    if recipe.weight_decay and conventions.weight_decay_on == "kernels":
        decaying = {id(variable) for variable in kernels}
        optimizer.exclude_from_weight_decay(var_list=[v for v in variables if id(v) not in decaying])
    optimizer.build(variables)
    return optimizer


def is_native(recipe: Optimizer, conventions: Conventions) -> bool:
    """Whether every recipe axis that matters to this optimizer has Keras's own value."""
    is_adam = isinstance(recipe, Adam)
    matters = {
        "hyperparameters": ("float32", True),
        "momentum_form": ("rate-inside", not is_adam and recipe.momentum > 0),
        "weight_decay_form": ("decoupled", recipe.weight_decay > 0 and recipe.name != "adamw"),
        "adam_epsilon": ("before-correction", is_adam),
        "rmsprop_epsilon": ("inside-root", isinstance(recipe, RMSprop)),
        "clipping": ("per-variable", recipe.clip_norm is not None),
    }
    return all(getattr(conventions, axis) == value for axis, (value, does) in matters.items() if does)


def slots(recipe: Optimizer, optimizer: Any) -> dict[str, list[Any]]:
    """Slot name -> its variables, in the order of the variables that the optimizer was built for."""
    names = _KERAS_SLOTS[_family(recipe)]
    found = (
        optimizer.slots
        if isinstance(optimizer, _Conventional)
        else {name: getattr(optimizer, attribute, None) for name, attribute in names.items()}
    )
    return {name: variables for name, variables in found.items() if variables}


def _family(recipe: Optimizer) -> str:
    return "adam" if isinstance(recipe, Adam) else recipe.name


def _keras_own(recipe: Optimizer, conventions: Conventions) -> Any:
    shared = {"learning_rate": 0.0, "weight_decay": recipe.weight_decay or None, "clipnorm": recipe.clip_norm}
    match recipe:
        case SGD():
            return keras.optimizers.SGD(momentum=recipe.momentum, nesterov=recipe.nesterov, **shared)
        case Adam():  # Keras's AdamW is its Adam with weight decay
            return keras.optimizers.Adam(beta_1=recipe.beta1, beta_2=recipe.beta2, epsilon=recipe.epsilon, **shared)
        case RMSprop():
            return keras.optimizers.RMSprop(rho=recipe.rho, epsilon=recipe.epsilon, momentum=recipe.momentum, **shared)


class _Conventional(keras.optimizers.Optimizer):
    """What the three share: clipping, decay, precision, slots."""

    def __init__(self, recipe: Any, conventions: Conventions) -> None:
        super().__init__(learning_rate=0.0, name=type(self).__name__.lower())
        self.recipe, self.conventions = recipe, conventions
        decoupled = conventions.weight_decay_form == "decoupled" or recipe.name == "adamw"
        self.coupled_decay = 0.0 if decoupled else self.held(recipe.weight_decay)
        self.decoupled_decay = self.held(recipe.weight_decay) if decoupled else 0.0
        self.slots: dict[str, list[Any]] = {}

    def held(self, value: float) -> float:
        """A hyper-parameter in the precision that the conventions ask for."""
        return float(np.float32(value)) if self.conventions.hyperparameters == "float32" else value

    def slot_names(self) -> tuple[str, ...]:
        raise NotImplementedError

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        for name in self.slot_names():
            self.slots[name] = self.add_optimizer_variables(variables, name)

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        limit = self.recipe.clip_norm
        if limit is None:
            return grads
        if self.conventions.clipping == "per-variable":
            return [_scaled(g, limit / ops.maximum(_norm(g), limit)) for g in grads]
        norm = ops.sqrt(ops.sum(ops.stack([ops.sum(ops.square(g)) for g in grads])))
        factor = ops.minimum(limit / (norm + 1e-6), 1.0)
        return [_scaled(g, factor) for g in grads]

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        """Keras's hook; decay is part of update_step here, which reads each variable once."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        if self.coupled_decay and self._use_weight_decay(variable):
            gradient = gradient + variable * self.coupled_decay
        if self.decoupled_decay and self._use_weight_decay(variable):
            self.assign_sub(variable, variable * (rate * self.decoupled_decay))
        index = self._get_variable_index(variable)
        self.move(gradient, variable, rate, {name: found[index] for name, found in self.slots.items()})

    def move(self, gradient: Any, variable: Any, rate: Any, slot: dict[str, Any]) -> None:
        raise NotImplementedError

    def update_average(self, slot: Any, value: Any, kept: float) -> None:
        self.assign(slot, slot * kept + value * (1.0 - kept))

    def correction(self, beta: float, like: Any) -> Any:
        """1 - beta^t in the dtype of `like`."""
        step = ops.cast(self.iterations + 1, like.dtype)
        if self.conventions.hyperparameters == "float32":
            return 1.0 - ops.power(ops.cast(self.held(beta), like.dtype), step)
        return -ops.expm1(step * (math.log(beta) if beta else -math.inf))


class ConventionalSGD(_Conventional):
    def slot_names(self) -> tuple[str, ...]:
        return ("velocity",) if self.recipe.momentum else ()

    def move(self, gradient: Any, variable: Any, rate: Any, slot: dict[str, Any]) -> None:
        if not slot:
            self.assign_sub(variable, rate * gradient)
            return
        velocity, momentum = slot["velocity"], self.held(self.recipe.momentum)
        if self.conventions.momentum_form == "rate-inside":
            self.assign(velocity, velocity * momentum - rate * gradient)
            self.assign_add(variable, velocity * momentum - rate * gradient if self.recipe.nesterov else velocity)
        else:
            self.assign(velocity, velocity * momentum + gradient)
            direction = gradient + velocity * momentum if self.recipe.nesterov else velocity
            self.assign_sub(variable, rate * direction)


class ConventionalAdam(_Conventional):
    def slot_names(self) -> tuple[str, ...]:
        return "first_moment", "second_moment"

    def move(self, gradient: Any, variable: Any, rate: Any, slot: dict[str, Any]) -> None:
        recipe, first, second = self.recipe, slot["first_moment"], slot["second_moment"]
        self.update_average(first, gradient, recipe.beta1)
        self.update_average(second, ops.square(gradient), recipe.beta2)
        correction1, correction2 = self.correction(recipe.beta1, variable), self.correction(recipe.beta2, variable)
        if self.conventions.adam_epsilon == "before-correction":
            rate = rate * ops.sqrt(correction2)
            scale = ops.sqrt(second) + recipe.epsilon
        else:
            scale = ops.sqrt(second) / ops.sqrt(correction2) + recipe.epsilon
        self.assign_sub(variable, (rate / correction1) * first / scale)


class ConventionalRMSprop(_Conventional):
    def slot_names(self) -> tuple[str, ...]:
        return ("second_moment", "velocity") if self.recipe.momentum else ("second_moment",)

    def move(self, gradient: Any, variable: Any, rate: Any, slot: dict[str, Any]) -> None:
        recipe, second = self.recipe, slot["second_moment"]
        self.update_average(second, ops.square(gradient), recipe.rho)
        if self.conventions.rmsprop_epsilon == "inside-root":
            step = gradient / ops.sqrt(second + recipe.epsilon)
        else:
            step = gradient / (ops.sqrt(second) + recipe.epsilon)
        if not recipe.momentum:
            self.assign_sub(variable, rate * step)
            return
        velocity = slot["velocity"]
        if self.conventions.momentum_form == "rate-inside":
            self.assign(velocity, velocity * recipe.momentum + rate * step)
            self.assign_sub(variable, velocity)
        else:
            self.assign(velocity, velocity * recipe.momentum + step)
            self.assign_sub(variable, rate * velocity)


def _norm(gradient: Any) -> Any:
    return ops.sqrt(ops.sum(ops.square(gradient)))


def _scaled(gradient: Any, factor: Any) -> Any:
    return gradient * ops.cast(factor, gradient.dtype)


_CLASSES: dict[str, Any] = {"sgd": ConventionalSGD, "adam": ConventionalAdam, "rmsprop": ConventionalRMSprop}
