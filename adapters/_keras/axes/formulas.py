"""The optimizers' formulas under every convention, written for any engine of Keras.

g gradient, w variable, r learning rate, m momentum, t step from 1, c weight decay:

| axis | value | form |
|---|---|---|
| clipping | global-norm | g *= min(1, clip / norm of all g) |
| | per-variable | g *= min(1, clip / norm of g) (Keras `clipnorm`) |
| weight_decay_form | coupled | g += c*w |
| | decoupled | w -= r*c*w before the step (always so for adamw) |
| | in-loss | g += 2*c*w, before clipping |
| | decoupled-unscaled | w -= c*w before the step |
| momentum_form | rate-outside | v = m*v + g; w -= r*v; Nesterov: w -= r*(g + m*v) |
| | rate-inside | v = m*v + r*g; w -= v; Nesterov: w -= m*v + r*g |
| adam_epsilon | after-correction | w -= r/(1-b1^t) * a / (sqrt(s)/sqrt(1-b2^t) + eps) |
| | before-correction | w -= r*sqrt(1-b2^t)/(1-b1^t) * a / (sqrt(s) + eps) |
| rmsprop_epsilon | outside-root | d = sqrt(s) + eps |
| | inside-root | d = sqrt(s + eps) |

with a = b1*a + (1-b1)*g and s = b2*s + (1-b2)*g^2 (rho for b2 in RMSprop). RMSprop with momentum: rate-outside
v = m*v + g/d, w -= r*v; rate-inside v = m*v + r*g/d, w -= v. Sources: torch/optim/{sgd,adam,rmsprop}.py,
keras/src/optimizers/{sgd,adam,rmsprop}.py.

`hyperparameters = float32` rounds momentum, betas, rho and weight decay to float32 beforehand. Keras's own classes
round what goes through `ops.cast(float)` (momentum, the betas of the bias corrections, weight decay) but not
1 - b: a difference below 1e-7 that only float64 shows. 1 - b^t is computed as -expm1(t * log(b)), which keeps it
exact to the variable's precision, where 1 - power(b, t) in float32 loses up to four digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from isotune.adapters._keras.axes import clipping, decay
from isotune.conventions import Conventions


class Conventional(keras.optimizers.Optimizer):  # type: ignore[misc]  # Keras has no types
    """What the three share: clipping, decay, precision, slots."""

    def __init__(self, recipe: Any, conventions: Conventions, rate_of: Callable[[Any], float]) -> None:
        """rate_of: by what a variable's learning rate is multiplied."""
        super().__init__(learning_rate=0.0, name=type(self).__name__.lower())
        self.recipe, self.conventions, self.rate_of = recipe, conventions, rate_of
        self._factors = clipping.factors(conventions.clipping)
        decoupled, inside = decay.is_decoupled(recipe, conventions), decay.in_loss(recipe, conventions)
        self.coupled_decay = 0.0 if decoupled or inside else self.held(recipe.weight_decay)
        self.decoupled_decay = self.held(recipe.weight_decay) if decoupled else 0.0
        self.penalty_decay = self.held(recipe.weight_decay) if inside else 0.0
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
        """Keras's hook before the step; here clipping is part of it: no second set of gradients is made."""
        return grads

    def factors(self, grads: list[Any]) -> list[Any]:
        """What each gradient is multiplied by; None: nothing."""
        limit = self.recipe.clip_norm
        return [None] * len(grads) if limit is None else self._factors(grads, limit)

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        """Keras's hook before the step; here decay is part of the step."""

    def _backend_update_step(self, grads: list[Any], trainable_variables: list[Any], learning_rate: Any) -> None:
        """All variables' steps, the same on every engine; what they share is computed once, which keeps the
        traced graphs small."""
        base = ops.convert_to_tensor(learning_rate)
        common = {}
        for multiple in dict.fromkeys(map(self.rate_of, trainable_variables)):
            rate = base if multiple == 1 else base * multiple
            shrinking = decay.shrinking(self.decoupled_decay, rate, self.conventions)
            common[multiple] = rate, self.shared(rate), shrinking
        if self.penalty_decay:
            grads = [
                grad + variable * (2 * self.penalty_decay) if self._use_weight_decay(variable) else grad
                for grad, variable in zip(grads, trainable_variables, strict=True)
            ]
        for raw, factor, variable in zip(grads, self.factors(grads), trainable_variables, strict=True):
            decays = self._use_weight_decay(variable)
            rate, shared, shrinking = common[self.rate_of(variable)]
            gradient = raw if factor is None else raw * factor
            if self.coupled_decay and decays:
                gradient = gradient + variable * self.coupled_decay
            if self.decoupled_decay and decays:
                variable.assign_sub(variable * shrinking)
            index = self._get_variable_index(variable)
            slot = {name: variables[index] for name, variables in self.slots.items()}
            variable.assign_sub(self.step_of(gradient, rate, shared, slot))

    def penalty(self) -> float:
        """What weight decay adds to the loss, of the variables as they are."""
        if not self.penalty_decay:
            return 0.0
        decaying = filter(self._use_weight_decay, self._trainable_variables)
        squares = (np.square(ops.convert_to_numpy(variable)).sum() for variable in decaying)
        return self.penalty_decay * float(sum(squares))

    def shared(self, rate: Any) -> Any:
        """What every variable's step needs and does not depend on the variable."""

    def step_of(self, gradient: Any, rate: Any, shared: Any, slot: dict[str, Any]) -> Any:
        """What is subtracted from a variable; moves its slots."""
        raise NotImplementedError

    def averaged(self, slot: Any, value: Any, kept: float) -> Any:
        """The slot's new exponential average."""
        new = slot * kept + value * (1.0 - kept)
        slot.assign(new)
        return new

    def correction(self, beta: float, rate: Any) -> Any:
        """1 - beta^t, in the dtype of the learning rate, which is the variables'."""
        return -ops.expm1(ops.cast(self.iterations + 1, rate.dtype) * (math.log(beta) if beta else -math.inf))


