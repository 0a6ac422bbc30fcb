"""The optimizers of a protocol under every convention: which class computes, and how to write it.

`make_optimizer` gives Keras's own class when every recipe axis that matters has Keras's value, so that native
is truly native; otherwise one of `formulas`. In both, a step is: clip, decay, step. In float64 Keras's own
classes round hyper-parameters on TensorFlow alone, and not all of them; there they are taken only for numbers that
float32 holds exactly, so that `hyperparameters = float32` is one function on every engine.

In `slots` a velocity is what is subtracted from the variable, in every form; Keras's SGD keeps its negative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from isotune.adapters._keras.axes import decay
from isotune.adapters._keras.native import NATIVE
from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions, relevant
from isotune.protocols import SGD, Adam, Optimizer, RMSprop, optimizer_features

Array = np.ndarray

# axes that pick the class that computes, or what is given to it
_OF_CLASSES = (
    "momentum_form", "weight_decay_form", "adam_epsilon", "rmsprop_epsilon", "clipping", "hyperparameters"
)  # fmt: skip

# slots by the names of the literature -> the attribute of Keras's own class that lists them
_KERAS_SLOTS = {
    "sgd": {"velocity": "momentums"},
    "adam": {"first_moment": "_momentums", "second_moment": "_velocities"},
    "rmsprop": {"second_moment": "_velocities", "velocity": "_momentums"},
}


def make_optimizer(
    recipe: Optimizer,
    conventions: Conventions,
    kernels: list[Any],
    variables: list[Any],
    rates: Mapping[int, float] = MappingProxyType({}),
) -> Any:
    """A built `keras.optimizers.Optimizer` for `variables`, learning rate 0.

    kernels: those of the variables that decay when `weight_decay_on` is "kernels". rates: by what the learning rate of
    a variable, by its `id`, is multiplied, which Keras's own classes cannot do; absent: 1.
    """
    import keras

    from isotune.adapters._keras.axes.formulas import CLASSES

    optimizer = (
        _keras_own(recipe, conventions)
        if not rates and is_native(recipe, conventions) and (keras.config.floatx() != "float64" or _is_exact(recipe))
        else CLASSES[_family(recipe)](recipe, conventions, lambda variable: rates.get(id(variable), 1.0))
    )
    if recipe.weight_decay:
        decay.restrict(optimizer, conventions, kernels, variables)
    optimizer.build(variables)
    return optimizer


def is_native(recipe: Optimizer, conventions: Conventions) -> bool:
    """Whether every axis that matters to this optimizer's class has Keras's own value."""
    matter = relevant(optimizer_features(recipe)).intersection(_OF_CLASSES)
    if recipe.name == "adamw" and conventions.weight_decay_form != "decoupled-unscaled":  # decoupled whatever they say
        matter -= {"weight_decay_form"}
    return all(getattr(conventions, axis) == getattr(NATIVE, axis) for axis in matter)


def _is_exact(recipe: Optimizer) -> bool:
    """Whether float32 holds every hyper-parameter that is rounded."""
    names = ("momentum", "beta1", "beta2", "rho", "weight_decay")
    return all(float(np.float32(value)) == value for name in names if (value := getattr(recipe, name, 0.0)))


def slots(recipe: Optimizer, optimizer: Any) -> dict[str, Iterator[Array]]:
    """Slot name -> its arrays, in the order of the variables that the optimizer was built for; copies, made one at a
    time."""
    import keras

    from isotune.adapters._keras.axes.formulas import Conventional

    if isinstance(optimizer, Conventional):
        kept = optimizer.slots
    else:
        names = _KERAS_SLOTS[_family(recipe)]
        kept = {name: getattr(optimizer, attribute) for name, attribute in names.items()}
    sign = -1 if isinstance(optimizer, keras.optimizers.SGD) else 1
    return {
        name: (sign * keras.ops.convert_to_numpy(variable) for variable in variables)
        for name, variables in kept.items()
        if variables
    }


def reset(optimizer: Any) -> None:
    """Back to before the first step: every slot of these optimizers, and the count of steps, begins at zero."""
    for variable in optimizer.variables:
        variable.assign(np.zeros(tuple(variable.shape), variable.dtype))


def _family(recipe: Optimizer) -> str:
    return "adam" if isinstance(recipe, Adam) else recipe.name


def _keras_own(recipe: Optimizer, conventions: Conventions) -> Any:
    import keras

    shared = {"learning_rate": 0.0, "weight_decay": recipe.weight_decay or None, "clipnorm": recipe.clip_norm}
    match recipe:
        case SGD():
            return keras.optimizers.SGD(momentum=recipe.momentum, nesterov=recipe.nesterov, **shared)
        case Adam():  # Keras's AdamW is its Adam with weight decay
            return keras.optimizers.Adam(beta_1=recipe.beta1, beta_2=recipe.beta2, epsilon=recipe.epsilon, **shared)
        case RMSprop():
            return keras.optimizers.RMSprop(rho=recipe.rho, epsilon=recipe.epsilon, momentum=recipe.momentum, **shared)


# -- the lines to write


_RATE_OUTSIDE = '''
def set_learning_rate(optimizer, rate):
    """Instead of a schedule, before a step: the velocity takes the new rate."""
    if optimizer.built:
        factor = rate / float(optimizer.learning_rate)
        for velocity in optimizer.momentums:
            velocity.assign(velocity * factor)
    optimizer.learning_rate = rate
'''


_EPSILON_AFTER_CORRECTION = '''
import keras


class EpsilonAfterCorrection(keras.optimizers.Adam):
    """Adam whose epsilon stands beside the corrected root."""

    def update_step(self, gradient, variable, learning_rate):
        given = self.epsilon
        step = keras.ops.cast(self.iterations + 1, variable.dtype)
        beta = keras.ops.cast(self.beta_2, variable.dtype)
        self.epsilon = given * keras.ops.sqrt(1 - keras.ops.power(beta, step))
        super().update_step(gradient, variable, learning_rate)
        self.epsilon = given


optimizer = EpsilonAfterCorrection.from_config(optimizer.get_config())
'''


_EPSILON_OUTSIDE_ROOT = '''
import keras


class EpsilonOutsideRoot(keras.optimizers.Optimizer):
    """RMSprop with the step g / (sqrt(v) + epsilon)."""

    def __init__(self, learning_rate=1e-3, rho=0.9, momentum=0.0, epsilon=1e-7, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.rho, self.momentum, self.epsilon = rho, momentum, epsilon

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.squares, self.velocities = self.add_optimizer_variables(variables, ["square", "velocity"])

    def update_step(self, gradient, variable, learning_rate):
        place = self._get_variable_index(variable)
        square, velocity = self.squares[place], self.velocities[place]
        rate = keras.ops.cast(learning_rate, variable.dtype)
        square.assign(square * self.rho + keras.ops.square(gradient) * (1 - self.rho))
        velocity.assign(velocity * self.momentum + rate * gradient / (keras.ops.sqrt(square) + self.epsilon))
        self.assign_sub(variable, velocity)


settings = optimizer.get_config()
settings.pop("centered")
optimizer = EpsilonOutsideRoot(**settings)
'''


_ROUNDED = """
import numpy as np

