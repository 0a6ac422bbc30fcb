"""Weight decay: in the gradient, the loss or beside both, and on which tensors. Realised, and how to write it.

The forms: `_torch.axes.decay`. keras/src/optimizers/base_optimizer.py `_apply_weight_decay` is the decoupled one;
keras/src/regularizers/regularizers.py L2 the one in the loss.
"""

from __future__ import annotations

from typing import Any

from isotune.adapters._keras.axes.lines import FIRST
from isotune.adapters.remedies import ITSELF, Table
from isotune.conventions import Conventions
from isotune.protocols import Optimizer


def is_decoupled(recipe: Optimizer, conventions: Conventions) -> bool:
    """Whether decay is a step of its own; AdamW's always is."""
    return conventions.weight_decay_form in ("decoupled", "decoupled-unscaled") or recipe.name == "adamw"


def in_loss(recipe: Optimizer, conventions: Conventions) -> bool:
    """Whether decay is a penalty of wd*sum(w^2), which clipping sees."""
    return conventions.weight_decay_form == "in-loss" and not is_decoupled(recipe, conventions)


def shrinking(strength: float, rate: Any, conventions: Conventions) -> Any:
    """By what decoupled decay shortens a variable in a step at a learning rate."""
    return strength if conventions.weight_decay_form == "decoupled-unscaled" else rate * strength


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


_IN_LOSS = _COUPLED.replace("strength / 2", "strength")


_UNSCALED = """
def decay(variables):
    for variable in variables:
        if optimizer._use_weight_decay(variable):
            variable.assign_sub(variable * optimizer.weight_decay)


optimizer._apply_weight_decay = decay
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
        "in-loss": (
            _IN_LOSS,
            f"{FIRST} It is what `kernel_regularizer=keras.regularizers.L2(strength)` does; the loss that Keras shows"
            " then has the penalty in it, and clipping sees its gradient.",
        ),
        "decoupled-unscaled": (_UNSCALED, f"{FIRST} Keras has no public way to it."),
    },
    "weight_decay_on": {
        "all": ("", ITSELF.format("Keras")),
        "kernels": (_ONLY_KERNELS, "A second call replaces the first."),
    },
}