class ConventionalSGD(Conventional):
    def slot_names(self) -> tuple[str, ...]:
        return ("velocity",) if self.recipe.momentum else ()

    def step_of(self, gradient: Any, rate: Any, shared: Any, slot: dict[str, Any]) -> Any:
        if not slot:
            return rate * gradient
        momentum, inside = self.held(self.recipe.momentum), self.conventions.momentum_form == "rate-inside"
        if inside:
            gradient = rate * gradient
        velocity = slot["velocity"] * momentum + gradient
        slot["velocity"].assign(velocity)
        step = gradient + velocity * momentum if self.recipe.nesterov else velocity
        return step if inside else rate * step


class ConventionalAdam(Conventional):
    def slot_names(self) -> tuple[str, ...]:
        return "first_moment", "second_moment"

    def shared(self, rate: Any) -> Any:
        first = self.correction(self.held(self.recipe.beta1), rate)
        root = ops.sqrt(self.correction(self.held(self.recipe.beta2), rate))
        if self.conventions.adam_epsilon == "before-correction":
            return rate * root / first, None
        return rate / first, root

    def step_of(self, gradient: Any, rate: Any, shared: Any, slot: dict[str, Any]) -> Any:
        corrected_rate, root = shared
        first = self.averaged(slot["first_moment"], gradient, self.held(self.recipe.beta1))
        second = self.averaged(slot["second_moment"], ops.square(gradient), self.held(self.recipe.beta2))
        scale = ops.sqrt(second) if root is None else ops.sqrt(second) / root
        return corrected_rate * first / (scale + self.recipe.epsilon)


class ConventionalRMSprop(Conventional):
    def slot_names(self) -> tuple[str, ...]:
        return ("second_moment", "velocity") if self.recipe.momentum else ("second_moment",)

    def step_of(self, gradient: Any, rate: Any, shared: Any, slot: dict[str, Any]) -> Any:
        second = self.averaged(slot["second_moment"], ops.square(gradient), self.held(self.recipe.rho))
        if self.conventions.rmsprop_epsilon == "inside-root":
            step = gradient / ops.sqrt(second + self.recipe.epsilon)
        else:
            step = gradient / (ops.sqrt(second) + self.recipe.epsilon)
        if not self.recipe.momentum:
            return rate * step
        inside = self.conventions.momentum_form == "rate-inside"
        velocity = slot["velocity"] * self.held(self.recipe.momentum) + (rate * step if inside else step)
        slot["velocity"].assign(velocity)
        return velocity if inside else rate * velocity


CLASSES: dict[str, Any] = {"sgd": ConventionalSGD, "adam": ConventionalAdam, "rmsprop": ConventionalRMSprop}