for name in ("momentum", "beta_1", "beta_2", "rho", "weight_decay"):
    if getattr(optimizer, name, None):
        setattr(optimizer, name, float(np.float32(getattr(optimizer, name))))
"""


REMEDIES: Table = {
    "momentum_form": {
        "rate-outside": (
            _RATE_OUTSIDE,
            "For SGD; no rate may be 0. With the momentum of RMSprop, isotune does it with OVERRIDE.",
        ),
        "rate-inside": ("", ITSELF.format("Keras")),
    },
    "adam_epsilon": {
        "after-correction": (_EPSILON_AFTER_CORRECTION, "Before the optimizer has taken a step."),
        "before-correction": ("", ITSELF.format("Keras")),
    },
    "rmsprop_epsilon": {
        "outside-root": (_EPSILON_OUTSIDE_ROOT, "Before the optimizer has taken a step; `centered` is not offered."),
        "inside-root": ("", ITSELF.format("Keras")),
    },
    "hyperparameters": {
        "float64": (
            "",
            "Keras on JAX and torch does so by itself; on TensorFlow numbers pass through float32: take those that it"
            " holds exactly (0.875 for 0.9), or isotune with OVERRIDE.",
        ),
        "float32": (_ROUNDED, "Keras on TensorFlow does so by itself to most of them."),
    },
}
