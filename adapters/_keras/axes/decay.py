"""Weight decay, coupled to the gradient or beside it, and on which tensors: realised, and how to write it."""

from __future__ import annotations

from typing import Any

from isotune.adapters._keras.axes.lines import FIRST
from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions
from isotune.protocols import Optimizer


def is_decoupled(recipe: Optimizer, conventions: Conventions) -> bool:
    """Whether decay is a step of its own; AdamW's always is."""
    return conventions.weight_decay_form == "decoupled" or recipe.name == "adamw"


def restrict(optimizer: Any, conventions: Conventions, kernels: list[Any], variables: list[Any]) -> None:
    """Leave alone what is not to decay: with `weight_decay_on` = "kernels" all `variables` but the kernels."""
    if conventions.weight_decay_on == "kernels":
        decaying = {id(variable) for variable in kernels}
        optimizer.exclude_from_weight_decay(var_list=[v for v in variables if id(v) not in decaying])


# -- the lines to write


_COUPLED = """
import keras

strength, optimizer.weight_decay = optimizer.weight_decay, None
for variable in model.trainable_variables:
    variable.regularizer = keras.regularizers.L2(strength / 2)
"""


_ONLY_KERNELS = """
others = [variable for variable in model.trainable_variables if not variable.name.endswith("kernel")]
optimizer.exclude_from_weight_decay(var_list=others)
"""


REMEDIES: Table = {
    "weight_decay_form": {
        "coupled": (
            _COUPLED,
            f"{FIRST} The loss that Keras shows then has the penalty in it, and clipping sees its gradient."
            " With Adam it is torch's Adam, not AdamW.",
        ),
        "decoupled": ("", ITSELF.format("Keras")),
    },
    "weight_decay_on": {
        "all": ("", ITSELF.format("Keras")),
        "kernels": (_ONLY_KERNELS, "A second call replaces the first."),
    },
}
